//! The target's cost in the window: [`server_cost`].

use super::machine::foreign_source;
use super::moment::{LARGEST_SPREAD, Moment};
use super::readings::{Costs, Readings, Value};
use super::snapshot::{Snapshot, median};
use super::spent::Place;
use crate::cpus::online_cpus;
use results::figures::{Reason, ServerCost};
use results::units::plural;
use std::collections::BTreeMap;
use std::time::Duration;

/// A target may seem to use a little more than its CPUs: its clocks are not read at one instant.
const MOST_OF_A_CPU: f64 = 1.02;
/// And so many seconds of each CPU more: a control group's CPU time is brought up to date at the clock ticks, of which no
/// kernel has less than 100 a second, so what belongs before the window may be counted in it.
const TICK: f64 = 0.010;
/// Seconds of CPU time from which on user and system time are told apart: 20 clock ticks of 10 ms. The kernel looks at each
/// tick which mode it interrupts, so the share of either has then a standard error of a tenth.
const ENOUGH_TO_SPLIT: f64 = 0.2;
/// By so many bytes the user memory (PSS) of a target may seem to shrink although it has freed nothing: the kernel rounds
/// it to KiB for each mapping, and the target's part of a library's pages changes whenever another program maps them, too.
const MEMORY_NOISE: f64 = 65_536.0;
/// The source of the memory where only some of the processes were read, which then stand for the others.
const SAMPLED: &str = "pss-sampled";
const NO_ANSWER: &str = "no request was answered";
/// A target with so many threads has some for its connections. One with fewer may have them for anything.
const MANY_THREADS: f64 = 32.0;
const THERE_BEFORE: &str = "a process or thread for each connection was there before the connections";
const NO_SYSCALLS: &str = "only the lab's models count their system calls";
const OF_A_LIBRARY: &str = "a library makes its system calls, and does not count them";

/// Of the connections of which one may have no answer yet, this share may be without, before it matters.
const MOST_UNANSWERED: f64 = 0.01;

/// The connections that there were while the load was on, background connections included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Connections {
    /// Those that the target has answered.
    pub answered: u64,
    /// Those that are established although the target has not answered them. Each has an end at the load generator, too.
    /// They may wait in the backlog, where they take less memory than a connection that the target has accepted. listen(2)
    pub unanswered: u64,
}

impl Connections {
    fn established(&self) -> u64 {
        self.answered + self.unanswered
    }

    /// An amount of memory a connection.
    fn each(&self, amount: Value) -> Value {
        let amount = amount?;
        match self.unanswered as f64 {
            _ if self.answered == 0 => Err(NO_ANSWER.into()),
            unanswered if unanswered > MOST_UNANSWERED * self.established() as f64 => Err(format!(
                "the target answered {} of {} connections, so it is not known what the others take",
                self.answered,
                self.established()
            )),
            _ => Ok(amount / self.answered as f64),
        }
    }
}

/// The target's cost, with these connections.
pub(crate) fn server_cost(costs: &Costs, connections: Connections) -> ServerCost<Value> {
    match &costs.0 {
        Ok(readings) => readings.server_cost(connections),
        Err(why) => ServerCost::all(Err(why.clone())),
    }
}

/// Where those figures come from for which there is more than one way.
pub(crate) fn sources(costs: &Costs) -> BTreeMap<String, String> {
    let Ok(readings) = &costs.0 else { return BTreeMap::new() };
    let Readings { begin, loaded, kernel, .. } = readings;
    let memory = loaded[0].memory_source.as_deref().map(|source| match source {
        "pss" => "PSS of the process tree".to_owned(),
        SAMPLED => "PSS of some processes of the tree, which stand for the others".to_owned(),
        "cgroup" => "the target's control group, with kernel memory and page cache".to_owned(),
        other => other.to_owned(),
    });
    let of_kernel = "/proc/meminfo of this machine, less the load generator's own ends";
    let all = [
        ("server.cpu_us_per_request", begin.spent.as_ref().ok().map(|spent| spent.source.clone())),
        ("server.memory_bytes", memory),
        ("server.kernel_memory_bytes", kernel.is_ok().then(|| of_kernel.to_owned())),
        ("machine.foreign_on_server_cpus", foreign_source(readings)),
        ("machine.foreign_on_client_cpus", foreign_source(readings)),
    ];
    all.into_iter().filter_map(|(figure, source)| Some((figure.to_owned(), source?))).collect()
}

