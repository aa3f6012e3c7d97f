//! The figures of control groups, version 2 and version 1: cgroups(7).

mod find;
mod own_group;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::files::Files;
use crate::members::{Members, descends_from};

pub use own_group::{GroupCpu, OwnGroup};

/// The control group of a process: one directory in version 2, one for each controller in version 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroup {
    pub(crate) cpu: Option<Directory>,
    /// Where the CPU quota is.
    quota: Option<Directory>,
    pub(crate) memory: Option<Directory>,
    pids: Option<Directory>,
    unified: Option<PathBuf>,
}

/// The directory of one controller; never the root group, which is the group of the whole machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Directory {
    V1(PathBuf),
    V2(PathBuf),
}

/// How long a group and those above it were throttled, since each was made: [`Cgroup::throttled`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Throttled(Vec<Option<Duration>>);

impl Throttled {
    /// For how long since `earlier` the group that was throttled longest was. In version 1 that is a sum over the CPUs.
    /// `None` if no group says it.
    pub fn since(&self, earlier: &Throttled) -> Option<Duration> {
        let grown = |(now, then): (&Option<Duration>, &Option<Duration>)| Some(now.as_ref()?.saturating_sub((*then)?));
        self.0.iter().zip(&earlier.0).filter_map(grown).max()
    }

    /// For how long the groups were throttled, added up: a counter. `None` if no group says it. Its growth is that of
    /// [`since`](Throttled::since) where one of the groups has a quota, and more where two of them were throttled at once.
    pub fn sum(&self) -> Option<Duration> {
        let known: Vec<Duration> = self.0.iter().flatten().copied().collect();
        (!known.is_empty()).then(|| known.iter().sum())
    }
}

/// The throttled time in a `cpu.stat`: nanoseconds in version 1, microseconds in version 2, where the root has none.
/// Documentation/scheduler/sched-bwc.rst
fn throttled_time(stat: &str) -> Option<Duration> {
    let number = |name: &str| stat.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    number("throttled_time ").map(Duration::from_nanos).or_else(|| number("throttled_usec ").map(Duration::from_micros))
}

/// How long tasks have been stalled because they waited for a resource, in all: Documentation/accounting/psi.rst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pressure {
    /// Waiting for a CPU.
    pub cpu: Option<Stall>,
    /// Waiting for memory.
    pub memory: Option<Stall>,
    /// Waiting for I/O.
    pub io: Option<Stall>,
    /// `"cgroup"`, or `"machine"` where the control group has no pressure files.
    pub scope: &'static str,
}

/// Time lost to one resource since boot, or since the control group was made, to the microsecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stall {
    /// Time in which at least one task was stalled.
    pub some: Duration,
    /// Time in which all tasks that had work to do were stalled; `None` for the CPU on kernels before 5.13.
    pub full: Option<Duration>,
}

/// The control group of this process; in a container, the group of the container.
///
/// `None` if it is the root group, or if no group can be read. The figures of the group include every process in it,
/// this one as well, so they are the cost of a process tree only if the group contains just this tree.
pub fn own_cgroup() -> Option<Cgroup> {
    Cgroup::in_hierarchies(&find::Hierarchies::of_self()?)
}

impl Cgroup {
    pub(crate) fn of(pid: i32) -> Option<Cgroup> {
        Cgroup::in_hierarchies(&find::Hierarchies::of(pid)?)
    }

    fn in_hierarchies(hierarchies: &find::Hierarchies) -> Option<Cgroup> {
        let cgroup = Cgroup {
            cpu: hierarchies.directory("cpuacct"),
            quota: hierarchies.directory("cpu"),
            memory: hierarchies.directory("memory"),
            pids: hierarchies.directory("pids"),
            unified: hierarchies.unified(),
        };
        let none = Cgroup { cpu: None, quota: None, memory: None, pids: None, unified: None };
        (cgroup != none).then_some(cgroup)
    }

    /// The CPU time that all processes of the group, live and dead, have used in it: to the microsecond in version 2,
    /// to the nanosecond in version 1.
    pub fn cpu(&self) -> Option<Duration> {
        match self.cpu.as_ref()? {
            Directory::V1(path) => Some(Duration::from_nanos(read_number(&path.join("cpuacct.usage"))?)),
            Directory::V2(path) => {
                let stat = std::fs::read_to_string(path.join("cpu.stat")).ok()?;
                let usage = stat.lines().find_map(|line| line.strip_prefix("usage_usec "))?;
                Some(Duration::from_micros(usage.parse().ok()?))
            }
        }
    }

    /// How long the kernel has throttled the group, and each group above it that is visible here, because a CPU quota was
    /// used up. The files have it where the `cpu` controller is on.
    pub fn throttled(&self) -> Throttled {
        let files = self.quota.iter().flat_map(|quota| quota.path().ancestors()).map(|path| path.join("cpu.stat"));
        Throttled(
            files.map_while(|file| std::fs::read_to_string(file).ok()).map(|stat| throttled_time(&stat)).collect(),
        )
    }

