//! Finds the processes of a tree, and how much CPU each of them has used.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::time::ClockId;
use nix::unistd::Pid;

use crate::files::{Files, Stat, is_gone, numeric_names_in};
use crate::spread::{MIN_SAMPLE, evenly_spread, scaled};

/// The processes of a tree.
#[derive(Debug)]
pub(crate) struct Members {
    /// The root alone, then its children, then their children, and so on.
    pub generations: Vec<Generation>,
    /// The CPU time of all members, to the nanosecond, without that of the children that they have reaped.
    pub cpu: Duration,
}

/// The processes at one distance from the root. Processes of one generation are usually alike, so some of them can
/// stand for all; processes of different generations seldom are.
#[derive(Debug)]
pub(crate) struct Generation {
    /// The members whose `stat` and children were read.
    pub examined: Vec<Member>,
    /// The number of the other members, of which only the CPU clock was read.
    pub unexamined: usize,
}

/// A process of the tree.
#[derive(Debug)]
pub(crate) struct Member {
    pub pid: i32,
    pub stat: Stat,
    /// The ids of its threads; empty if it has only one, whose id is the pid.
    pub tids: Vec<i32>,
}

/// How long the threads of one process are listed again and again, if need be.
const LISTING_TIME: Duration = Duration::from_millis(2);

/// How the children of a process are found.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ChildSearch {
    /// In `/proc/PID/task/TID/children`.
    ChildrenFiles,
    /// By the parent of each process on the machine, for kernels without CONFIG_PROC_CHILDREN.
    ParentScan,
}

impl ChildSearch {
    pub fn of_this_kernel() -> ChildSearch {
        match Path::new("/proc/thread-self/children").exists() {
            true => ChildSearch::ChildrenFiles,
            false => ChildSearch::ParentScan,
        }
    }
}

