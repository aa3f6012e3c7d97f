//! A server does something else while a file is read.

use results::claims::P90;

use crate::lecture::experiment::Experiment;
use crate::lecture::sentence::Sentence;

const BESIDE_FILES: &str = "/ -c 8 -R 400 --busy 64 --busy-workload @100k";

pub const SENTENCE: Sentence = Sentence {
    id: "something-else",
    says: "With aio_read, a server enqueues a read and does something else meanwhile.",
    does: "90th percentile of / at 400 requests/s beside 64 clients of files of 100 kB that are not in memory, epoll / posix-aio.",
    seconds: 14,
    experiment: || {
        let of = Experiment::of(["epoll", "posix-aio"], [BESIDE_FILES]);
        Ok(Experiment { blocks: 5, has_cold_files: true, ..of })
    },
    judge: |seen| {
        let what = "90th percentile of / beside cold files, epoll / posix-aio";
        vec![seen.run.ratio(what, P90, ("epoll", 0), ("posix-aio", 0)).at_least(5.0)].into()
    },
};
