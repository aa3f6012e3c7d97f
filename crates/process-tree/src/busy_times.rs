//! For how long each CPU of the machine was busy, whichever program used it: [`BusyTimes`].

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::files::ticks;

/// The busy time of each CPU since boot. The difference of two readings is what happened between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusyTimes {
    /// When it was read.
    at: Instant,
    /// By the number of the CPU, from `/proc/stat`; `None` for one that is offline.
    by_stat: Vec<Option<Stat>>,
    /// The busy times in nanoseconds, where the kernel tells them.
    by_group: Option<Vec<Option<Duration>>>,
    /// The source of the busy times:
    /// - `"cpuacct"` has nanoseconds, and counts no interrupts that came while a CPU was idle. The kernel adds up the time of
    ///   a running program at each clock tick and when it stops.
    /// - `"stat"` is the time between the two readings less that in which the CPU was idle or taken away. A kernel that stops
    ///   the clock tick on idle CPUs (NO_HZ) measures the idle time exactly, but tells it in clock ticks.
    /// - `"stat, without interrupts"` is the same, less the time of interrupts, those of the network included. So it is read
    ///   where the kernel charges that time to no program (CONFIG_IRQ_TIME_ACCOUNTING), or where that cannot be known.
    ///   If it does charge it to programs, this is less than their CPU time says.
    pub source: &'static str,
    /// The smallest time that the busy times can show, for each CPU.
    pub resolution: Duration,
}

/// Times of a CPU since boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    /// It had nothing to do, waited for a disk, was taken away by the hypervisor, or was in interrupts, if they are left out.
    not_busy: Duration,
    /// It had nothing to do, and no program that had run on it last waited for a disk.
    idle: Duration,
    /// It had nothing to do, and such a program did.
    iowait: Duration,
    /// The hypervisor gave it to others.
    steal: Duration,
}

impl BusyTimes {
    /// Reads them: nanoseconds from the root of control groups version 1 where that is mounted, else clock ticks from
    /// `/proc/stat`. proc_stat(5), Documentation/admin-guide/cgroup-v1/cpuacct.rst
    ///
    /// # Errors
    /// `/proc/stat` cannot be read.
    pub fn read() -> io::Result<BusyTimes> {
        let interrupts = !charges_interrupts_to_programs();
        let of_root = Path::new("/sys/fs/cgroup/cpuacct/cpuacct.usage_percpu");
        let stat = std::fs::read_to_string("/proc/stat")?;
        let at = Instant::now();
        let nanos = std::fs::read_to_string(of_root).ok().filter(|_| is_root_group());
        let by_group: Option<Vec<Option<Duration>>> =
            nanos.map(|text| text.split_whitespace().map(|ns| ns.parse().ok().map(Duration::from_nanos)).collect());
        let (source, resolution) = match by_group {
            Some(_) => ("cpuacct", Duration::from_micros(1)),
            None if interrupts => ("stat, without interrupts", ticks(1)),
            None => ("stat", ticks(1)),
        };
        Ok(BusyTimes { at, by_stat: parse_stat(&stat, interrupts), by_group, source, resolution })
    }

    /// For how long these CPUs were busy since `earlier`, in all; `None` if one of them is missing.
    pub fn busy_since(&self, earlier: &BusyTimes, cpus: &[usize]) -> Option<Duration> {
        if let Some((now, then)) = self.by_group.as_ref().zip(earlier.by_group.as_ref()) {
            return cpus.iter().map(|&cpu| Some(of(now, cpu)?.saturating_sub(of(then, cpu)?))).sum();
        }
        let length = self.at.saturating_duration_since(earlier.at);
        Some(self.stat_since(earlier, cpus, |stat| stat.not_busy)?.map(|idle| length.saturating_sub(idle)).sum())
    }

    /// For how long the hypervisor kept these CPUs from this machine since `earlier`, in all.
    pub fn stolen_since(&self, earlier: &BusyTimes, cpus: &[usize]) -> Option<Duration> {
        Some(self.stat_since(earlier, cpus, |stat| stat.steal)?.sum())
    }

    /// For how long these CPUs had nothing to do since `earlier`, in all: without programs that waited for a disk, and with some
    /// (`idle` and `iowait` of `/proc/stat`, in clock ticks). Which of both it is says little where a CPU is shared: proc_stat(5).
    pub fn idle_since(&self, earlier: &BusyTimes, cpus: &[usize]) -> Option<(Duration, Duration)> {
        let idle = self.stat_since(earlier, cpus, |stat| stat.idle)?.sum();
        Some((idle, self.stat_since(earlier, cpus, |stat| stat.iowait)?.sum()))
    }

    /// The growth of a time of each of these CPUs.
    fn stat_since(
        &self,
        earlier: &BusyTimes,
        cpus: &[usize],
        time: fn(Stat) -> Duration,
    ) -> Option<impl Iterator<Item = Duration>> {
        let grown = |&cpu: &usize| Some(time(of(&self.by_stat, cpu)?).saturating_sub(time(of(&earlier.by_stat, cpu)?)));
        Some(cpus.iter().map(grown).collect::<Option<Vec<Duration>>>()?.into_iter())
    }
}

