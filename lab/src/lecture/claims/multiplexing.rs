//! A loop waits for many connections at a time.

use results::claims::P90;

use crate::lecture::experiment::Experiment;
use crate::lecture::sentence::Sentence;

/// The threads that make blocking calls for the loops.
const HELPERS: f64 = 4.0;

pub const SENTENCE: Sentence = Sentence {
    id: "multiplexing",
    says: "A few threads serve many connections.",
    does: "epoll at 500 requests/s beside 10 and 10 000 idle connections: its threads, at most one a CPU and 4 helpers; and the \
           90th percentile of the latency with 10 000 / with 10.",
    seconds: 38,
    experiment: || {
        Ok(Experiment { blocks: 16, ..Experiment::of(["epoll"], ["/ -R 500 --idle 10", "/ -R 500 --idle 10000"]) })
    },
    judge: |seen| {
        let (few, many) = (("epoll", 0), ("epoll", 1));
        let cpus = seen.run.cell(many).ok().and_then(|cell| cell.server_cpus).unwrap_or(1) as f64;
        vec![
            seen.run.level("threads with 10 000 idle connections", "server.threads", many).at_most(cpus + HELPERS),
            seen.run.ratio("p90 with 10 000 idle connections / with 10", P90, many, few).at_most(1.5),
        ]
        .into()
    },
};
