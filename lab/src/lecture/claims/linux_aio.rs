//! Asynchronous file I/O serves twice as many files that are not in memory.

use crate::lecture::sentence::Sentence;

pub const SENTENCE: Sentence = Sentence {
    id: "linux-aio",
    says: "Asynchronous file I/O serves twice as many files that are not in memory.",
    does: "the disk lab",
    seconds: 0,
    experiment: || Err("it comes with the disk lab, which is not there yet".into()),
    judge: |_| Vec::new().into(),
};