/// What happened between the two ends of the window.
struct InWindow {
    seconds: f64,
    /// Complete answers.
    replies: f64,
    /// Replies that came while the CPU time was read, at the end at which there were more.
    spread: u64,
    /// CPU time in seconds; `Err` if it cannot be true.
    cpu: Value,
    supervisor_cpu: Option<Duration>,
    syscalls: Option<u64>,
}

impl InWindow {
    /// `cpus_allowed` is what is said of the target, if it does not say itself which CPUs it may use.
    fn between(begin: &Moment, end: &Moment, cpus_allowed: Option<usize>) -> Result<InWindow, Reason> {
        let (begin, end) = (begin.spent.as_ref().map_err(Clone::clone)?, end.spent.as_ref().map_err(Clone::clone)?);
        // Where the load generator counts the replies, they go on over a restart of the target.
        let of_supervisor = end.supervisor_cpu.zip(begin.supervisor_cpu);
        let restarted = end.cpu < begin.cpu || of_supervisor.is_some_and(|(end, begin)| end < begin);
        if restarted || end.replies.0 < begin.replies.0 || end.at <= begin.at {
            return Err(RESTARTED.into());
        }
        let seconds = (end.at - begin.at).as_secs_f64();
        let cpu = (end.cpu - begin.cpu).as_secs_f64();
        let affinity = Some(end.cpus.len()).filter(|&cpus| cpus > 0);
        let allowed = affinity.or(cpus_allowed).unwrap_or_else(online_cpus);
        Ok(InWindow {
            seconds,
            replies: end.replies() - begin.replies(),
            spread: begin.spread().max(end.spread()),
            cpu: match cpu / seconds {
                used if used > allowed as f64 * (MOST_OF_A_CPU + TICK / seconds) => Err(format!(
                    "used {used:.2} of {}: the two readings do not belong together",
                    plural(allowed, "CPU")
                )),
                _ => Ok(cpu),
            },
            supervisor_cpu: of_supervisor.map(|(end, begin)| end - begin),
            syscalls: end.syscalls.zip(begin.syscalls).map(|(end, begin)| end.saturating_sub(begin)),
        })
    }

    /// `amount` a request.
    fn per_request(&self, amount: f64) -> Value {
        match self.spread as f64 {
            _ if self.replies <= 0.0 => Err(NO_ANSWER.into()),
            spread if spread > LARGEST_SPREAD * self.replies => Err(format!(
                "{spread} replies came while the CPU time was read, more than 1 % of the window's {:.0}",
                self.replies
            )),
            _ => Ok(amount / self.replies),
        }
    }
}

const RESTARTED: &str = "the target's counters restarted within the trial";

impl Readings {
    fn server_cost(&self, connections: Connections) -> ServerCost<Value> {
        let Readings { idle, warm, loaded, begin, end, .. } = self;
        let last = &loaded[loaded.len() - 1];
        if idle.is_older_life_than(warm) || warm.is_older_life_than(last) {
            return ServerCost::all(Err(RESTARTED.into()));
        }
        let known = |value: Option<f64>| value.ok_or_else(|| self.why_missing.clone());
        let level = |figure: fn(&Snapshot) -> Option<f64>| known(median(loaded, figure));
        let window = InWindow::between(begin, end, self.cpus_allowed);
        let window = window.as_ref().map_err(Clone::clone);
        let cpu = window.clone().and_then(|window| window.per_request(window.cpu.clone()? * 1e6));
        // The split is coarse, so it is used only as a share of the CPU time, which is exact.
        let share = |part: fn(&Snapshot) -> Option<f64>| -> Value {
            let grown =
                |figure: fn(&Snapshot) -> Option<f64>| known(figure(last).zip(figure(warm)).map(|(b, a)| b - a));
            let (part, user, system) = (grown(part)?, grown(|s| s.user)?, grown(|s| s.system)?);
            match user + system {
                seconds if seconds < ENOUGH_TO_SPLIT => Err(format!(
                    "the kernel tells user and system time apart in clock ticks, and {:.0} ms have too few of them",
                    seconds * 1e3
                )),
                seconds => Ok(cpu.clone()? * part / seconds),
            }
        };
        let kernel = self.kernel(connections.established());
        let [user, kernel_each] =
            [self.user_memory_grown(), kernel.clone()].map(|amount| match self.has_all_before(connections) {
                true => Err(THERE_BEFORE.into()),
                false => connections.each(amount),
            });
        ServerCost {
            user_us_per_request: share(|snapshot| snapshot.user),
            system_us_per_request: share(|snapshot| snapshot.system),
            cpu_us_per_request: cpu,
            cpus_used: window.clone().and_then(|window| Ok(window.cpu.clone()? / window.seconds)),
            memory_bytes: level(|snapshot| snapshot.memory),
            peak_memory_bytes: known(self.peak_memory()),
            memory_bytes_per_connection: user.clone().and_then(|user| Ok(user + kernel_each.clone()?)),
            user_memory_bytes_per_connection: user,
            kernel_memory_bytes_per_connection: kernel_each,
            kernel_memory_bytes: kernel,
            processes: level(|snapshot| snapshot.processes),
            threads: level(|snapshot| snapshot.threads),
            open_fds: level(|snapshot| snapshot.open_fds),
            voluntary_switches_per_request: self.per_reply(|snapshot| snapshot.voluntary_switches),
            involuntary_switches_per_request: self.per_reply(|snapshot| snapshot.involuntary_switches),
            minor_faults_per_request: self.per_reply(|snapshot| snapshot.minor_faults),
            major_faults_per_request: self.per_reply(|snapshot| snapshot.major_faults),
            syscalls_per_request: window.clone().and_then(|window| match window.syscalls {
                None => Err(NO_SYSCALLS.into()),
                Some(0) if window.replies > 0.0 => Err(OF_A_LIBRARY.into()),
                Some(calls) => window.per_request(calls as f64),
            }),
            supervisor_cpus_used: window.and_then(|window| match window.supervisor_cpu {
                Some(cpu) => Ok(cpu.as_secs_f64() / window.seconds),
                None => Err("only the account of a service has it".into()),
            }),
        }
    }

