//! Makes the experiment of a sentence: a run of its own.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use guest::ready_made;
use lab::MODELS;
use loadtest::front::{Exit, Failure, loads_of};
use loadtest::limits;
use loadtest::run::any_seed;
use results::claims::Evidence;
use results::{Plan, Results};

use super::claims::SENTENCES;
use super::experiment::{Experiment, Target};
use super::sentence::{Judged, Seen, Sentence};
use super::watched::{Readings, Watched};
use crate::division::Division;
use crate::fleet::LocalFleet;
use crate::nod;
use crate::servers::Servers;

/// Makes experiments.
pub struct Maker<'a> {
    pub division: &'a Division,
    pub seed: Option<u64>,
    pub stop: &'static AtomicBool,
}

/// An experiment that was made.
pub struct Made {
    pub results: Results,
    pub judged: Judged,
    pub took: Duration,
}

/// Why an experiment was not made.
pub enum Unmade {
    /// A signal came before its end.
    Interrupted,
    /// It cannot be made on this machine.
    NotHere(String),
    /// It could not be run.
    Failed(String),
}

impl Maker<'_> {
    /// Makes the experiment of a sentence and judges what it shows.
    ///
    /// # Errors
    /// Why there is nothing to judge.
    pub fn make(&mut self, sentence: &Sentence) -> Result<Made, Unmade> {
        let began = Instant::now();
        let experiment = (sentence.experiment)().map_err(Unmade::NotHere)?;
        let division = if experiment.on_all_cpus { self.division.shared() } else { self.division.clone() };
        let mut plan = plan(&experiment).map_err(Unmade::Failed)?;
        plan.seed = self.seed.unwrap_or_else(any_seed);
        plan.cpus = division.load.cpus().to_vec();
        plan.threads = (division.load.cpus().len() / if experiment.on_all_cpus { 2 } else { 1 }).max(1);
        plan.budget = Some(Duration::from_secs(sentence.seconds));
        nod::fill_in(&mut plan);
        limits::make_room(plan.connections()).map_err(Unmade::NotHere)?;
        let mut fleet = LocalFleet::new(division, servers(&experiment), None, self.stop);
        match fleet.check(&plan) {
            Err(_) if self.stop.load(Relaxed) => return Err(Unmade::Interrupted),
            Err(Failure(Exit::Interrupted, _)) => return Err(Unmade::Interrupted),
            Err(Failure(_, why)) => return Err(Unmade::Failed(why)),
            Ok(()) => {}
        }
        let Experiment { check, reading, .. } = experiment;
        let mut watched = Watched { fleet: &mut fleet, check, reading, readings: Readings::default() };
        let results = loadtest::run(&plan, began, &mut watched, &mut (), self.stop)
            .map_err(|error| Unmade::Failed(format!("the load could not be run: {error}")))?;
        if results.interrupted {
            return Err(Unmade::Interrupted);
        }
        let seen = Seen { run: Evidence { results: &results, claims: SENTENCES.len() }, readings: &watched.readings };
        let mut judged = (sentence.judge)(&seen);
        judged.notes.splice(0..0, experiment.notes);
        Ok(Made { judged, took: began.elapsed(), results })
    }
}

/// The plan of an experiment.
///
/// # Errors
/// A line: a load is described wrongly.
pub fn plan(experiment: &Experiment) -> Result<Plan, String> {
    let set = experiment.targets.iter().filter(|target| !target.flags.is_empty());
    let flags = |target: &Target| -> BTreeMap<String, String> {
        target.flags.iter().map(|(flag, value)| ((*flag).to_owned(), value.clone())).collect()
    };
    Ok(Plan {
        targets: experiment.targets.iter().map(|target| target.name.clone()).collect(),
        loads: loads_of(&experiment.loads)?,
        duration: experiment.window,
        warmup: experiment.window / 10,
        trials: experiment.blocks,
        set: set.map(|target| (target.name.clone(), flags(target))).collect(),
        ..Plan::default()
    })
}

/// The servers of an experiment.
fn servers(experiment: &Experiment) -> Servers {
    let is_used = |name: &str| experiment.targets.iter().any(|target| target.server == name);
    let variants = experiment.targets.iter().filter(|target| target.name != target.server);
    Servers {
        models: MODELS.iter().filter(|model| is_used(model.name)).copied().collect(),
        guests: ready_made().into_iter().filter(|guest| is_used(&guest.name)).collect(),
        set: plan(experiment).map(|plan| plan.set).unwrap_or_default(),
        variants: variants.map(|target| (target.name.clone(), target.server.clone())).collect(),
        left_out: Vec::new(),
    }
}
