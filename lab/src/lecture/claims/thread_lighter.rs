//! A thread shares most of what a process has of its own.

use crate::lecture::experiment::Experiment;
use crate::lecture::sentence::Sentence;

pub const SENTENCE: Sentence = Sentence {
    id: "thread-lighter",
    says: "Threads are more lightweight than processes.",
    does: "thread-per-connection / process-per-connection: CPU time a request at 500 requests/s with a connection for each, and \
           memory a connection with 1000 idle ones.",
    seconds: 23,
    experiment: || {
        let targets = ["thread-per-connection", "process-per-connection"];
        Ok(Experiment {
            blocks: 5,
            ..Experiment::of(targets, ["/ -R 500 --requests-per-connection 1", "/ -R 500 --idle 1000"])
        })
    },
    judge: |seen| {
        let (thread, process) = ("thread-per-connection", "process-per-connection");
        vec![
            seen.run.cpu_ratio((thread, 0), (process, 0)).at_most(0.7),
            seen.run.memory_ratio((thread, 1), (process, 1)).at_most(0.5),
        ]
        .into()
    },
};
