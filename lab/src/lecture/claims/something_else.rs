//! A server does something else while a file is read.

use crate::lecture::sentence::Sentence;

pub const SENTENCE: Sentence = Sentence {
    id: "something-else",
    says: "With aio_read, a server enqueues a read and does something else meanwhile.",
    does: "p99 of / beside clients of files that are not in memory, epoll / posix-aio.",
    seconds: 0,
    experiment: || Err("it comes with the disk lab, which is not there yet".into()),
    judge: |_| Vec::new().into(),
};
