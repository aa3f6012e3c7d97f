//! Asynchronous file I/O serves more files that are not in memory.

use results::claims::THROUGHPUT;

use crate::lecture::experiment::Experiment;
use crate::lecture::sentence::Sentence;

pub const SENTENCE: Sentence = Sentence {
    id: "linux-aio",
    says: "lighttpd with linux-aio served twice as many files that are not in memory as with sendfile.",
    does: "Fetches/s of files of 100 kB that are not in memory, 64 connections, linux-aio / epoll with sendfile.",
    seconds: 18,
    experiment: || {
        let of = Experiment::of(["epoll", "linux-aio"], ["@100k -c 64"]);
        Ok(Experiment { blocks: 5, has_cold_files: true, ..of })
    },
    judge: |seen| {
        let what = "fetches/s of cold files, linux-aio / epoll";
        vec![seen.run.ratio(what, THROUGHPUT, ("linux-aio", 0), ("epoll", 0)).at_least(1.3)].into()
    },
};
