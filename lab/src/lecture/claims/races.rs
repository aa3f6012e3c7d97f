//! Threads bring races on shared data.

use crate::lecture::sentence::Sentence;

pub const SENTENCE: Sentence = Sentence {
    id: "races",
    says: "Threads bring races on shared data.",
    does: "",
    seconds: 14,
    experiment: || Err("not written yet".into()),
    judge: |_| Vec::new().into(),
};
