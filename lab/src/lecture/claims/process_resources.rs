//! A process takes memory.

use crate::lecture::experiment::Experiment;
use crate::lecture::sentence::Sentence;

pub const SENTENCE: Sentence = Sentence {
    id: "process-resources",
    says: "Processes use many more resources than connections alone.",
    does: "Memory a connection, user and kernel, process-per-connection / epoll, with 1000 idle connections.",
    seconds: 20,
    experiment: || Ok(Experiment::of(["process-per-connection", "epoll"], ["/ -R 500 --idle 1000"])),
    judge: |seen| {
        let (process, epoll) = (("process-per-connection", 0), ("epoll", 0));
        vec![seen.run.memory_ratio(process, epoll).at_least(10.0)].into()
    },
};
