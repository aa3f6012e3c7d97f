//! A server that does not wait for the disk leaves the CPU idle.

use crate::lecture::experiment::Experiment;
use crate::lecture::sentence::Sentence;

pub const SENTENCE: Sentence = Sentence {
    id: "cpu-idle",
    says: "And it left the CPU idle for 46 % of the time instead of 13 %.",
    does: "CPU time a fetch of files of 100 kB that are not in memory, at 4000 requests/s, epoll with sendfile / linux-aio.",
    seconds: 22,
    experiment: || {
        let of = Experiment::of(["epoll", "linux-aio"], ["@100k -c 64 -R 4000"]);
        Ok(Experiment { blocks: 9, has_cold_files: true, ..of })
    },
    judge: |seen| vec![seen.run.cpu_ratio(("epoll", 0), ("linux-aio", 0)).at_least(1.0)].into(),
};
