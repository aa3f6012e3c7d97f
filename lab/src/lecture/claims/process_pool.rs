//! Pools of processes mitigate that.

use crate::lecture::sentence::Sentence;

pub const SENTENCE: Sentence = Sentence {
    id: "process-pool",
    says: "Pools of processes mitigate that.",
    does: "CPU time a request, process-pool / process-per-connection, at 500 requests/s with a connection for each",
    seconds: 12,
    experiment: || Err("not written yet".into()),
    judge: |_| Vec::new().into(),
};
