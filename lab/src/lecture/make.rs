//! Makes the experiment of a sentence: a run of its own.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use guest::ready_made;
use lab::MODELS;
use loadtest::events::Observer;
use loadtest::front::{Failure, loads_of};
use loadtest::limits;
use loadtest::run::any_seed;
use results::cache::Cache;
use results::claims::Evidence;
use results::content::Content;
use results::contrast::LEAST_BLOCKS;
use results::units::plural;
use results::{Load, Plan, Results, Verdict};

use super::claims::SENTENCES;
use super::experiment::{COLD_FILE, COLD_FILES, COLD_FILES_NUMBER, Experiment, Target};
use super::sentence::{Judged, Seen, Sentence};
use super::watched::{Readings, Watched};
use crate::disk::Made;
use crate::disk::files::{Files, Unmade as FilesUnmade};
use crate::division::Division;
use crate::fleet::LocalFleet;
use crate::nod;
use crate::servers::Servers;

/// Makes experiments.
pub struct Maker<'a> {
    pub division: &'a Division,
    pub seed: Option<u64>,
    pub stop: &'static AtomicBool,
    /// The directory of the files of experiments that have some.
    pub dir: &'a Path,
    /// These files, once an experiment has needed them.
    pub on_disk: OnceCell<Made>,
}

/// An experiment that was made.
pub struct Finished {
    pub results: Results,
    readings: Readings,
    /// What is to be known of it besides, a sentence each.
    notes: Vec<String>,
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
    /// Makes an experiment within these seconds.
    ///
    /// # Errors
    /// Why there is nothing to judge.
    pub fn make(&self, experiment: Experiment, seconds: u64, observer: &mut dyn Observer) -> Result<Finished, Unmade> {
        let began = Instant::now();
        let division = if experiment.on_all_cpus { self.division.shared() } else { self.division.clone() };
        let mut plan = plan(&experiment).map_err(Unmade::Failed)?;
        plan.seed = self.seed.unwrap_or_else(any_seed);
        plan.cpus = division.load.cpus().to_vec();
        plan.threads = (division.load.cpus().len() / if experiment.on_all_cpus { 2 } else { 1 }).max(1);
        plan.budget = Some(Duration::from_secs(seconds));
        nod::fill_in(&mut plan);
        limits::make_room(plan.connections()).map_err(Unmade::NotHere)?;
        let files = if experiment.has_cold_files { vec![self.files(&mut plan)?] } else { Vec::new() };
        let dir = experiment.has_cold_files.then(|| self.dir.to_owned());
        let mut fleet =
            LocalFleet::new(division, servers(&experiment, &plan), dir, self.stop).with_files_on_disk(files);
        match fleet.check(&plan) {
            Err(_) if self.stop.load(Relaxed) => return Err(Unmade::Interrupted),
            Err(Failure(_, why)) => return Err(Unmade::Failed(why)),
            Ok(()) => {}
        }
        let Experiment { check, reading, notes, .. } = experiment;
        let mut watched = Watched { fleet: &mut fleet, check, reading, readings: Readings::default() };
        let results = loadtest::run(&plan, began, &mut watched, observer, self.stop)
            .map_err(|error| Unmade::Failed(format!("the load could not be run: {error}")))?;
        if results.interrupted {
            return Err(Unmade::Interrupted);
        }
        Ok(Finished { readings: watched.readings, notes, took: began.elapsed(), results })
    }

    /// Makes the files on the disk that the plan requests, and has the plan find them out of memory.
    fn files(&self, plan: &mut Plan) -> Result<Files, Unmade> {
        let size = COLD_FILE.parse().map_err(Unmade::Failed)?;
        let files = Files::new(self.dir, &size, COLD_FILES_NUMBER);
        if self.on_disk.get().is_none() {
            let mut made = Made::in_dir(self.dir, false).map_err(Unmade::NotHere)?;
            made.make(&files, plan.seed, true, self.stop).map_err(|why| match why {
                FilesUnmade::Interrupted => Unmade::Interrupted,
                FilesUnmade::Failed(why) => Unmade::NotHere(why),
            })?;
            let _ = self.on_disk.set(made);
        }
        plan.content.insert(COLD_FILES.into(), Content { paths: Some(files.paths()), ..Content::default() });
        Ok(files)
    }
}

