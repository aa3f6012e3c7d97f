//! Routes, extractors and state are not free.

use crate::lecture::experiment::Experiment;
use crate::lecture::sentence::Sentence;

pub const SENTENCE: Sentence = Sentence {
    id: "framework",
    says: "A higher-level view has its price.",
    does: "CPU time a request, framework (axum on hyper) / hyper alone, as fast as 64 kept connections go.",
    seconds: 44,
    experiment: || Ok(Experiment { blocks: 34, ..Experiment::of(["framework", "hyper"], ["/ -c 64"]) }),
    judge: |seen| vec![seen.run.cpu_ratio(("framework", 0), ("hyper", 0)).at_least(1.05)].into(),
};
