//! The overhead of threads still piles up, although less.

use crate::lecture::sentence::Sentence;

pub const SENTENCE: Sentence = Sentence {
    id: "thread-piles-up",
    says: "The overhead of threads still piles up, although less.",
    does: "",
    seconds: 80,
    experiment: || Err("not written yet".into()),
    judge: |_| Vec::new().into(),
};
