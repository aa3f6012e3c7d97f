//! The kernel takes the CPU from a thread that computes, and cannot take it from a callback.

use results::claims::{MEAN, P90};

use crate::lecture::experiment::Experiment;
use crate::lecture::sentence::Sentence;

const BESIDE_WORK: &str = "/ -R 400 --busy 2 --busy-workload /work/30000000";
const WORK: &str = "/work/30000000 -c 1";

pub const SENTENCE: Sentence = Sentence {
    id: "long-callback",
    says: "With one thread, a callback that computes for long holds everybody up.",
    does: "90th percentile of the latency of / at 400 requests/s, beside two clients of /work/30000000, as a share of the time that \
           this work takes alone.",
    seconds: 56,
    experiment: || {
        Ok(Experiment {
            blocks: 7,
            ..Experiment::of(
                ["epoll", "event-loop", "thread-per-connection", "process-per-connection"],
                [BESIDE_WORK, WORK],
            )
        })
    },
    judge: |seen| {
        let share = |model: &str| {
            let what = format!("p90 of / in {model} / the work's time");
            seen.run.ratio_of_two(&what, (P90, (model, 0)), (MEAN, (model, 1)))
        };
        vec![
            share("epoll").at_least(0.5),
            share("event-loop").at_least(0.5),
            share("thread-per-connection").at_most(0.2),
            share("process-per-connection").at_most(0.2),
        ]
        .into()
    },
};
