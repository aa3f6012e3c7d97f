//! A thread pool serves as many requests at a time as it has threads.

use crate::lecture::sentence::Sentence;

pub const SENTENCE: Sentence = Sentence {
    id: "pool-cap",
    says: "A thread pool serves as many requests at a time as it has threads.",
    does: "",
    seconds: 14,
    experiment: || Err("not written yet".into()),
    judge: |_| Vec::new().into(),
};
