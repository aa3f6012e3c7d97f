//! A higher-level view has its price.

use crate::lecture::sentence::Sentence;

pub const SENTENCE: Sentence = Sentence {
    id: "framework",
    says: "A higher-level view has its price.",
    does: "",
    seconds: 20,
    experiment: || Err("not written yet".into()),
    judge: |_| Vec::new().into(),
};
