//! An answer.

/// The answer to a question that a run can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What it is about, in one to three words, for a line of its own, as in "io_uring".
    pub topic: String,
    /// The question, as in "Is io_uring faster than epoll?".
    pub question: String,
    /// The answer in one sentence. Its parts are separated by semicolons, the most telling one first.
    pub short: String,
    /// What the answer rests on: sentences with figures and intervals, and what could not be shown and why.
    pub details: Vec<String>,
}

impl Answer {
    /// An answer without details.
    pub(super) fn new(topic: &str, question: &str, short: String) -> Answer {
        Answer { topic: topic.into(), question: question.into(), short, details: Vec::new() }
    }
}
