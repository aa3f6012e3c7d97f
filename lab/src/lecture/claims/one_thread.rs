//! One thread computes on one CPU.

use crate::lecture::experiment::Experiment;
use crate::lecture::sentence::Sentence;

/// Of connections that are opened before the first request, one loop of epoll may get all. A connection for each request goes to
/// a loop that has time.
const LOAD: &str = "/work/1000000 -c 16 --requests-per-connection 1";

pub const SENTENCE: Sentence = Sentence {
    id: "one-thread",
    says: "node.js has one thread, and so it uses one CPU.",
    does: "/work/1000000, a connection for each request, with the server on all CPUs, which the load shares: the CPUs that \
           event-loop uses, and those that epoll uses.",
    seconds: 14,
    experiment: || Ok(Experiment { blocks: 9, on_all_cpus: true, ..Experiment::of(["event-loop", "epoll"], [LOAD]) }),
    judge: |seen| {
        let used =
            |model: &str| seen.run.share_of(&format!("CPUs that {model} uses"), "server.cpus_used", (model, 0), 1.0);
        vec![used("event-loop").at_most(1.05), used("epoll").at_least(1.6)].into()
    },
};
