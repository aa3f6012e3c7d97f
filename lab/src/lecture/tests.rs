//! What has to be true of every sentence.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use guest::ready_made;
use lab::MODELS;
use supervisor::flag_names;

use super::claims::SENTENCES;
use super::experiment::Experiment;
use super::make::plan;
use super::sentence::Sentence;

/// The experiments that can be made here.
fn experiments() -> impl Iterator<Item = (&'static Sentence, Experiment)> {
    SENTENCES.iter().filter_map(|sentence| Some((*sentence, (sentence.experiment)().ok()?)))
}

#[test]
fn all_experiments_together_take_less_than_ten_minutes() {
    assert!(SENTENCES.iter().map(|sentence| sentence.seconds).sum::<u64>() < 600);
}

#[test]
fn each_sentence_has_a_file_of_its_name_and_is_on_the_board_once() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lecture/claims");
    let name = |file: fs::DirEntry| Some(file.path().file_stem()?.to_str()?.replace('_', "-"));
    let files: BTreeSet<String> = fs::read_dir(folder).expect("a folder").flatten().filter_map(name).collect();
    let ids: BTreeSet<String> = SENTENCES.iter().map(|sentence| sentence.id.to_owned()).collect();
    assert_eq!(files, ids);
    assert_eq!(ids.len(), SENTENCES.len());
}

#[test]
fn each_experiment_has_servers_and_flags_that_there_are() {
    let guests: Vec<String> = ready_made().into_iter().map(|guest| guest.name).collect();
    for (Sentence { id, .. }, experiment) in experiments() {
        let names: BTreeSet<&str> = experiment.targets.iter().map(|target| target.name.as_str()).collect();
        assert_eq!(names.len(), experiment.targets.len(), "{id}: each target has a name of its own");
        for target in &experiment.targets {
            match MODELS.iter().find(|model| model.name == target.server) {
                Some(model) => {
                    let known = flag_names(model);
                    let unknown = target.flags.iter().find(|(flag, _)| !known.iter().any(|known| known == flag));
                    assert_eq!(unknown, None, "{id}: {} has no such flag", target.server);
                }
                None => {
                    assert!(guests.contains(&target.server), "{id}: there is no server {}", target.server);
                    assert!(target.flags.is_empty(), "{id}: a guest has no flags");
                }
            }
        }
    }
}

#[test]
fn each_experiment_has_loads_that_there_are_and_fits_into_its_seconds() {
    for (sentence, experiment) in experiments() {
        let plan = plan(&experiment).unwrap_or_else(|why| panic!("{}: {why}", sentence.id));
        assert!(!plan.targets.is_empty() && !plan.loads.is_empty(), "{}", sentence.id);
        let takes = plan.estimate();
        assert!(takes <= Duration::from_secs(sentence.seconds), "{}: its blocks take {takes:?}", sentence.id);
    }
}
