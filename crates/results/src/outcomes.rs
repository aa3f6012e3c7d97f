//! The outcomes of requests: every request that was started ends in exactly one [`OutcomeClass`].

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
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
    /// A complete answer of the right status, whose length or content was not that of the answers before the load.
    Content,
    /// The request was due by an open-loop schedule, but no connection became free within the request time-out. Always
    /// zero in a closed loop.
    Shed,
    /// The request was still in flight when a closed loop's window ended, or when the trial was interrupted. Neither a
    /// success nor an error.
    AbortedAtEnd,
}

impl OutcomeClass {
    /// All classes, in the order in which they are reported.
    pub const ALL: [OutcomeClass; 11] = [
        OutcomeClass::Ok,
        OutcomeClass::Status,
        OutcomeClass::ConnectRefused,
        OutcomeClass::ConnectTimeout,
        OutcomeClass::Reset,
        OutcomeClass::Closed,
        OutcomeClass::ReadTimeout,
        OutcomeClass::Protocol,
        OutcomeClass::Content,
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
            OutcomeClass::Content => "content",
            OutcomeClass::Shed => "shed",
            OutcomeClass::AbortedAtEnd => "aborted_at_end",
        }
    }

    /// Whether the request failed.
    pub fn is_error(self) -> bool {
        !matches!(self, OutcomeClass::Ok | OutcomeClass::AbortedAtEnd)
    }
}

/// The number of requests in each class. results.json has them as `requests` (all), `ok`, and `errors`: the other
/// classes by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "OutcomesJson", try_from = "OutcomesJson")]
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

    /// Requests that got a complete answer, whatever its status and content.
    pub fn answered(&self) -> u64 {
        self[OutcomeClass::Ok] + self[OutcomeClass::Status] + self[OutcomeClass::Content]
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

#[derive(Serialize, Deserialize)]
struct OutcomesJson {
    requests: u64,
    ok: u64,
    errors: BTreeMap<String, u64>,
}

impl From<OutcomeCounts> for OutcomesJson {
    fn from(counts: OutcomeCounts) -> OutcomesJson {
        let others = counts.iter().filter(|&(class, _)| class != OutcomeClass::Ok);
        let errors = others.map(|(class, count)| (class.name().to_owned(), count)).collect();
        OutcomesJson { requests: counts.total(), ok: counts[OutcomeClass::Ok], errors }
    }
}

impl TryFrom<OutcomesJson> for OutcomeCounts {
    type Error = String;

    fn try_from(json: OutcomesJson) -> Result<OutcomeCounts, String> {
        let mut counts = OutcomeCounts::default();
        counts[OutcomeClass::Ok] = json.ok;
        for (name, count) in json.errors {
            let known = OutcomeClass::ALL.into_iter().find(|class| class.name() == name);
            counts[known.ok_or_else(|| format!("'{name}' is no outcome of a request"))?] += count;
        }
        match counts.total() == json.requests {
            true => Ok(counts),
            false => Err(format!("{} requests have {} outcomes", json.requests, counts.total())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_survive_their_json_and_wrong_ones_are_refused() {
        let mut counts = OutcomeCounts::default();
        for (n, class) in (1..).zip(OutcomeClass::ALL) {
            counts[class] = n;
        }
        let json = serde_json::to_string(&counts).unwrap();
        assert_eq!(serde_json::from_str::<OutcomeCounts>(&json).unwrap(), counts);
        assert_eq!((counts.total(), counts.errors(), counts.answered()), (66, 54, 12));
        for bad in [r#"{"requests":1,"ok":0,"errors":{}}"#, r#"{"requests":1,"ok":0,"errors":{"lost":1}}"#] {
            assert!(serde_json::from_str::<OutcomeCounts>(bad).is_err(), "{bad}");
        }
    }
}
