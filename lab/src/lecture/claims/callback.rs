//! Callbacks are another way to write the same loop.

use crate::lecture::experiment::Experiment;
use crate::lecture::sentence::{Judged, Sentence};

pub const SENTENCE: Sentence = Sentence {
    id: "callback",
    says: "The callback model does the same work as an event loop that is written by hand.",
    does: "CPU time a request, callback / epoll, as fast as 64 kept connections go.",
    seconds: 17,
    experiment: || Ok(Experiment { blocks: 15, ..Experiment::of(["callback", "epoll"], ["/ -c 64"]) }),
    judge: |seen| Judged {
        parts: vec![seen.run.cpu_ratio(("callback", 0), ("epoll", 0)).within(0.87, 1.15)],
        notes: vec!["That the model is popular cannot be measured.".into()],
    },
};
