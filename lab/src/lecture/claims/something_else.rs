//! A server does something else while a file is read.

use std::time::Duration;

use results::claims::P99;

use crate::lecture::experiment::Experiment;
use crate::lecture::sentence::Sentence;

const BESIDE_FILES: &str = "/ -c 64 -R 1200 --busy 64 --busy-workload @100k";

pub const SENTENCE: Sentence = Sentence {
    id: "something-else",
    says: "With aio_read, a server enqueues a read and does something else meanwhile.",
    does: "99th percentile of / at 1200 requests/s beside 64 clients of files of 100 kB that are not in memory, epoll / posix-aio.",
    seconds: 19,
    experiment: || {
        let of = Experiment::of(["epoll", "posix-aio"], [BESIDE_FILES]);
        Ok(Experiment { blocks: 5, window: Duration::from_secs(1), has_cold_files: true, ..of })
    },
    judge: |seen| {
        let what = "99th percentile of / beside cold files, epoll / posix-aio";
        vec![seen.run.ratio(what, P99, ("epoll", 0), ("posix-aio", 0)).at_least(5.0)].into()
    },
};
