//! How a request ended: every started request ends in exactly one [`Class`].

use std::ops::{Index, IndexMut};

/// The end of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// A complete answer with a status of 2xx or 3xx.
    Ok,
    /// A complete answer with another status.
    Status,
    /// The target refused the connection.
    ConnectRefused,
    /// No connection within the connect timeout.
    ConnectTimeout,
    /// The connection was reset before the answer was complete.
    Reset,
    /// The connection was closed, without a reset, before the answer was complete.
    Closed,
    /// No complete answer within the request timeout, counted from the first byte sent.
    ReadTimeout,
    /// The answer was not HTTP, or more bytes came than it announced.
    Protocol,
    /// Due by an open-loop schedule, and given up because no connection became free within the request timeout. Zero in a
    /// closed loop.
    Shed,
    /// Still in flight when the measured window ended. Neither a success nor an error.
    AbortedAtEnd,
}

impl Class {
    /// All classes, in the order in which they are reported.
    pub const ALL: [Class; 10] = [
        Class::Ok,
        Class::Status,
        Class::ConnectRefused,
        Class::ConnectTimeout,
        Class::Reset,
        Class::Closed,
        Class::ReadTimeout,
        Class::Protocol,
        Class::Shed,
        Class::AbortedAtEnd,
    ];

    /// The name used in results.json.
    pub fn name(self) -> &'static str {
        match self {
            Class::Ok => "ok",
            Class::Status => "status",
            Class::ConnectRefused => "connect_refused",
            Class::ConnectTimeout => "connect_timeout",
            Class::Reset => "reset",
            Class::Closed => "closed",
            Class::ReadTimeout => "read_timeout",
            Class::Protocol => "protocol",
            Class::Shed => "shed",
            Class::AbortedAtEnd => "aborted_at_end",
        }
    }

    /// Whether this end is a failure of the request.
    pub fn is_error(self) -> bool {
        !matches!(self, Class::Ok | Class::AbortedAtEnd)
    }
}

/// How many requests ended in each class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts([u64; Class::ALL.len()]);

impl Counts {
    /// Requests over all classes.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Requests over the classes that are errors.
    pub fn errors(&self) -> u64 {
        self.iter().filter(|(class, _)| class.is_error()).map(|(_, n)| n).sum()
    }

    /// Each class with its count.
    pub fn iter(&self) -> impl Iterator<Item = (Class, u64)> + '_ {
        Class::ALL.into_iter().map(|class| (class, self[class]))
    }

    /// Adds another count to this one.
    pub fn add(&mut self, other: &Counts) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }
}

impl Index<Class> for Counts {
    type Output = u64;
    fn index(&self, class: Class) -> &u64 {
        &self.0[class as usize]
    }
}

impl IndexMut<Class> for Counts {
    fn index_mut(&mut self, class: Class) -> &mut u64 {
        &mut self.0[class as usize]
    }
}