    /// The CPUs that a quota allows to the group, or to one above it that is visible here: the lowest; `None` without a
    /// quota. Documentation/admin-guide/cgroup-v2.rst (`cpu.max`), Documentation/scheduler/sched-bwc.rst
    pub fn cpu_quota(&self) -> Option<f64> {
        let limit = |path: &Path| {
            if let Ok(text) = std::fs::read_to_string(path.join("cpu.max")) {
                let (quota, period) = text.trim().split_once(' ')?;
                return Some(quota.parse::<f64>().ok()? / period.parse::<f64>().ok()?);
            }
            let quota = read_number(&path.join("cpu.cfs_quota_us"))?; // -1 if there is none
            Some(quota as f64 / read_number(&path.join("cpu.cfs_period_us"))? as f64)
        };
        self.quota.iter().flat_map(|quota| quota.path().ancestors()).filter_map(limit).min_by(f64::total_cmp)
    }

    /// The memory charged to the group now, in bytes: that of its processes, the page cache that they filled, and the
    /// kernel memory that serves them.
    pub fn memory_current(&self) -> Option<u64> {
        match self.memory.as_ref()? {
            Directory::V1(path) => read_number(&path.join("memory.usage_in_bytes")),
            Directory::V2(path) => read_number(&path.join("memory.current")),
        }
    }

    /// The highest value that [`Cgroup::memory_current`] has had. Version 2 has it since Linux 5.19.
    pub fn memory_peak(&self) -> Option<u64> {
        match self.memory.as_ref()? {
            Directory::V1(path) => read_number(&path.join("memory.max_usage_in_bytes")),
            Directory::V2(path) => read_number(&path.join("memory.peak")),
        }
    }

    /// The most bytes that may be charged to the group: the lowest of its own limit and the limits of the groups above it that
    /// are visible here. `None` if there is no limit; without one, version 1 gives a number beyond every memory.
    pub fn memory_max(&self) -> Option<u64> {
        let (directory, name) = match self.memory.as_ref()? {
            directory @ Directory::V1(_) => (directory, "memory.limit_in_bytes"),
            directory @ Directory::V2(_) => (directory, "memory.max"),
        };
        directory.path().ancestors().filter_map(|path| read_number(&path.join(name))).min()
    }

    /// Processes and threads in the group now.
    pub fn pids_current(&self) -> Option<u64> {
        read_number(&self.pids.as_ref()?.path().join("pids.current"))
    }

    /// The most processes and threads that the group may hold: the lowest of its own limit and the limits of the groups
    /// above it that are visible here. `None` if there is no limit.
    pub fn pids_max(&self) -> Option<u64> {
        let limits = self.pids.as_ref()?.path().ancestors().map(|path| path.join("pids.max"));
        limits.take_while(|path| path.exists()).filter_map(|path| read_number(&path)).min()
    }

    /// The pressure figures of the group, in version 2; those of the machine where the group has none.
    pub fn pressure(&self) -> Pressure {
        let of_group =
            self.unified.as_deref().map(|path| Pressure::read("cgroup", |name| path.join(format!("{name}.pressure"))));
        let has_any = |pressure: &Pressure| pressure.cpu.or(pressure.memory).or(pressure.io).is_some();
        of_group.filter(has_any).unwrap_or_else(Pressure::of_machine)
    }
}

impl Pressure {
    /// The figures of the whole machine.
    pub fn of_machine() -> Pressure {
        Pressure::read("machine", |name| Path::new("/proc/pressure").join(name))
    }

    fn read(scope: &'static str, path: impl Fn(&str) -> PathBuf) -> Pressure {
        let stall = |name| Stall::parse(&std::fs::read_to_string(path(name)).ok()?);
        Pressure { cpu: stall("cpu"), memory: stall("memory"), io: stall("io"), scope }
    }
}

impl Stall {
    fn parse(text: &str) -> Option<Stall> {
        let total = |kind| {
            let line = text.lines().find_map(|line| line.strip_prefix(kind))?;
            Some(Duration::from_micros(line.split_once("total=")?.1.trim().parse().ok()?))
        };
        Some(Stall { some: total("some ")?, full: total("full ") })
    }
}

impl Directory {
    fn path(&self) -> &Path {
        match self {
            Directory::V1(path) | Directory::V2(path) => path,
        }
    }

