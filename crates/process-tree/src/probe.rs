//! Reads the figures that are expensive to read (memory, descriptors and context switches), within a budget of time.

use std::collections::HashMap;
use std::io;
use std::time::Instant;

use crate::files::{Files, is_gone};
use crate::members::{Generation, Member, Members};
use crate::spread::{MIN_SAMPLE, evenly_spread, scaled};
use crate::switches::Switches;

/// Totals over the tree; `None` for a figure that this process has no permission to read.
#[derive(Debug, Default)]
pub(crate) struct Probe {
    pub pss: Option<u64>,
    pub open_fds: Option<u64>,
    pub switches: Option<Switches>,
    /// The switches of each thread that was read, by thread id.
    pub by_thread: HashMap<i32, Switches>,
    /// Whether all members were read. If not, memory and descriptors are estimates.
    pub has_all_members: bool,
    /// Whether all threads of all the members that were read were read. If not, the switches are an estimate.
    pub has_all_threads: bool,
}

/// The figures of one process, or the sums over several.
#[derive(Debug, Clone, Copy)]
struct Reading {
    pss: Option<u64>,
    open_fds: Option<u64>,
    switches: Option<Switches>,
}

impl Probe {
    /// Reads as many members of each generation as the time until the deadline allows.
    ///
    /// The members that were read stand for the rest of their generation. They are spread evenly over it, and are the
    /// same ones in each sample of an unchanged tree. Small generations come first: they have few members, which seldom
    /// resemble those of the large ones.
    pub fn read(files: &mut Files, members: &Members, deadline: Instant) -> Probe {
        let mut total = Reading::ZERO;
        let mut probe = Probe { has_all_members: members.is_complete(), has_all_threads: true, ..Probe::default() };
        let mut generations: Vec<&Generation> = members.generations.iter().collect();
        generations.sort_by_key(|generation| generation.len());
        for generation in generations {
            let mut sum = Reading::ZERO;
            let mut visited = 0;
            for index in evenly_spread(generation.examined.len()) {
                if visited >= MIN_SAMPLE && Instant::now() >= deadline {
                    probe.has_all_members = false;
                    break;
                }
                sum = sum.plus(probe.read_member(files, &generation.examined[index], deadline));
                visited += 1;
            }
            total = total.plus(sum.scaled(visited, generation.len()));
        }
        Probe { pss: total.pss, open_fds: total.open_fds, switches: total.switches, ..probe }
    }

    fn read_member(&mut self, files: &mut Files, member: &Member, deadline: Instant) -> Reading {
        let (pss, open_fds) = match member.stat.zombie {
            true => (Some(0), Some(0)),
            false => (unless_unknown(files.pss(member.pid)), unless_unknown(files.open_fds(member.pid))),
        };
        let tids = member.all_tids();
        let mut switches = Reading::ZERO.switches;
        let mut visited = 0;
        for index in evenly_spread(tids.len()) {
            if visited >= MIN_SAMPLE && Instant::now() >= deadline {
                self.has_all_threads = false;
                break;
            }
            let of_thread = files.switches(member.pid, tids[index]);
            if let Ok(of_thread) = of_thread {
                self.by_thread.insert(tids[index], of_thread);
            }
            switches = switches.zip(unless_unknown(of_thread)).map(|(a, b)| a.plus(b));
            visited += 1;
        }
        Reading { pss, open_fds, switches: switches.map(|sum| sum.scaled(visited, tids.len())) }
    }
}

impl Reading {
    const ZERO: Reading =
        Reading { pss: Some(0), open_fds: Some(0), switches: Some(Switches { voluntary: 0, involuntary: 0 }) };

    fn plus(self, other: Reading) -> Reading {
        Reading {
            pss: self.pss.zip(other.pss).map(|(a, b)| a + b),
            open_fds: self.open_fds.zip(other.open_fds).map(|(a, b)| a + b),
            switches: self.switches.zip(other.switches).map(|(a, b)| a.plus(b)),
        }
    }

    /// Extrapolates the sum over `some` processes to `all` of them.
    fn scaled(self, some: usize, all: usize) -> Reading {
        Reading {
            pss: self.pss.map(|sum| scaled(sum, some, all)),
            open_fds: self.open_fds.map(|sum| scaled(sum, some, all)),
            switches: self.switches.map(|sum| sum.scaled(some, all)),
        }
    }
}

/// A process that has vanished uses nothing, so its figure is zero. If this process has no permission to read the
/// figure, or the kernel does not have it, it is unknown: `None`.
fn unless_unknown<T: Default>(figure: io::Result<T>) -> Option<T> {
    match figure {
        Ok(figure) => Some(figure),
        Err(error) if is_gone(&error) => Some(T::default()),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_zero_only_if_the_process_is_gone() {
        let figure = |error: io::Error| unless_unknown::<u64>(Err(error));
        assert_eq!(figure(io::Error::from_raw_os_error(libc::ESRCH)), Some(0));
        for kind in [io::ErrorKind::PermissionDenied, io::ErrorKind::Unsupported, io::ErrorKind::InvalidData] {
            assert_eq!(figure(kind.into()), None);
        }
    }

    #[test]
    fn a_sum_with_an_unreadable_figure_is_unknown() {
        let unknown = Reading { pss: None, ..Reading::ZERO };
        let sum = unknown.plus(Reading { pss: Some(1), open_fds: Some(3), ..Reading::ZERO }).scaled(2, 10);
        assert_eq!((sum.pss, sum.open_fds), (None, Some(15)));
    }
}