impl Members {
    /// Finds the root and all its descendants.
    ///
    /// When the deadline has passed, and the members of a generation that were examined so far have no children and
    /// have reaped none, the rest of that generation is assumed to have none either: only their CPU clocks are read.
    /// The examined ones are spread evenly over the generation. In the same way, only some threads of a process with
    /// many threads are then asked for children.
    ///
    /// All `stat` files are read before all CPU clocks, which keeps a child from being counted twice. When the parent
    /// waits for the child, the child's CPU time moves to the parent's reaped figures, which are in the parent's
    /// `stat`; from then on the child's clock cannot be read. So if the clock can be read, no `stat` that was read
    /// before contained the child in its reaped figures, whatever the order of the walk and whichever process inherits
    /// the child. If the clock cannot be read, the child is left out: it may be missed in this sample, but the next one
    /// counts it once, in its parent's figures.
    ///
    /// `before_clocks` is called when all `stat` files are read, just before the clocks are.
    ///
    /// # Errors
    ///
    /// NotFound if the root does not exist; a descendant that vanishes is left out.
    pub fn find(
        search: ChildSearch,
        files: &mut Files,
        root: Pid,
        deadline: Instant,
        before_clocks: impl FnOnce(),
    ) -> io::Result<Members> {
        let root = root.as_raw();
        let by_parent = match search {
            ChildSearch::ChildrenFiles => None,
            ChildSearch::ParentScan => Some(ChildrenByParent::scan(files)?),
        };
        let mut generations: Vec<(Vec<Member>, Vec<i32>)> = Vec::new();
        let mut seen = HashSet::from([root]);
        let mut generation = vec![root];
        while !generation.is_empty() {
            let (mut examined, mut unexamined, mut children) = (Vec::new(), Vec::new(), Vec::new());
            let mut is_childless = true;
            for (visited, index) in evenly_spread(generation.len()).enumerate() {
                let pid = generation[index];
                if visited >= MIN_SAMPLE && is_childless && Instant::now() >= deadline {
                    unexamined.extend(evenly_spread(generation.len()).skip(visited).map(|index| generation[index]));
                    break;
                }
                let member = Member::read(files, pid, deadline.min(Instant::now() + LISTING_TIME));
                match (&by_parent, &member) {
                    (Some(by_parent), _) => children.extend(by_parent.of(pid)),
                    (None, Ok(member)) => member.list_children(files, &mut children, deadline)?,
                    (None, Err(_)) => {}
                }
                match member {
                    Ok(member) => {
                        is_childless &= children.is_empty() && member.stat.reaped_minor_faults == 0;
                        examined.push(member);
                    }
                    Err(error) if is_gone(&error) => {}
                    Err(error) => return Err(error),
                }
            }
            generations.push((examined, unexamined));
            // A child is listed twice if it moves from one thread to another between the reading of their lists.
            children.retain(|pid| seen.insert(*pid));
            generation = children;
        }

        before_clocks();
        let mut cpu = Duration::ZERO;
        let mut is_alive = |pid| own_cpu(pid).map(|own| cpu += own).is_some();
        let mut generations: Vec<Generation> = generations
            .into_iter()
            .map(|(mut examined, mut unexamined)| {
                examined.retain(|member| is_alive(member.pid));
                unexamined.retain(|pid| is_alive(*pid));
                Generation { examined, unexamined: unexamined.len() }
            })
            .collect();
        generations.retain(|generation| !generation.examined.is_empty());
        let members = Members { generations, cpu };
        if members.examined().next().is_none_or(|first| first.pid != root) {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("process {root} is gone")));
        }
        Ok(members)
    }

    /// The examined members of all generations, the root first.
    pub fn examined(&self) -> impl Iterator<Item = &Member> {
        self.generations.iter().flat_map(|generation| &generation.examined)
    }

    /// The root.
    pub fn root(&self) -> &Member {
        &self.generations[0].examined[0]
    }

    /// The number of members.
    pub fn len(&self) -> usize {
        self.generations.iter().map(Generation::len).sum()
    }

    /// Whether all members were examined.
    pub fn is_complete(&self) -> bool {
        self.generations.iter().all(|generation| generation.unexamined == 0)
    }

    /// The total of a figure over all members; the examined members of a generation stand for its others.
    pub fn sum(&self, figure: impl Fn(&Stat) -> u64) -> u64 {
        let in_generation = |generation: &Generation| {
            let sum = generation.examined.iter().map(|member| figure(&member.stat)).sum();
            scaled(sum, generation.examined.len(), generation.len())
        };
        self.generations.iter().map(in_generation).sum()
    }
}

impl Generation {
    /// The number of members.
    pub fn len(&self) -> usize {
        self.examined.len() + self.unexamined
    }
}

/// The CPU time that the threads of the process have used; `None` if it does not exist. A zombie still has its clock.
fn own_cpu(pid: i32) -> Option<Duration> {
    Some(ClockId::pid_cpu_clock_id(Pid::from_raw(pid)).ok()?.now().ok()?.into())
}

impl Member {
    /// Reads the `stat` and the thread ids of a process; again and again until the list of threads is whole, but not after
    /// `until`.
    fn read(files: &mut Files, pid: i32, until: Instant) -> io::Result<Member> {
        whole(until, || {
            let stat = files.stat(pid)?;
            let tids = if stat.threads > 1 { files.threads(pid)? } else { Vec::new() };
            Ok(Member { pid, stat, tids })
        })
    }

