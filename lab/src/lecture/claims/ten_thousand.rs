//! About 10 000 processes can be handled, and not more.

use crate::lecture::sentence::Sentence;

pub const SENTENCE: Sentence = Sentence {
    id: "ten-thousand",
    says: "About 10 000 processes can be handled, and not more.",
    does: "",
    seconds: 150,
    experiment: || Err("not written yet".into()),
    judge: |_| Vec::new().into(),
};
