//! What a wait costs depends on what it hands the kernel.

use results::claims::CPU;

use crate::lecture::experiment::Experiment;
use crate::lecture::sentence::Sentence;

pub const SENTENCE: Sentence = Sentence {
    id: "select-poll",
    says: "With select and poll, each wait hands the kernel all connections, with epoll none: so epoll is for many.",
    does: "CPU time a request at 2000 requests/s, beside 1000 idle connections / beside none.",
    seconds: 64,
    experiment: || {
        Ok(Experiment { blocks: 13, ..Experiment::of(["select", "poll", "epoll"], ["/ -R 2k --idle 1000", "/ -R 2k"]) })
    },
    judge: |seen| {
        let growth = |model: &str| {
            let what = format!("CPU time a request, {model} beside 1000 idle connections / beside none");
            seen.run.ratio(&what, CPU, (model, 0), (model, 1))
        };
        vec![growth("select").at_least(3.0), growth("poll").at_least(3.0), growth("epoll").at_most(1.25)].into()
    },
};
