//! Processes have to be started.

use crate::lecture::experiment::Experiment;
use crate::lecture::sentence::Sentence;

pub const SENTENCE: Sentence = Sentence {
    id: "process-start",
    says: "A process for each request has a high overhead: processes have to be started.",
    does: "CPU time a request, process-per-connection / epoll, at 500 requests/s with a connection for each.",
    seconds: 11,
    experiment: || Ok(Experiment::of(["process-per-connection", "epoll"], ["/ -R 500 --requests-per-connection 1"])),
    judge: |seen| vec![seen.run.cpu_ratio(("process-per-connection", 0), ("epoll", 0)).at_least(2.0)].into(),
};
