//! Processes use many more resources.

use crate::lecture::sentence::Sentence;

pub const SENTENCE: Sentence = Sentence {
    id: "process-resources",
    says: "Processes use many more resources.",
    does: "",
    seconds: 22,
    experiment: || Err("not written yet".into()),
    judge: |_| Vec::new().into(),
};
