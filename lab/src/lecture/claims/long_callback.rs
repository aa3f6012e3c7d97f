//! With one thread, a callback that computes holds everybody up.

use crate::lecture::sentence::Sentence;

pub const SENTENCE: Sentence = Sentence {
    id: "long-callback",
    says: "With one thread, a callback that computes holds everybody up.",
    does: "",
    seconds: 26,
    experiment: || Err("not written yet".into()),
    judge: |_| Vec::new().into(),
};
