//! One thread computes on one CPU.

use results::claims::THROUGHPUT;

use crate::lecture::experiment::Experiment;
use crate::lecture::sentence::Sentence;

pub const SENTENCE: Sentence = Sentence {
    id: "one-thread",
    says: "node.js has one thread, and so it uses one CPU.",
    does: "/work/1000000 with the server on all CPUs, which the load shares: the CPUs that event-loop uses, and requests/s, epoll / \
           event-loop.",
    seconds: 14,
    experiment: || {
        Ok(Experiment {
            blocks: 9,
            on_all_cpus: true,
            ..Experiment::of(["event-loop", "epoll"], ["/work/1000000 -c 16"])
        })
    },
    judge: |seen| {
        let (one, many) = (("event-loop", 0), ("epoll", 0));
        vec![
            seen.run.share_of("CPUs that event-loop uses", "server.cpus_used", one, 1.0).at_most(1.05),
            seen.run.ratio("requests/s, epoll / event-loop", THROUGHPUT, many, one).at_least(1.6),
        ]
        .into()
    },
};
