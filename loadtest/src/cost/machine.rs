//! What else happened on this machine in the window: [`machine_use`].

use super::readings::{Costs, Readings, Value};
use super::spent::{Place, Spent};
use process_tree::BusyTimes;
use results::figures::{MachineUse, Reason};
use std::time::Duration;

/// What else happened on this machine in the window.
///
/// The foreign shares are lower bounds: of each CPU, two times the smallest time that its busy times can show counts as
/// known. From `/proc/stat` that is two clock ticks, 20 ms; nearly nothing from control groups.
pub(crate) fn machine_use(costs: &Costs) -> MachineUse<Value> {
    match &costs.0 {
        Ok(readings) => readings.machine_use(),
        Err(why) => MachineUse::all(Err(why.clone())),
    }
}

/// How the foreign shares were computed; `None` if they were not.
pub(super) fn foreign_source(readings: &Readings) -> Option<String> {
    let BusyTimes { source, resolution, .. } = readings.end.busy.as_ref()?;
    let bound = format!("at least this, as busy times are known to {resolution:?}");
    Some(format!("busy times of the CPUs ({source}), less the CPU time of target and load generator; {bound}"))
}

/// The CPUs of both sides, and what is known to have used them.
struct Sides<'a> {
    /// The CPUs that the target may use on this machine; none if it runs on another one.
    servers: &'a [usize],
    /// The CPUs of the load generator.
    clients: &'a [usize],
    /// CPU time of the target, of its supervisor, and of the load generator.
    target: Duration,
    supervisor: Duration,
    generator: Duration,
    /// How long the window was, by the clock with which the busy times were read.
    length: Duration,
    /// The smallest time that the busy times can show, for each CPU.
    resolution: Duration,
}

/// How many times the resolution a CPU's busy time may be wrong by: what the kernel has in several fields is cut to whole
/// clock ticks in each.
const UNCERTAIN: u32 = 2;

impl Sides<'_> {
    fn overlap(&self) -> bool {
        self.servers.iter().any(|cpu| self.clients.contains(cpu))
    }

    /// Each CPU of either side once.
    fn all(&self) -> Vec<usize> {
        let others = self.clients.iter().filter(|cpu| !self.servers.contains(cpu));
        self.servers.iter().chain(others).copied().collect()
    }

    /// The foreign shares of the target's and of the load generator's CPUs. If the sides share a CPU, both are that of all
    /// CPUs together.
    ///
    /// The supervisor may run on either side: its time is subtracted on both, so the share of the side on which it does not
    /// run is a lower bound, too low by at most the supervisor's CPU time, which `supervisor_cpus_used` tells. The lab keeps
    /// supervisors on the load's side.
    fn foreign(&self, busy: impl Fn(&[usize]) -> Option<Duration>) -> (Value, Value) {
        let Sides { target, supervisor, generator, .. } = *self;
        let share = |cpus: &[usize], ours: Duration| -> Value {
            let busy = busy(cpus).ok_or("the kernel does not tell for how long these CPUs were busy")?;
            let known = ours + self.resolution * UNCERTAIN * cpus.len() as u32;
            Ok(busy.saturating_sub(known).as_secs_f64() / (self.length.as_secs_f64() * cpus.len() as f64))
        };
        if self.overlap() {
            let of_all = share(&self.all(), target + supervisor + generator);
            return (of_all.clone(), of_all);
        }
        (share(self.servers, target + supervisor), share(self.clients, generator + supervisor))
    }
}

impl Readings {
    pub(super) fn machine_use(&self) -> MachineUse<Value> {
        let (begin, end) = (&self.begin, &self.end);
        let length = end.at - begin.at;
        let seconds = length.as_secs_f64().max(1e-9);
        let share = |time: Option<Duration>, why: &str| -> Value { Ok(time.ok_or(why)?.as_secs_f64() / seconds) };
        let spent = begin.spent.as_ref().and_then(|then| Ok((then, end.spent.as_ref()?))).map_err(Clone::clone);
        let (foreign_on_server_cpus, foreign_on_client_cpus) = match &spent {
            Ok((then, now)) => self.foreign(then, now, length),
            Err(why) => (Err(why.clone()), Err(why.clone())),
        };
        let here = spent.as_ref().ok().filter(|(_, now)| now.place == Place::Here);
        let cpus = here.map_or(&[][..], |(_, now)| &now.cpus).iter().chain(&self.generator_cpus);
        let stolen = |(then, now): (&BusyTimes, &BusyTimes)| -> Option<Duration> {
            cpus.map(|&cpu| now.stolen_since(then, &[cpu])).collect::<Option<Vec<_>>>()?.into_iter().max()
        };
        let idle = self.idle_server_cpus(here.map_or(&[], |(_, now)| &now.cpus), seconds);
        let disks = begin.disks.zip(end.disks).map(|(then, now)| now.bytes.saturating_sub(then.bytes));
        let throttled = spent.map(|(then, now)| now.throttled.zip(then.throttled));
        MachineUse {
            foreign_on_server_cpus,
            foreign_on_client_cpus,
            steal: share(begin.busy.as_ref().zip(end.busy.as_ref()).and_then(stolen), "/proc/stat does not tell it"),
            cpu_pressure: share(self.cpu_pressure, "the kernel has no /proc/pressure/cpu"),
            server_throttled: throttled.and_then(|pair| {
                share(pair.map(|(now, then)| now.saturating_sub(then)), "the target does not tell it")
            }),
            client_throttled: share(self.throttled, "no control group of this process tells it"),
            server_cpus_idle: idle.clone().map(|(idle, _)| idle),
            server_cpus_iowait: idle.map(|(_, iowait)| iowait),
            disk_bytes_per_second: disks
                .map(|bytes| bytes as f64 / seconds)
                .ok_or("/proc/diskstats tells no disk".into()),
        }
    }

