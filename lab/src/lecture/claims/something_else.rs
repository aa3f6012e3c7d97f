//! With aio_read, a server does something else while a file is read.

use crate::lecture::sentence::Sentence;

pub const SENTENCE: Sentence = Sentence {
    id: "something-else",
    says: "With aio_read, a server does something else while a file is read.",
    does: "the disk lab",
    seconds: 0,
    experiment: || Err("it comes with the disk lab, which is not there yet".into()),
    judge: |_| Vec::new().into(),
};
