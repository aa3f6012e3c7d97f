//! The outcomes of requests: every started request ends in exactly one [`OutcomeClass`].

use std::ops::{Index, IndexMut};

/// The outcome of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OutcomeClass {
    /// A complete answer with a status of 2xx or 3xx.
    Ok,
    /// A complete answer with another status.
    Status,
    /// The target refused the connection.
    ConnectRefused,
    /// No connection was established within the connect time-out.
    ConnectTimeout,
    /// The connection was reset before the answer was complete.
    Reset,
    /// The connection was closed, without a reset, before the answer was complete.
    Closed,
    /// No complete answer came within the request time-out, counted from the first byte sent.
    ReadTimeout,
    /// The answer was not HTTP, or more bytes came than it announced.
    Protocol,
    /// The request was due by an open-loop schedule, but no connection became free within the request time-out. Always
    /// zero in a closed loop.
    Shed,
    /// The request was still in flight when the measured window ended. Neither a success nor an error.
    AbortedAtEnd,
}

impl OutcomeClass {
    /// All classes, in the order in which they are reported.
    pub const ALL: [OutcomeClass; 10] = [
        OutcomeClass::Ok,
        OutcomeClass::Status,
        OutcomeClass::ConnectRefused,
        OutcomeClass::ConnectTimeout,
        OutcomeClass::Reset,
        OutcomeClass::Closed,
        OutcomeClass::ReadTimeout,
        OutcomeClass::Protocol,
        OutcomeClass::Shed,
        OutcomeClass::AbortedAtEnd,
    ];

    /// The name in results.json.
    pub fn name(self) -> &'static str {
        match self {
            OutcomeClass::Ok => "ok",
            OutcomeClass::Status => "status",
            OutcomeClass::ConnectRefused => "connect_refused",
            OutcomeClass::ConnectTimeout => "connect_timeout",
            OutcomeClass::Reset => "reset",
            OutcomeClass::Closed => "closed",
            OutcomeClass::ReadTimeout => "read_timeout",
            OutcomeClass::Protocol => "protocol",
            OutcomeClass::Shed => "shed",
            OutcomeClass::AbortedAtEnd => "aborted_at_end",
        }
    }

    /// Whether the request failed.
    pub fn is_error(self) -> bool {
        !matches!(self, OutcomeClass::Ok | OutcomeClass::AbortedAtEnd)
    }
}

/// The number of requests in each class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutcomeCounts([u64; OutcomeClass::ALL.len()]);

impl OutcomeCounts {
    /// Requests over all classes.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Requests over the classes that are errors.
    pub fn errors(&self) -> u64 {
        self.iter().filter(|(class, _)| class.is_error()).map(|(_, n)| n).sum()
    }

    /// Each class with its count.
    pub fn iter(&self) -> impl Iterator<Item = (OutcomeClass, u64)> + '_ {
        OutcomeClass::ALL.into_iter().map(|class| (class, self[class]))
    }

    /// Adds another set of counts to this one.
    pub fn add(&mut self, other: &OutcomeCounts) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }
}

impl Index<OutcomeClass> for OutcomeCounts {
    type Output = u64;
    fn index(&self, class: OutcomeClass) -> &u64 {
        &self.0[class as usize]
    }
}

impl IndexMut<OutcomeClass> for OutcomeCounts {
    fn index_mut(&mut self, class: OutcomeClass) -> &mut u64 {
        &mut self.0[class as usize]
    }
}