    /// The shares of the time of the target's CPUs in which they had nothing to do, without and with programs that waited for a disk.
    fn idle_server_cpus(&self, cpus: &[usize], seconds: f64) -> Result<(f64, f64), Reason> {
        if cpus.is_empty() {
            return Err("the CPUs of the target are not known, or it runs on another machine".into());
        }
        let (then, now) = self.begin.busy.as_ref().zip(self.end.busy.as_ref()).ok_or("/proc/stat cannot be read")?;
        let (idle, iowait) = now.idle_since(then, cpus).ok_or("/proc/stat does not tell it")?;
        let share = |time: Duration| (time.as_secs_f64() / (seconds * cpus.len() as f64)).min(1.0);
        Ok((share(idle), share(iowait)))
    }

    fn foreign(&self, then: &Spent, now: &Spent, length: Duration) -> (Value, Value) {
        let Some((busy_then, busy_now)) = self.begin.busy.as_ref().zip(self.end.busy.as_ref()) else {
            let why = || Err("/proc/stat cannot be read".into());
            return (why(), why());
        };
        let here = now.place == Place::Here;
        let used = |now: Duration, then: Duration| if here { now.saturating_sub(then) } else { Duration::ZERO };
        let sides = Sides {
            servers: if here { &now.cpus } else { &[] },
            clients: &self.generator_cpus,
            target: used(now.cpu, then.cpu),
            supervisor: used(now.supervisor_cpu.unwrap_or_default(), then.supervisor_cpu.unwrap_or_default()),
            generator: self.end.own_cpu.saturating_sub(self.begin.own_cpu),
            length,
            resolution: busy_now.resolution,
        };
        let (server, client) = sides.foreign(|cpus| busy_now.busy_since(busy_then, cpus));
        let why_not = |why: &str| -> Result<f64, Reason> { Err(why.into()) };
        match now.place {
            Place::Here if now.cpus.is_empty() => {
                let why = "the kernel does not tell which CPUs the target may use";
                (why_not(why), why_not(why))
            }
            Place::Here if now.lacks_ended_children => {
                let why = "children of the target that have ended are not charged to it, and would seem to be others";
                (why_not(why), if sides.overlap() { why_not(why) } else { client })
            }
            Place::Here => (server, client),
            Place::Elsewhere => (why_not("the target runs on another machine"), client),
            Place::Unknown => {
                let why = "the target does not say whether it runs on this machine";
                (why_not(why), why_not(why))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn sides<'a>(servers: &'a [usize], clients: &'a [usize]) -> Sides<'a> {
        let (length, resolution) = (MS(1_000), Duration::ZERO);
        Sides { servers, clients, target: MS(600), supervisor: MS(10), generator: MS(300), length, resolution }
    }

    #[test]
    fn what_the_clock_ticks_may_hide_is_not_foreign() {
        let sides = Sides { resolution: MS(10), ..sides(&[0], &[1, 2]) };
        let (server, client) = sides.foreign(|cpus| Some(MS(if cpus == [0] { 630 } else { 410 })));
        assert_eq!((server, client), (Ok(0.0), Ok(0.03)), "20 ms of each CPU");
    }

    #[test]
    fn foreign_is_what_was_busy_without_us() {
        let busy = |cpus: &[usize]| Some(MS(if cpus == [0] { 650 } else { 800 }));
        let (server, client) = sides(&[0], &[1, 2]).foreign(busy);
        assert_eq!((server, client), (Ok(0.04), Ok(0.245)));
    }

    #[test]
    fn on_shared_cpus_both_shares_are_those_of_all_cpus() {
        let busy = |cpus: &[usize]| Some(MS(if cpus == [0, 1, 2] { 970 } else { 0 }));
        let (server, client) = sides(&[0, 1], &[1, 2]).foreign(busy);
        assert_eq!((server, client), (Ok(0.02), Ok(0.02)));
    }

    #[test]
    fn a_share_is_never_below_zero_and_unknown_times_have_no_share() {
        let (server, client) = sides(&[0], &[1]).foreign(|cpus| (cpus == [0]).then_some(MS(5)));
        assert_eq!(server, Ok(0.0));
        assert!(client.unwrap_err().contains("for how long"));
    }
}
