//! Many threads cost more a request than few, as many processes do; loops pay less for many connections.

use crate::lecture::experiment::Experiment;
use crate::lecture::sentence::Sentence;

/// A rate at which each connection has a request in the warm-up, so that no process or thread is started in the window.
const FEW: &str = "/ -R 16k -c 64";
const MANY: &str = "/ -R 16k -c 2048";

pub const SENTENCE: Sentence = Sentence {
    id: "thread-piles-up",
    says: "The overhead of threads still piles up with their number, although less than that of processes.",
    does: "CPU time a request at 16 000 requests/s over 64 and over 2048 kept connections: how much steeper it grows with their \
           number in thread-per-connection than in epoll, and in process-per-connection than in thread-per-connection.",
    seconds: 64,
    experiment: || {
        let targets = ["process-per-connection", "thread-per-connection", "epoll"];
        Ok(Experiment { blocks: 10, ..Experiment::of(targets, [FEW, MANY]) })
    },
    judge: |seen| {
        let (process, thread) = ("process-per-connection", "thread-per-connection");
        vec![
            seen.run.steeper("slope of CPU time on connections, thread - epoll", thread, "epoll").more_than(0.0),
            seen.run.steeper("slope of CPU time on connections, process - thread", process, thread).more_than(0.0),
        ]
        .into()
    },
};
