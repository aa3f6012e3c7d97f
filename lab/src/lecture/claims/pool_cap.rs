//! A worker that waits serves nobody else.

use results::claims::THROUGHPUT;

use crate::lecture::experiment::{Experiment, Target};
use crate::lecture::sentence::Sentence;

const WORKERS: usize = 256;

pub const SENTENCE: Sentence = Sentence {
    id: "pool-cap",
    says: "A thread pool serves as many requests at a time as it has threads.",
    does: "Requests/s of /sleep/100 over 512 connections, as a share of workers / 0.1 s in thread-pool, and of connections / 0.1 s \
           in epoll.",
    seconds: 12,
    experiment: || {
        Ok(Experiment {
            targets: vec![Target::of("thread-pool").with("workers", WORKERS), Target::of("epoll")],
            blocks: 5,
            ..Experiment::of([], ["/sleep/100 -c 512"])
        })
    },
    judge: |seen| {
        let share = |what: &str, model: &str, at_a_time: usize| {
            seen.run.share_of(what, THROUGHPUT, (model, 0), at_a_time as f64 / 0.1)
        };
        vec![
            share("requests/s of thread-pool / (256 workers / 0.1 s)", "thread-pool", WORKERS).within(0.9, 1.1),
            share("requests/s of epoll / (512 connections / 0.1 s)", "epoll", 512).within(0.9, 1.1),
        ]
        .into()
    },
};
