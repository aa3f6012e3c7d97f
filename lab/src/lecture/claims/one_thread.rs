//! node.js has one thread, and uses one CPU.

use crate::lecture::sentence::Sentence;

pub const SENTENCE: Sentence = Sentence {
    id: "one-thread",
    says: "node.js has one thread, and uses one CPU.",
    does: "",
    seconds: 14,
    experiment: || Err("not written yet".into()),
    judge: |_| Vec::new().into(),
};