    /// A counter that only snapshots have, divided by the replies of the same snapshots: from the warm-up to the end of the
    /// load.
    fn per_reply(&self, counter: fn(&Snapshot) -> Option<f64>) -> Value {
        let last = &self.loaded[self.loaded.len() - 1];
        // Then the counters are extrapolated, too, and the difference of two such numbers shows nothing.
        if [&self.warm, last].iter().any(|snapshot| snapshot.memory_source.as_deref() == Some(SAMPLED)) {
            return Err("there were too many processes to read the counters of all of them".into());
        }
        let grown = |figure: fn(&Snapshot) -> Option<f64>| Some(figure(last)? - figure(&self.warm)?);
        let counted = grown(counter).ok_or_else(|| self.why_missing.clone())?;
        match grown(|snapshot| snapshot.replies) {
            Some(replies) if replies > 0.0 => Ok(counted / replies),
            _ => Err(NO_ANSWER.into()),
        }
    }

    /// The peak that the target states, if it is from this trial: a service may have lived through others. Else the highest
    /// of the trial's snapshots.
    fn peak_memory(&self) -> Option<f64> {
        let stated = self.loaded[self.loaded.len() - 1].peak_memory.zip(self.idle.peak_memory);
        let grown = stated.filter(|(now, before)| now > before).map(|(now, _)| now);
        let seen = || self.loaded.iter().chain([&self.warm, &self.idle]).filter_map(|snapshot| snapshot.memory);
        grown.or_else(|| seen().reduce(f64::max))
    }

    /// Whether the target had a process or a thread for each connection before there was one. What these take is then no growth.
    fn has_all_before(&self, connections: Connections) -> bool {
        self.idle.threads.is_some_and(|threads| threads >= MANY_THREADS.max(connections.established() as f64))
    }

    /// The growth of the user memory in bytes: 0 where it seems to shrink by no more than [`MEMORY_NOISE`].
    fn user_memory_grown(&self) -> Value {
        if self.loaded[0].memory_source.as_deref() == Some("cgroup") {
            return Err(
                "the target's memory is known only as that of its control group, the kernel's part included".into()
            );
        }
        let loaded = median(&self.loaded, |snapshot| snapshot.memory);
        match loaded.zip(self.idle.memory).map(|(loaded, idle)| loaded - idle) {
            None => Err(self.why_missing.clone()),
            Some(grown) if grown < -MEMORY_NOISE => Err("memory shrank under load".into()),
            Some(grown) => Ok(grown.max(0.0)),
        }
    }

    fn kernel(&self, connections: u64) -> Value {
        match self.end.spent.as_ref().map(|spent| spent.place) {
            Ok(Place::Here) => self.kernel.as_ref().map_err(Clone::clone)?.of_target(connections),
            Ok(Place::Elsewhere) => Err("the target runs on another machine".into()),
            Ok(Place::Unknown) => Err("the target does not say whether it runs on this machine".into()),
            Err(why) => Err(why.clone()),
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
