//! The figures that are dear to read: memory, descriptors and context switches, within a budget.

use std::collections::HashMap;
use std::io;
use std::time::Instant;

use crate::files::Files;
use crate::members::{Generation, Member, Members};
use crate::spread::{AT_LEAST, evenly, scaled};
use crate::switches::Switches;

/// Totals over the tree; `None` of what this process may not read.
#[derive(Debug, Default)]
pub(crate) struct Probe {
    pub pss: Option<u64>,
    pub open_fds: Option<u64>,
    pub switches: Option<Switches>,
    /// The switches of each thread that was read, by thread id.
    pub by_thread: HashMap<i32, Switches>,
    /// Whether all members were read, so that memory and descriptors are no estimates.
    pub has_all_members: bool,
    /// Whether all threads of all members were read, so that switches are no estimates.
    pub has_all_threads: bool,
}

/// The figures of one process, or the sum over some.
#[derive(Debug, Clone, Copy)]
struct Reading {
    pss: Option<u64>,
    open_fds: Option<u64>,
    switches: Option<Switches>,
}

impl Probe {
    /// Reads as many of each generation as there is time for until the deadline.
    ///
    /// Those stand for the rest: they are chosen evenly, and the same ones at each sample of an unchanged tree. The
    /// small generations come first, as theirs are few and unlike the crowd.
    pub fn read(files: &mut Files, members: &Members, deadline: Instant) -> Probe {
        let mut total = Reading::NOTHING;
        let mut probe = Probe { has_all_members: members.is_complete(), has_all_threads: true, ..Probe::default() };
        let mut generations: Vec<&Generation> = members.generations.iter().collect();
        generations.sort_by_key(|generation| generation.len());
        for generation in generations {
            let mut sum = Reading::NOTHING;
            let mut visited = 0;
            for index in evenly(generation.known.len()) {
                if visited >= AT_LEAST && Instant::now() >= deadline {
                    probe.has_all_members = false;
                    break;
                }
                sum = sum.plus(probe.read_member(files, &generation.known[index], deadline));
                visited += 1;
            }
            total = total.plus(sum.scaled(visited, generation.len()));
        }
        Probe { pss: total.pss, open_fds: total.open_fds, switches: total.switches, ..probe }
    }

    fn read_member(&mut self, files: &mut Files, member: &Member, deadline: Instant) -> Reading {
        let (pss, open_fds) = match member.stat.zombie {
            true => (Some(0), Some(0)),
            false => (unless_forbidden(files.pss(member.pid)), unless_forbidden(files.open_fds(member.pid))),
        };
        let tids = member.all_tids();
        let mut switches = Reading::NOTHING.switches;
        let mut visited = 0;
        for index in evenly(tids.len()) {
            if visited >= AT_LEAST && Instant::now() >= deadline {
                self.has_all_threads = false;
                break;
            }
            let of_thread = files.switches(member.pid, tids[index]);
            if let Ok(of_thread) = of_thread {
                self.by_thread.insert(tids[index], of_thread);
            }
            switches = switches.zip(unless_forbidden(of_thread)).map(|(a, b)| a.plus(b));
            visited += 1;
        }
        Reading { pss, open_fds, switches: switches.map(|sum| sum.scaled(visited, tids.len())) }
    }
}

impl Reading {
    const NOTHING: Reading =
        Reading { pss: Some(0), open_fds: Some(0), switches: Some(Switches { voluntary: 0, involuntary: 0 }) };

    fn plus(self, other: Reading) -> Reading {
        Reading {
            pss: self.pss.zip(other.pss).map(|(a, b)| a + b),
            open_fds: self.open_fds.zip(other.open_fds).map(|(a, b)| a + b),
            switches: self.switches.zip(other.switches).map(|(a, b)| a.plus(b)),
        }
    }

    /// What `all` have if this is what `some` of them have.
    fn scaled(self, some: usize, all: usize) -> Reading {
        Reading {
            pss: self.pss.map(|sum| scaled(sum, some, all)),
            open_fds: self.open_fds.map(|sum| scaled(sum, some, all)),
            switches: self.switches.map(|sum| sum.scaled(some, all)),
        }
    }
}

/// A process that vanishes uses nothing; one that may not be read uses nobody knows what.
fn unless_forbidden<T: Default>(figure: io::Result<T>) -> Option<T> {
    match figure {
        Ok(figure) => Some(figure),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => None,
        Err(_) => Some(T::default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_not_be_read_is_not_nothing() {
        let unknown = Reading { pss: None, ..Reading::NOTHING };
        let sum = unknown.plus(Reading { pss: Some(1), open_fds: Some(3), ..Reading::NOTHING }).scaled(2, 10);
        assert_eq!((sum.pss, sum.open_fds), (None, Some(15)));
    }
}
