//! A control group that contains this process and its descendants alone: [`OwnGroup`].

use std::fs::{create_dir, read_dir, read_to_string, remove_dir, write};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::time::{ClockId, clock_gettime};

use super::find::Hierarchies;
use super::{Directory, processes_in};

/// For how long a group is tried to be removed: it stays busy for a moment after its last process has left.
const REMOVAL_TIME: Duration = Duration::from_millis(200);

/// A control group that contains this process and its descendants alone, from which the CPU time of the descendants is
/// known, however short they live.
///
/// The clock of a process lacks what the kernel does at the end of each of its threads, which is 2 µs a thread (measured on
/// Linux 6.18), and wait4(2) rounds the time of each child down to a microsecond. A group lacks nothing.
#[derive(Debug)]
pub struct OwnGroup {
    place: Place,
    /// What the group and this process had used when this value was made.
    before: Used,
}

/// Where this process is.
#[derive(Debug)]
struct Place {
    group: Directory,
    /// The group in which it was before, if it has made `group`. When this value is dropped, it returns there and removes
    /// `group`.
    parent: Option<PathBuf>,
}

/// CPU time of the whole group, and of this process.
#[derive(Debug, Clone, Copy)]
struct Used {
    group: GroupCpu,
    own: GroupCpu,
}

/// The most CPU time that a process has used which only starts another one and waits for it.
const WAITING: Duration = Duration::from_millis(100);

/// Whether a process has hardly used a CPU so far.
fn only_waits(pid: i32) -> bool {
    let clock = ClockId::pid_cpu_clock_id(nix::unistd::Pid::from_raw(pid)).and_then(ClockId::now);
    clock.is_ok_and(|used| Duration::from(used) < WAITING)
}

/// CPU time of the processes of a control group, live and dead: [`OwnGroup::cpu`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GroupCpu {
    /// User and system time together: to the microsecond in version 2, to the nanosecond in version 1.
    pub total: Duration,
    /// The part of it in user mode, in version 2. The kernel samples which mode each clock tick interrupts, so it is wrong by
    /// some ticks at first, and becomes better with time.
    pub user: Option<Duration>,
}

impl OwnGroup {
    /// Takes the group of this process if it is alone in it, but for the init that a container may have, which only waits;
    /// else makes one below it, in version 2, and moves this process there. It limits nothing.
    ///
    /// What is started in the group from outside, such as the health check of a container, counts as a descendant. To be
    /// called before there is a child. The groups that [`own_cgroup`](super::own_cgroup) finds afterwards may have no
    /// figures but the CPU time.
    ///
    /// # Errors
    /// This process may not make a group, or there is no version 2.
    pub fn find_or_make(name: &str) -> io::Result<OwnGroup> {
        let hierarchies = Hierarchies::of_self().ok_or(io::ErrorKind::Unsupported)?;
        let this = std::process::id() as i32;
        let init = Some(1).filter(|&init| nix::unistd::getppid().as_raw() == init);
        let is_ours = |pid: &i32| *pid == this || Some(*pid) == init;
        let alone = hierarchies
            .directory("cpuacct")
            .filter(|group| {
                processes_in(group.path()).is_some_and(|all| all.contains(&this) && all.iter().all(is_ours))
            })
            .filter(|_| init.is_none_or(only_waits));
        let place = match alone {
            Some(group) => Place { group, parent: None },
            None => {
                let parent = hierarchies.v2().ok_or(io::ErrorKind::Unsupported)?;
                Place { group: Directory::V2(make(&parent, name)?), parent: Some(parent) }
            }
        };
        Ok(OwnGroup { before: Used::read(&place.group)?, place })
    }

    /// The CPU time of the others from the making of this value on.
    ///
    /// # Errors
    /// The files of the group cannot be read.
    pub fn cpu(&self) -> io::Result<GroupCpu> {
        let now = Used::read(&self.place.group)?;
        let grown = |of: fn(&GroupCpu) -> Duration| {
            let own = of(&now.own).saturating_sub(of(&self.before.own));
            of(&now.group).saturating_sub(of(&self.before.group)).saturating_sub(own)
        };
        let total = grown(|cpu| cpu.total);
        let user = now.group.user.map(|_| grown(|cpu| cpu.user.unwrap_or_default()).min(total));
        Ok(GroupCpu { total, user })
    }
}

impl Used {
    fn read(group: &Directory) -> io::Result<Used> {
        // The kernel brings the time of this process up to date when its clock is read, so that comes first.
        let total = Duration::from(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)?);
        let group = match group {
            Directory::V1(path) => {
                let usage = read_to_string(path.join("cpuacct.usage"))?;
                GroupCpu { total: Duration::from_nanos(usage.trim().parse().map_err(io::Error::other)?), user: None }
            }
            Directory::V2(path) => parse(&read_to_string(path.join("cpu.stat"))?).ok_or(io::ErrorKind::InvalidData)?,
        };
        let user = getrusage(UsageWho::RUSAGE_SELF)?.user_time();
        let user = Duration::new(user.tv_sec() as u64, user.tv_usec() as u32 * 1000);
        Ok(Used { group, own: GroupCpu { total, user: Some(user) } })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(parent) = &self.parent else { return };
        let _ = enter(parent);
        let begun = Instant::now();
        while remove_dir(self.group.path()).is_err_and(|error| error.raw_os_error() == Some(libc::EBUSY))
            && begun.elapsed() < REMOVAL_TIME
        {
            std::thread::yield_now();
        }
    }
}

/// Makes a group below `parent` and moves this process there. Removes those that dead processes have left.
fn make(parent: &Path, name: &str) -> io::Result<PathBuf> {
    for entry in read_dir(parent)?.flatten() {
        let is_left = |of: &str| of.parse::<u32>().is_ok_and(|pid| !Path::new(&format!("/proc/{pid}")).exists());
        if entry.file_name().to_str().and_then(|file| file.strip_prefix(name)?.strip_prefix('-')).is_some_and(is_left) {
            let _ = remove_dir(entry.path()); // fails if there is a process in it
        }
    }
    let group = parent.join(format!("{name}-{}", std::process::id()));
    create_dir(&group)?;
    // Pressure is accounted for each group at each switch of a task, which would cost the processes some of their time.
    let _ = write(group.join("cgroup.pressure"), "0");
    match enter(&group) {
        Ok(()) => Ok(group),
        Err(error) => {
            let _ = remove_dir(&group);
            Err(error)
        }
    }
}

/// Moves this process into a group: cgroups(7).
fn enter(group: &Path) -> io::Result<()> {
    write(group.join("cgroup.procs"), "0")
}

/// The CPU time in a `cpu.stat` of version 2: Documentation/admin-guide/cgroup-v2.rst
fn parse(stat: &str) -> Option<GroupCpu> {
    let field = |name: &str| {
        let micros = stat.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        micros.map(Duration::from_micros)
    };
    Some(GroupCpu { total: field("usage_usec ")?, user: field("user_usec ") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_time_of_a_group_is_in_microseconds() {
        let micros = Duration::from_micros;
        let stat = "usage_usec 7969\nuser_usec 3984\nsystem_usec 3985\nnice_usec 0\n";
        assert_eq!(parse(stat), Some(GroupCpu { total: micros(7969), user: Some(micros(3984)) }));
        assert_eq!(parse("usage_usec 5\n"), Some(GroupCpu { total: micros(5), user: None }));
        assert_eq!(parse("user_usec 5\n"), None);
    }
}
