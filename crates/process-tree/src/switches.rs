//! Adds up the context switches of threads that start and end between samples.

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

    /// Extrapolates the switches of `some` threads to `all` of them.
    pub fn scaled(self, some: usize, all: usize) -> Switches {
        Switches { voluntary: scaled(self.voluntary, some, all), involuntary: scaled(self.involuntary, some, all) }
    }
}

/// Adds up the switches of all threads that a tree has and has had.
///
/// The kernel reports the switches of live threads only, so the last count of a thread that has ended is kept. Switches
/// after that count are lost, and so are all switches of a thread that lived only between two samples.
#[derive(Debug, Default)]
pub(crate) struct SwitchTotals {
    live: HashMap<i32, Switches>,
    /// The last counts of the threads that have ended, added up.
    ended: Switches,
    total: Switches,
}

impl SwitchTotals {
    /// Updates the total with the switches of all live threads, by thread id.
    pub fn update(&mut self, now: HashMap<i32, Switches>) -> Switches {
        for (tid, before) in self.live.drain() {
            // If a thread id has fewer switches than before, the kernel has reused it for another thread.
            let is_same = now
                .get(&tid)
                .is_some_and(|after| after.voluntary >= before.voluntary && after.involuntary >= before.involuntary);
            if !is_same {
                self.ended = self.ended.plus(before);
            }
        }
        let live = now.values().fold(Switches::default(), |sum, of_thread| sum.plus(*of_thread));
        self.live = now;
        self.update_by_estimate(live)
    }

    /// Updates the total with an estimate of the sum over the live threads.
    pub fn update_by_estimate(&mut self, live: Switches) -> Switches {
        let now = self.ended.plus(live);
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
    fn the_switches_of_an_ended_thread_are_kept() {
        let mut totals = SwitchTotals::default();
        assert_eq!(totals.update(threads(&[(1, 10), (2, 100)])).voluntary, 110);
        assert_eq!(totals.update(threads(&[(1, 15)])).voluntary, 115);
        assert_eq!(totals.update(threads(&[(1, 15), (2, 3)])).voluntary, 118);
    }

    #[test]
    fn a_reused_thread_id_counts_as_another_thread() {
        let mut totals = SwitchTotals::default();
        totals.update(threads(&[(1, 10)]));
        assert_eq!(totals.update(threads(&[(1, 2)])).voluntary, 12);
    }

    #[test]
    fn an_estimate_never_makes_the_total_go_backwards() {
        let mut totals = SwitchTotals::default();
        totals.update(threads(&[(1, 10)]));
        assert_eq!(totals.update_by_estimate(Switches { voluntary: 4, involuntary: 1 }).voluntary, 10);
        assert_eq!(totals.update(threads(&[(1, 30)])).voluntary, 30);
    }
}
