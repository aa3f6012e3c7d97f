//! Threads are more lightweight than processes.

use crate::lecture::sentence::Sentence;

pub const SENTENCE: Sentence = Sentence {
    id: "thread-lighter",
    says: "Threads are more lightweight than processes.",
    does: "",
    seconds: 34,
    experiment: || Err("not written yet".into()),
    judge: |_| Vec::new().into(),
};
