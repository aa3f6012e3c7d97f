//! A few threads serve many connections.

use crate::lecture::sentence::Sentence;

pub const SENTENCE: Sentence = Sentence {
    id: "multiplexing",
    says: "A few threads serve many connections.",
    does: "",
    seconds: 40,
    experiment: || Err("not written yet".into()),
    judge: |_| Vec::new().into(),
};
