//! Who is in the tree, and what CPU each has used.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::time::ClockId;
use nix::unistd::Pid;

use crate::files::{Files, Stat, is_gone, numbers_in};
use crate::spread::{AT_LEAST, evenly, scaled};

/// The processes of a tree.
#[derive(Debug)]
pub(crate) struct Members {
    /// The root alone, then its children, then theirs, and so on.
    pub generations: Vec<Generation>,
    /// Own CPU of all, to the nanosecond, without that of the children which they have reaped.
    pub cpu: Duration,
}

/// Processes equally far from the root. Within a generation some can stand for all: across, they are seldom alike.
#[derive(Debug)]
pub(crate) struct Generation {
    /// Those of whom all is known.
    pub known: Vec<Member>,
    /// How many there are besides, of whom only the CPU is known.
    pub others: usize,
}

/// A process of the tree.
#[derive(Debug)]
pub(crate) struct Member {
    pub pid: i32,
    pub stat: Stat,
    /// The ids of its threads; empty if it has only one, whose id is the pid.
    pub tids: Vec<i32>,
}

/// How a process's children are found.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Lineage {
    /// In `/proc/PID/task/TID/children`.
    Listed,
    /// By the parent that each process on the machine names, for kernels without CONFIG_PROC_CHILDREN.
    Scanned,
}

impl Lineage {
    pub fn of_this_kernel() -> Lineage {
        if Path::new("/proc/thread-self/children").exists() { Lineage::Listed } else { Lineage::Scanned }
    }
}

impl Members {
    /// The root and all its descendants.
    ///
    /// From the deadline on, the rest of a generation is taken to be without children, and only its CPU is read, if
    /// those of it that have been seen are so and have reaped none; they are chosen evenly. Of a process with many
    /// threads, likewise, only some are then asked for children.
    ///
    /// All `stat` files are read before all CPU clocks, and that keeps a child from being counted twice. Its CPU moves
    /// to the parent's reaped figures, which are in the parent's `stat`, when the parent waits for it; from then on its
    /// clock cannot be read. So if its clock can be read, no `stat` had it in its reaped figures, whatever the order of
    /// the walk and whoever inherits it. If it cannot, the child is left out: perhaps missed this time, but counted
    /// once, in its parent's figures, the next time.
    ///
    /// # Errors
    ///
    /// NotFound if the root is gone; a descendant that vanishes is left out.
    pub fn find(lineage: Lineage, files: &mut Files, root: Pid, deadline: Instant) -> io::Result<Members> {
        let root = root.as_raw();
        let census = match lineage {
            Lineage::Listed => None,
            Lineage::Scanned => Some(Census::take(files)?),
        };
        let mut generations: Vec<(Vec<Member>, Vec<i32>)> = Vec::new();
        let mut seen = HashSet::from([root]);
        let mut generation = vec![root];
        while !generation.is_empty() {
            let (mut known, mut unread, mut children) = (Vec::new(), Vec::new(), Vec::new());
            let mut is_childless = true;
            for (visited, index) in evenly(generation.len()).enumerate() {
                let pid = generation[index];
                if visited >= AT_LEAST && is_childless && Instant::now() >= deadline {
                    unread.extend(evenly(generation.len()).skip(visited).map(|index| generation[index]));
                    break;
                }
                let member = match &census {
                    Some(census) => census.look(files, pid, &mut children),
                    None => look(files, pid, &mut children, deadline),
                };
                match member {
                    Ok(member) => {
                        is_childless &= children.is_empty() && member.stat.reaped_minor_faults == 0;
                        known.push(member);
                    }
                    Err(error) if is_gone(&error) => {}
                    Err(error) => return Err(error),
                }
            }
            generations.push((known, unread));
            // One that passes from a thread to another while we read them is listed twice.
            children.retain(|pid| seen.insert(*pid));
            generation = children;
        }

        let mut cpu = Duration::ZERO;
        let mut is_alive = |pid| own_cpu(pid).map(|own| cpu += own).is_some();
        let mut generations: Vec<Generation> = generations
            .into_iter()
            .map(|(mut known, mut unread)| {
                known.retain(|member| is_alive(member.pid));
                unread.retain(|pid| is_alive(*pid));
                Generation { known, others: unread.len() }
            })
            .collect();
        generations.retain(|generation| !generation.known.is_empty());
        let members = Members { generations, cpu };
        if members.known().next().is_none_or(|first| first.pid != root) {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("process {root} is gone")));
        }
        Ok(members)
    }

    /// Those of whom all is known, the root first.
    pub fn known(&self) -> impl Iterator<Item = &Member> {
        self.generations.iter().flat_map(|generation| &generation.known)
    }

    /// The root.
    pub fn root(&self) -> &Member {
        &self.generations[0].known[0]
    }

    /// The number of all.
    pub fn len(&self) -> usize {
        self.generations.iter().map(Generation::len).sum()
    }

    /// Whether all are known.
    pub fn is_complete(&self) -> bool {
        self.generations.iter().all(|generation| generation.others == 0)
    }

    /// The total of a figure over all; those known of a generation stand for the others.
    pub fn sum(&self, figure: impl Fn(&Stat) -> u64) -> u64 {
        let in_generation = |generation: &Generation| {
            let known = generation.known.iter().map(|member| figure(&member.stat)).sum();
            scaled(known, generation.known.len(), generation.len())
        };
        self.generations.iter().map(in_generation).sum()
    }
}

