//! With select and poll, each wait hands the kernel all connections; epoll does not.

use crate::lecture::sentence::Sentence;

pub const SENTENCE: Sentence = Sentence {
    id: "select-poll",
    says: "With select and poll, each wait hands the kernel all connections; epoll does not.",
    does: "",
    seconds: 46,
    experiment: || Err("not written yet".into()),
    judge: |_| Vec::new().into(),
};
