//! Context switches of threads that come and go.

use std::collections::HashMap;

use crate::spread::scaled;

/// Context switches of one thread, or of several.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Switches {
    pub voluntary: u64,
    pub involuntary: u64,
}

impl Switches {
    pub fn plus(self, other: Switches) -> Switches {
        Switches { voluntary: self.voluntary + other.voluntary, involuntary: self.involuntary + other.involuntary }
    }

    /// What `all` have if this is what `some` of them have.
    pub fn scaled(self, some: usize, all: usize) -> Switches {
        Switches { voluntary: scaled(self.voluntary, some, all), involuntary: scaled(self.involuntary, some, all) }
    }
}

/// Adds up the switches of a tree's threads.
///
/// The kernel shows them for live threads only, so what a thread had when it was last seen is kept when it is gone.
/// Lost is what it did after that, and all that a thread did which lived between two samples.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    live: HashMap<i32, Switches>,
    gone: Switches,
    total: Switches,
}

impl Ledger {
    /// Takes the figures of all live threads, by thread id.
    pub fn complete(&mut self, now: HashMap<i32, Switches>) -> Switches {
        for (tid, before) in self.live.drain() {
            // A thread id with fewer switches than before is another thread.
            let is_same = now
                .get(&tid)
                .is_some_and(|after| after.voluntary >= before.voluntary && after.involuntary >= before.involuntary);
            if !is_same {
                self.gone = self.gone.plus(before);
            }
        }
        let live = now.values().fold(Switches::default(), |sum, of_thread| sum.plus(*of_thread));
        self.live = now;
        self.estimated(live)
    }

    /// Takes an estimate of the sum over the live threads.
    pub fn estimated(&mut self, live: Switches) -> Switches {
        let now = self.gone.plus(live);
        self.total.voluntary = self.total.voluntary.max(now.voluntary);
        self.total.involuntary = self.total.involuntary.max(now.involuntary);
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn threads(list: &[(i32, u64)]) -> HashMap<i32, Switches> {
        list.iter().map(|(tid, n)| (*tid, Switches { voluntary: *n, involuntary: 0 })).collect()
    }

    #[test]
    fn a_thread_that_is_gone_keeps_what_it_had() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.complete(threads(&[(1, 10), (2, 100)])).voluntary, 110);
        assert_eq!(ledger.complete(threads(&[(1, 15)])).voluntary, 115);
        assert_eq!(ledger.complete(threads(&[(1, 15), (2, 3)])).voluntary, 118);
    }

    #[test]
    fn a_thread_id_is_used_again() {
        let mut ledger = Ledger::default();
        ledger.complete(threads(&[(1, 10)]));
        assert_eq!(ledger.complete(threads(&[(1, 2)])).voluntary, 12);
    }

    #[test]
    fn an_estimate_never_goes_backwards() {
        let mut ledger = Ledger::default();
        ledger.complete(threads(&[(1, 10)]));
        assert_eq!(ledger.estimated(Switches { voluntary: 4, involuntary: 1 }).voluntary, 10);
        assert_eq!(ledger.complete(threads(&[(1, 30)])).voluntary, 30);
    }
}