fn of<T: Copy>(times: &[Option<T>], cpu: usize) -> Option<T> {
    times.get(cpu).copied().flatten()
}

/// Whether the mounted hierarchy begins with the group of the whole machine. In a container it usually begins with the
/// container's own group, which `/proc/self/cgroup` then does not show.
fn is_root_group() -> bool {
    Path::new("/sys/fs/cgroup/cpuacct/release_agent").exists()
}

/// Whether the kernel is known to count the time of interrupts as that of the program that they interrupt, which is so
/// without CONFIG_IRQ_TIME_ACCOUNTING. Since Linux 6.1, `/proc/pressure/irq` exists, or can be read, only with that option.
fn charges_interrupts_to_programs() -> bool {
    let reads = |file: &str| std::fs::read(format!("/proc/pressure/{file}")).is_ok();
    let release = nix::sys::utsname::uname().map(|uname| uname.release().to_string_lossy().into_owned());
    is_since_6_1(&release.unwrap_or_default()) && reads("cpu") && !reads("irq")
}

fn is_since_6_1(release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (6, 1)
}

/// The times of each CPU in `/proc/stat`: proc_stat(5).
fn parse_stat(text: &str, interrupts_are_not_busy: bool) -> Vec<Option<Stat>> {
    let mut cpus = Vec::new();
    for line in text.lines() {
        let mut fields = line.split_whitespace();
        let Some(cpu) = fields.next().and_then(|name| name.strip_prefix("cpu")?.parse::<usize>().ok()) else {
            continue;
        };
        let numbers: Vec<u64> = fields.map_while(|field| field.parse().ok()).collect();
        let at = |field: usize| numbers.get(field).copied().unwrap_or(0);
        let (idle, iowait, interrupts, steal) = (at(3), at(4), at(5) + at(6), at(7));
        if cpus.len() <= cpu {
            cpus.resize(cpu + 1, None);
        }
        let interrupts = if interrupts_are_not_busy { interrupts } else { 0 };
        cpus[cpu] = Some(Stat {
            not_busy: ticks(idle + iowait + interrupts + steal),
            idle: ticks(idle),
            iowait: ticks(iowait),
            steal: ticks(steal),
        });
    }
    cpus
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(at: Instant, text: &str, without_interrupts: bool) -> BusyTimes {
        let by_stat = parse_stat(text, without_interrupts);
        BusyTimes { at, by_stat, by_group: None, source: "stat", resolution: ticks(1) }
    }

    #[test]
    fn busy_time_is_what_is_left_of_the_time_between_two_readings() {
        let began = Instant::now();
        let ended = began + ticks(100);
        let (then, now) = (
            "cpu 1 2 3\ncpu0 0 0 0 400 500 6 7 8 9 10\ncpu2 1 0 0 0 0 0 0 0 0 0\nintr 5\n",
            "cpu 1 2 3\ncpu0 0 0 0 430 510 8 10 12 9 10\ncpu2 9 0 0 99 9 0 0 0 0 0\nintr 5\n",
        );
        let times = |without| (read(began, then, without), read(ended, now, without));
        let (then, now) = times(false);
        // 30 idle, 10 waiting for a disk, 4 taken away. The fields of busy time, all 0 here, are not looked at.
        assert_eq!(now.busy_since(&then, &[0]), Some(ticks(56)));
        assert_eq!(now.stolen_since(&then, &[0]), Some(ticks(4)));
        assert_eq!(now.idle_since(&then, &[0]), Some((ticks(30), ticks(10))));
        assert_eq!(now.busy_since(&then, &[0, 2]), Some(ticks(56)), "never less than no time");
        assert_eq!((now.busy_since(&then, &[0, 1]), now.stolen_since(&then, &[7])), (None, None), "offline");
        let (then, now) = times(true);
        assert_eq!(now.busy_since(&then, &[0]), Some(ticks(51)), "5 in interrupts");
    }

    #[test]
    fn a_groups_nanoseconds_come_first() {
        let with = |ns| {
            let by_group = Some(vec![Some(Duration::from_nanos(ns))]);
            BusyTimes { by_group, ..read(Instant::now(), "cpu0 1 1 1 1 1 1 1 1\n", false) }
        };
        assert_eq!(with(900).busy_since(&with(200), &[0]), Some(Duration::from_nanos(700)));
        assert_eq!(with(900).busy_since(&with(200), &[0, 1]), None);
    }

    #[test]
    fn the_release_of_a_kernel_is_understood() {
        assert!(["6.1.0-9-amd64", "6.18.44", "10.0"].iter().all(|release| is_since_6_1(release)));
        assert!(["6.0.12", "5.15.0-91-generic", "", "gVisor"].iter().all(|release| !is_since_6_1(release)));
    }

    #[test]
    fn this_machine_has_busy_times() {
        let times = BusyTimes::read().unwrap();
        assert!(times.by_stat.iter().flatten().count() >= 1, "{times:?}");
    }
}
