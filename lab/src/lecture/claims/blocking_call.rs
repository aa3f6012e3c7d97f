//! An event loop must not block.

use crate::lecture::sentence::Sentence;

pub const SENTENCE: Sentence = Sentence {
    id: "blocking-call",
    says: "An event loop must not block.",
    does: "",
    seconds: 28,
    experiment: || Err("not written yet".into()),
    judge: |_| Vec::new().into(),
};
