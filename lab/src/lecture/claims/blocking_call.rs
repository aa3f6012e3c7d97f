//! A call that blocks belongs on another thread.

use results::claims::MEDIAN;

use crate::lecture::experiment::Experiment;
use crate::lecture::sentence::Sentence;

const BESIDE_NODS: &str = "/ -R 200 --busy 4 --busy-workload POST /nod";

pub const SENTENCE: Sentence = Sentence {
    id: "blocking-call",
    says: "An event loop must not block: it hands a call that blocks to a helper thread, and keeps up with servers that block.",
    does: "Median latency of / at 200 requests/s, beside 4 clients that save to a database (POST /nod), of epoll and \
           of event-loop / of thread-per-connection.",
    seconds: 26,
    experiment: || {
        Ok(Experiment { blocks: 7, ..Experiment::of(["epoll", "event-loop", "thread-per-connection"], [BESIDE_NODS]) })
    },
    judge: |seen| {
        let to_blocking = |model: &str| {
            let what = format!("median latency of / beside POST /nod, {model} / thread-per-connection");
            seen.run.ratio(&what, MEDIAN, (model, 0), ("thread-per-connection", 0))
        };
        vec![to_blocking("epoll").at_most(2.0), to_blocking("event-loop").at_most(2.0)].into()
    },
};
