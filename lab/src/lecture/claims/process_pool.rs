//! Processes that were started in advance cost no start.

use crate::lecture::experiment::Experiment;
use crate::lecture::sentence::Sentence;

pub const SENTENCE: Sentence = Sentence {
    id: "process-pool",
    says: "A pool of processes mitigates that: they are started once.",
    does: "CPU time a request, process-pool / process-per-connection, at 500 requests/s with a connection for each.",
    seconds: 11,
    experiment: || {
        let targets = ["process-pool", "process-per-connection"];
        Ok(Experiment::of(targets, ["/ -R 500 --requests-per-connection 1"]))
    },
    judge: |seen| vec![seen.run.cpu_ratio(("process-pool", 0), ("process-per-connection", 0)).at_most(0.5)].into(),
};