    /// Whether the processes of the group are exactly those of the tree.
    pub fn is_exclusive_to(&self, members: &Members, files: &mut Files) -> bool {
        let Some(in_group) = processes_in(self.path()) else { return false };
        let in_tree: HashSet<i32> = members.examined().map(|member| member.pid).collect();
        let is_in_group = |pid: &i32| find::Hierarchies::of(*pid).is_none_or(|groups| groups.are_within(self.path()));
        // Processes start and exit while the two lists are read, so a pid that is in only one of them is checked again.
        in_tree.difference(&in_group).all(is_in_group)
            && in_group.difference(&in_tree).all(|pid| descends_from(files, *pid, members.root().pid))
    }
}

/// The processes in a group and in all groups below it.
fn processes_in(group: &Path) -> Option<HashSet<i32>> {
    let listed = std::fs::read_to_string(group.join("cgroup.procs")).ok()?;
    let mut pids: HashSet<i32> = listed.lines().filter_map(|pid| pid.parse().ok()).collect();
    for entry in std::fs::read_dir(group).ok()?.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            pids.extend(processes_in(&entry.path()).into_iter().flatten());
        }
    }
    Some(pids)
}

/// The number in a file that holds a single one; `None` if it holds "max".
fn read_number(path: &Path) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_is_parsed_with_and_without_a_full_line() {
        let both = "some avg10=0.10 avg60=0.23 avg300=0.08 total=9403349\nfull avg10=0.00 total=7\n";
        let stall = Stall::parse(both).unwrap();
        assert_eq!((stall.some, stall.full), (Duration::from_micros(9_403_349), Some(Duration::from_micros(7))));
        assert_eq!(Stall::parse("some avg10=0.10 total=1\n").unwrap().full, None);
        assert_eq!(Stall::parse(""), None);
    }

    #[test]
    fn the_group_that_was_throttled_longest_counts() {
        let top = std::env::temp_dir().join(format!("process-tree-throttled-{}", std::process::id()));
        let group = top.join("middle/group");
        std::fs::create_dir_all(&group).unwrap();
        let write = |path: &str, stat: &str| std::fs::write(top.join(path).join("cpu.stat"), stat).unwrap();
        write("", "usage_usec 7\n");
        write("middle", "nr_throttled 3\nthrottled_time 5000\n");
        write("middle/group", "nr_throttled 3\nthrottled_usec 10\n");
        let quota = Some(Directory::V2(group));
        let cgroup = Cgroup { cpu: None, quota, memory: None, pids: None, unified: None };
        let before = cgroup.throttled();
        assert_eq!(cgroup.throttled().since(&before), Some(Duration::ZERO));
        write("middle", "nr_throttled 4\nthrottled_time 8000\n");
        write("middle/group", "nr_throttled 4\nthrottled_usec 11\n");
        assert_eq!(cgroup.throttled().since(&before), Some(Duration::from_micros(3)));
        assert_eq!(cgroup.throttled().since(&Throttled::default()), None);
        assert_eq!((cgroup.throttled().sum(), Throttled::default().sum()), (Some(Duration::from_micros(19)), None));
        std::fs::remove_dir_all(top).unwrap();
    }

    #[test]
    fn the_lowest_cpu_quota_of_the_groups_above_applies() {
        let top = std::env::temp_dir().join(format!("process-tree-quota-{}", std::process::id()));
        let group = top.join("middle/group");
        std::fs::create_dir_all(&group).unwrap();
        let write = |path: &str, text: &str| std::fs::write(top.join(path), text).unwrap();
        let cgroup = Cgroup { cpu: None, quota: Some(Directory::V2(group)), memory: None, pids: None, unified: None };
        write("middle/group/cpu.max", "max 100000\n");
        assert_eq!(cgroup.cpu_quota(), None);
        write("middle/cpu.max", "150000 100000\n");
        assert_eq!(cgroup.cpu_quota(), Some(1.5));
        write("cpu.cfs_quota_us", "50000\n");
        write("cpu.cfs_period_us", "100000\n");
        assert_eq!(cgroup.cpu_quota(), Some(0.5));
        write("cpu.cfs_quota_us", "-1\n");
        assert_eq!(cgroup.cpu_quota(), Some(1.5));
        std::fs::remove_dir_all(top).unwrap();
    }

    #[test]
    fn the_lowest_limit_of_the_groups_above_applies() {
        let top = std::env::temp_dir().join(format!("process-tree-limits-{}", std::process::id()));
        let group = top.join("middle/group");
        std::fs::create_dir_all(&group).unwrap();
        for (path, limit) in [("", "500"), ("middle", "100"), ("middle/group", "max")] {
            std::fs::write(top.join(path).join("pids.max"), limit).unwrap();
            std::fs::write(top.join(path).join("memory.max"), limit).unwrap();
        }
        let [memory, pids] = [group.clone(), group].map(|group| Some(Directory::V2(group)));
        let cgroup = Cgroup { cpu: None, quota: None, memory, pids, unified: None };
        assert_eq!((cgroup.pids_max(), cgroup.memory_max()), (Some(100), Some(100)));
        std::fs::remove_dir_all(top).unwrap();
    }
}