impl Generation {
    /// The number of all.
    pub fn len(&self) -> usize {
        self.known.len() + self.others
    }
}

/// The CPU that the process's own threads have used; `None` if it is gone. A zombie still has its clock.
fn own_cpu(pid: i32) -> Option<Duration> {
    Some(ClockId::pid_cpu_clock_id(Pid::from_raw(pid)).ok()?.now().ok()?.into())
}

/// Reads a process's `stat` and appends its children.
fn look(files: &mut Files, pid: i32, children: &mut Vec<i32>, deadline: Instant) -> io::Result<Member> {
    let member = Member::read(files, pid)?;
    let tids = member.all_tids();
    for (visited, index) in evenly(tids.len()).enumerate() {
        if visited >= AT_LEAST && Instant::now() >= deadline {
            break;
        }
        match files.children(pid, tids[index], children) {
            // A thread that ends leaves its children to another.
            Err(error) if !is_gone(&error) => return Err(error),
            _ => {}
        }
    }
    Ok(member)
}

impl Member {
    fn read(files: &mut Files, pid: i32) -> io::Result<Member> {
        let stat = files.stat(pid)?;
        let tids = if stat.threads > 1 { files.threads(pid)? } else { Vec::new() };
        Ok(Member { pid, stat, tids })
    }

    /// The ids of its threads, in any case at least one.
    pub fn all_tids(&self) -> &[i32] {
        if self.tids.is_empty() { std::slice::from_ref(&self.pid) } else { &self.tids }
    }
}

/// Every process on the machine by its parent.
struct Census {
    children: HashMap<i32, Vec<i32>>,
}

impl Census {
    fn take(files: &mut Files) -> io::Result<Census> {
        let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
        for pid in numbers_in("/proc")? {
            if let Ok(stat) = files.stat(pid) {
                children.entry(stat.ppid).or_default().push(pid);
            }
        }
        Ok(Census { children })
    }

    fn look(&self, files: &mut Files, pid: i32, children: &mut Vec<i32>) -> io::Result<Member> {
        children.extend(self.children.get(&pid).into_iter().flatten());
        Member::read(files, pid)
    }
}

/// Whether a process descends from `root` or is it; true of one that vanishes while we look.
pub(crate) fn descends_from(files: &mut Files, mut pid: i32, root: i32) -> bool {
    while pid != root {
        // Process 0 is the parent of init and, in a pid namespace, of whatever came from outside.
        if pid <= 0 {
            return false;
        }
        match files.stat(pid) {
            Ok(stat) => pid = stat.ppid,
            Err(_) => return true,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn the_scan_finds_whom_the_lists_name() {
        let me = nix::unistd::getpid();
        // It lives until its standard input ends.
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let mut files = Files::new();
        for lineage in [Lineage::Listed, Lineage::Scanned] {
            let members = Members::find(lineage, &mut files, me, Instant::now()).unwrap();
            assert_eq!(members.root().pid, me.as_raw());
            assert!(members.known().any(|member| member.pid == child.id() as i32), "{lineage:?}: {members:?}");
        }
        assert!(descends_from(&mut files, child.id() as i32, me.as_raw()));
        assert!(!descends_from(&mut files, nix::unistd::getppid().as_raw(), me.as_raw()));
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}
