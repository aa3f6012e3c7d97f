//! For how long each CPU of the machine was busy, whoever used it: [`BusyTimes`].

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::files::ticks;

/// The busy time of each CPU since boot. The difference of two readings is what happened between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusyTimes {
    /// By the number of the CPU; `None` for one that is offline.
    busy: Vec<Option<Duration>>,
    /// The time that the hypervisor gave to others, likewise.
    steal: Vec<Option<Duration>>,
    /// The source of the busy times: `"cpuacct"`, which has nanoseconds and counts no interrupts that came while a CPU was
    /// idle, or `"stat"`, which has clock ticks.
    pub source: &'static str,
    /// The smallest time that the busy times can show, for each CPU.
    pub resolution: Duration,
}

impl BusyTimes {
    /// Reads them: nanoseconds from the root of control groups version 1 where that is mounted, else clock ticks from
    /// `/proc/stat`. proc_stat(5), Documentation/admin-guide/cgroup-v1/cpuacct.rst
    ///
    /// # Errors
    /// `/proc/stat` cannot be read.
    pub fn read() -> io::Result<BusyTimes> {
        let (by_stat, steal) = parse_stat(&std::fs::read_to_string("/proc/stat")?);
        let of_root = Path::new("/sys/fs/cgroup/cpuacct/cpuacct.usage_percpu");
        let nanos = std::fs::read_to_string(of_root).ok().filter(|_| is_root_group());
        let by_group =
            nanos.map(|text| text.split_whitespace().map(|ns| ns.parse().ok().map(Duration::from_nanos)).collect());
        Ok(match by_group {
            Some(busy) => BusyTimes { busy, steal, source: "cpuacct", resolution: Duration::from_micros(1) },
            None => BusyTimes { busy: by_stat, steal, source: "stat", resolution: ticks(1) },
        })
    }

    /// For how long these CPUs were busy since `earlier`, in all; `None` if one of them is missing.
    pub fn busy_since(&self, earlier: &BusyTimes, cpus: &[usize]) -> Option<Duration> {
        grown(&self.busy, &earlier.busy, cpus)
    }

    /// For how long the hypervisor kept these CPUs from this machine since `earlier`, in all.
    pub fn stolen_since(&self, earlier: &BusyTimes, cpus: &[usize]) -> Option<Duration> {
        grown(&self.steal, &earlier.steal, cpus)
    }
}

/// Whether the mounted hierarchy begins with the group of the whole machine. In a container it usually begins with the
/// container's own group, which `/proc/self/cgroup` then does not show.
fn is_root_group() -> bool {
    Path::new("/sys/fs/cgroup/cpuacct/release_agent").exists()
}

fn grown(now: &[Option<Duration>], then: &[Option<Duration>], cpus: &[usize]) -> Option<Duration> {
    let of = |times: &[Option<Duration>], cpu: usize| times.get(cpu).copied().flatten();
    cpus.iter().map(|&cpu| Some(of(now, cpu)?.saturating_sub(of(then, cpu)?))).sum()
}

/// Busy and stolen time by CPU from `/proc/stat`: busy is all but idle, iowait and steal; guests are in user already.
fn parse_stat(text: &str) -> (Vec<Option<Duration>>, Vec<Option<Duration>>) {
    let (mut busy, mut steal) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let mut fields = line.split_whitespace();
        let Some(cpu) = fields.next().and_then(|name| name.strip_prefix("cpu")?.parse::<usize>().ok()) else {
            continue;
        };
        let numbers: Vec<u64> = fields.map_while(|field| field.parse().ok()).collect();
        let at = |field: usize| numbers.get(field).copied().unwrap_or(0);
        if busy.len() <= cpu {
            busy.resize(cpu + 1, None);
            steal.resize(cpu + 1, None);
        }
        busy[cpu] = Some(ticks(at(0) + at(1) + at(2) + at(5) + at(6)));
        steal[cpu] = Some(ticks(at(7)));
    }
    (busy, steal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_time_is_what_is_not_idle_and_a_missing_cpu_has_none() {
        let text = "cpu 1 2 3\ncpu0 1 2 3 400 500 6 7 8 9 10\ncpu2 1 0 0 0 0 0 0 0 0 0\nintr 5\n";
        let (busy, steal) = parse_stat(text);
        assert_eq!(busy, [Some(ticks(19)), None, Some(ticks(1))]);
        assert_eq!(steal, [Some(ticks(8)), None, Some(ticks(0))]);
        let at = |times: &[Option<Duration>]| BusyTimes {
            busy: times.to_vec(),
            steal: times.to_vec(),
            source: "stat",
            resolution: ticks(1),
        };
        let (then, now) = (at(&[Some(ticks(1)), None]), at(&[Some(ticks(5)), Some(ticks(9))]));
        assert_eq!(now.busy_since(&then, &[0]), Some(ticks(4)));
        assert_eq!(now.busy_since(&then, &[0, 1]), None);
        assert_eq!(now.stolen_since(&then, &[7]), None);
    }

    #[test]
    fn this_machine_has_busy_times() {
        let times = BusyTimes::read().unwrap();
        assert!(times.busy.iter().flatten().count() >= 1, "{times:?}");
    }
}