    /// Appends its children; those of some threads only, if there are many and the deadline has passed.
    fn list_children(&self, files: &mut Files, children: &mut Vec<i32>, deadline: Instant) -> io::Result<()> {
        let tids = self.all_tids();
        for (visited, index) in evenly_spread(tids.len()).enumerate() {
            if visited >= MIN_SAMPLE && Instant::now() >= deadline {
                break;
            }
            match files.children(self.pid, tids[index], children) {
                // The children of a thread that ends move to another thread.
                Err(error) if !is_gone(&error) => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// The ids of its threads, of which there is at least one.
    pub fn all_tids(&self) -> &[i32] {
        if self.tids.is_empty() { std::slice::from_ref(&self.pid) } else { &self.tids }
    }
}

/// What `read` gives as soon as its list of threads is not shorter than the number in `stat`, or `until` has passed.
///
/// If a thread ends while the kernel lists it, the list ends there, and the younger threads are missing. (Much less often the
/// kernel leaves out one thread and goes on. Nothing shows that.)
fn whole(until: Instant, mut read: impl FnMut() -> io::Result<Member>) -> io::Result<Member> {
    loop {
        let member = read()?;
        if member.all_tids().len() as u64 >= member.stat.threads || Instant::now() >= until {
            return Ok(member);
        }
    }
}

/// Every process on the machine, grouped by its parent.
struct ChildrenByParent(HashMap<i32, Vec<i32>>);

impl ChildrenByParent {
    fn scan(files: &mut Files) -> io::Result<ChildrenByParent> {
        let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
        for pid in numeric_names_in("/proc")? {
            if let Ok(stat) = files.stat(pid) {
                children.entry(stat.ppid).or_default().push(pid);
            }
        }
        Ok(ChildrenByParent(children))
    }

    fn of(&self, pid: i32) -> impl Iterator<Item = i32> {
        self.0.get(&pid).into_iter().flatten().copied()
    }
}

/// Whether a process is `root` or descends from it. True, too, if the process vanishes while this is checked.
pub(crate) fn descends_from(files: &mut Files, mut pid: i32, root: i32) -> bool {
    while pid != root {
        // Pid 0 is the parent of init and, in a pid namespace, of every process that was started from outside.
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
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};

    #[test]
    fn a_child_is_found_by_the_children_files_and_by_the_scan() {
        // The shell prints the pid of its child, which is `cat` and runs until its standard input is closed.
        let mut shell = Command::new("sh")
            .args(["-c", "sh -c 'echo $$; exec cat'; true"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(shell.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let (root, child) = (Pid::from_raw(shell.id() as i32), line.trim().parse().unwrap());
        let mut files = Files::new();
        for search in [ChildSearch::ChildrenFiles, ChildSearch::ParentScan] {
            let members = Members::find(search, &mut files, root, Instant::now(), || ()).unwrap();
            let found: Vec<i32> = members.examined().map(|member| member.pid).collect();
            assert_eq!(found, [root.as_raw(), child], "{search:?}: {members:?}");
        }
        assert!(descends_from(&mut files, child, std::process::id() as i32));
        assert!(!descends_from(&mut files, nix::unistd::getppid().as_raw(), root.as_raw()));
        drop(shell.stdin.take());
        shell.wait().unwrap();
    }

    #[test]
    fn a_list_of_threads_that_was_cut_short_is_read_again() {
        let stat = Files::new().stat(std::process::id() as i32).unwrap();
        // The lists of a process with that many threads, as they come: how many are read, and how long is the last one?
        let read = |threads: u64, lengths: &[i32], until: Instant| {
            let mut lists = lengths.iter();
            let next = || {
                let tids = (0..*lists.next().ok_or(io::ErrorKind::NotFound)?).collect();
                Ok(Member { pid: 1, stat: Stat { threads, ..stat }, tids })
            };
            let member = whole(until, next).map(|member| member.tids.len()).map_err(|error| error.kind());
            (lengths.len() - lists.len(), member)
        };
        let later = Instant::now() + Duration::from_secs(3600);
        assert_eq!(read(1, &[0, 9], later), (1, Ok(0)), "one thread needs no list");
        assert_eq!(read(3, &[3, 9], later), (1, Ok(3)));
        assert_eq!(read(3, &[2, 1, 4, 9], later), (3, Ok(4)), "a thread began after `stat` was read");
        assert_eq!(read(3, &[2, 9], Instant::now()), (1, Ok(2)), "there is no time left");
        assert_eq!(read(3, &[2], later), (1, Err(io::ErrorKind::NotFound)), "the process has ended");
    }
}