impl Finished {
    /// Judges what the experiment shows.
    ///
    /// # Errors
    /// The judge of the sentence panicked: an error of the lab, which the other claims survive.
    pub fn judge(&self, sentence: &Sentence) -> Result<Judged, String> {
        let seen = Seen { run: Evidence { results: &self.results, claims: SENTENCES.len() }, readings: &self.readings };
        let judged = catch_unwind(AssertUnwindSafe(|| (sentence.judge)(&seen)));
        let mut judged = judged.map_err(|_| "its judge panicked: an error of the lab".to_owned())?;
        let known = self.notes.iter().chain(&self.results.remarks).cloned();
        judged.notes.splice(0..0, known);
        Ok(judged)
    }

    /// If the budget left too few blocks for an interval: the reason, in words. It is a server if one is why they took so long.
    pub fn why_too_few_blocks(&self, sentence: &Sentence) -> Option<String> {
        let Results { cells, settings, remarks, .. } = &self.results;
        let are_all_there = cells.len() == settings.cells().len();
        let fewest = cells.iter().map(|cell| cell.trials.len()).min().filter(|_| are_all_there).unwrap_or(0);
        if remarks.is_empty() || fewest >= LEAST_BLOCKS {
            return None;
        }
        let fitted = format!("only {} fitted into its {} seconds", plural(fewest, "block"), sentence.seconds);
        let failed = cells.iter().find(|cell| cell.verdict == Verdict::Errors);
        Some(match failed.and_then(|cell| Some((&cell.key.target, cell.reasons.first()?))) {
            Some((target, reason)) => format!("{fitted}; {target}: {reason}"),
            None => fitted,
        })
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
    let cache = experiment.has_cold_files.then_some(Cache::Cold);
    Ok(Plan {
        targets: experiment.targets.iter().map(|target| target.name.clone()).collect(),
        loads: loads_of(&experiment.loads)?.into_iter().map(|load| Load { cache, ..load }).collect(),
        duration: experiment.window,
        warmup: experiment.window / 10,
        trials: experiment.blocks,
        repeats: experiment.repeats,
        set: set.map(|target| (target.name.clone(), flags(target))).collect(),
        ..Plan::default()
    })
}

/// The servers of an experiment, with the flags that its plan has for them.
fn servers(experiment: &Experiment, plan: &Plan) -> Servers {
    let is_used = |name: &str| experiment.targets.iter().any(|target| target.server == name);
    let variants = experiment.targets.iter().filter(|target| target.name != target.server);
    Servers {
        models: MODELS.iter().filter(|model| is_used(model.name)).copied().collect(),
        guests: ready_made().into_iter().filter(|guest| is_used(&guest.name)).collect(),
        set: plan.set.clone(),
        variants: variants.map(|target| (target.name.clone(), target.server.clone())).collect(),
        left_out: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use loadtest::run::begin;

    /// An experiment of which nothing was measured, with a remark that the budget is the cause.
    fn made(remarks: Vec<String>) -> Finished {
        let experiment = Experiment::of(["epoll"], ["/"]);
        let results = Results { remarks, ..begin(&plan(&experiment).unwrap()) };
        Finished { results, readings: Readings::default(), notes: vec!["a note".into()], took: Duration::ZERO }
    }

    #[test]
    fn blocks_that_the_budget_left_out_are_the_reason_and_a_note() {
        let sentence = Sentence { seconds: 9, judge: |_| Judged::default(), ..*SENTENCES[0] };
        let cut = made(vec!["a remark".into()]);
        assert_eq!(cut.why_too_few_blocks(&sentence).unwrap(), "only 0 blocks fitted into its 9 seconds");
        assert_eq!(cut.judge(&sentence).unwrap().notes, ["a note", "a remark"]);
        assert_eq!(made(Vec::new()).why_too_few_blocks(&sentence), None);
    }

    #[test]
    fn a_judge_that_panics_loses_only_its_own_claim() {
        let sentence = Sentence { judge: |_| panic!("this is on purpose"), ..*SENTENCES[0] };
        assert!(made(Vec::new()).judge(&sentence).err().unwrap().contains("panicked"));
    }
}
