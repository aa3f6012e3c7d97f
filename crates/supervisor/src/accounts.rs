//! What the model, or the guest, has cost: adds up the resource usage of its live and dead processes over all restarts.

use std::io;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use process_tree::{OwnGroup, Sample, Served, Tree};
use scoreboard::{Counters, Scoreboard};

use crate::usage::Usage;

/// The source of the CPU time without a control group.
pub(crate) const CLOCKS_AND_WAIT: &str = "clocks+wait4";
/// How often CPU time and replies are read until no child was reaped meanwhile.
const ATTEMPTS: usize = 3;

/// Keeps the usage of dead processes in the scoreboard, and samples the live ones.
///
/// wait4(2) reports the usage of a process together with that of all children that it has waited for itself. The model
/// counts its children in the scoreboard when it reaps them; when it dies, its own usage contains them a second time.
/// So when the supervisor reaps the model, it adds to the scoreboard only what is missing from the sum that its own
/// waits have reported. That sum contains every process, and each of them once.
///
/// A guest does not write to the scoreboard. The CPU time of its control group lacks nothing. Where there is no group, and in
/// the other figures, a child of the guest that has ended is missing while the guest lives, and comes with its end if the guest
/// has waited for the child. If the guest ignores SIGCHLD, as busybox does, the kernel discards the child's usage, and it stays
/// missing.
pub(crate) struct Accounts {
    board: Scoreboard,
    counters: &'static Counters,
    /// A group that contains only this process and those of the model.
    group: Option<OwnGroup>,
    model: Option<ModelProcess>,
    /// The usage of processes that were reaped before this model process started.
    reaped_before: Usage,
    /// The usage that the supervisor's waits have reported since this model process started.
    waited: Usage,
    /// The highest figures that were ever reported: a counter never goes backwards.
    reported: Usage,
    /// The same of user and system time.
    reported_split: (Duration, Duration),
    /// How many model processes have been started.
    started: u64,
}

struct ModelProcess {
    pid: Pid,
    tree: Tree,
}

/// The figures of all model processes so far. The gauges, in `sample`, exist only while there is a model process.
#[derive(Debug)]
pub(crate) struct Figures {
    pub used: Usage,
    /// Whether the context switches could be read.
    pub has_switches: bool,
    /// User and system time, where the kernel knows the split.
    pub split: Option<(Duration, Duration)>,
    pub sample: Option<Sample>,
    /// How long it took to read the figures.
    pub took: Duration,
}

/// The CPU time of all model processes so far, and what they have served, read at the same moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CpuAndServed {
    /// CLOCK_MONOTONIC when it was read.
    pub monotonic_ns: u64,
    pub cpu_ns: u64,
    /// With the replies before and after the CPU clocks were read.
    pub served: Served,
}

impl Accounts {
    pub fn new(board: Scoreboard, group: Option<OwnGroup>) -> Accounts {
        let none = Usage::default();
        Accounts {
            board,
            counters: board.claim(),
            group,
            model: None,
            reaped_before: none,
            waited: none,
            reported: none,
            reported_split: Default::default(),
            started: 0,
        }
    }

    /// The source of the CPU time: the control group, or the CPU clocks of the live processes and wait4(2) for the dead ones.
    pub fn cpu_source(&self) -> &'static str {
        if self.group.is_some() { "cgroup" } else { CLOCKS_AND_WAIT }
    }

    /// To be called when a model process has been started.
    pub fn model_started(&mut self, pid: Pid) {
        self.model = Some(ModelProcess { pid, tree: Tree::new(pid) });
        self.reaped_before = Usage::of_reaped(&self.board.totals());
        self.waited = Usage::default();
        self.started += 1;
    }

    /// To be called when the supervisor has reaped a child: the model's process, or an orphan that the model left.
    pub fn reaped(&mut self, pid: Pid, usage: &libc::rusage) {
        self.waited = self.waited.combined(usage.into(), u64::saturating_add);
        if self.model.as_ref().is_some_and(|model| model.pid != pid) {
            self.counters.reaped(usage); // an orphan, which no other process has counted or will count
            return;
        }
        self.model = None;
        let counted = Usage::of_reaped(&self.board.totals());
        let all = self.reaped_before.combined(self.waited, u64::saturating_add);
        self.counters.reaped(&all.combined(counted, u64::saturating_sub).to_rusage());
    }

    /// Reads CPU time and replies at the same moment. From the clocks of 512 processes this takes 1 ms.
    ///
    /// Without a control group, the CPU time of a child that is reaped while this reads is missed, and the next reading has it.
    /// So the difference of two readings lacks what was reaped during the second and has too much what was reaped during
    /// the first: on average nothing. Where a child was reaped meanwhile, the reading is repeated, and the one that misses
    /// least is taken. The time in which the kernel ends a thread is missed altogether: 2 µs each.
    ///
    /// # Errors
    /// As [`figures`](Accounts::figures).
    pub fn served(&mut self) -> io::Result<CpuAndServed> {
        let (mut best, mut least_missed) = self.read_served()?;
        for _ in 1..ATTEMPTS {
            if least_missed == 0 {
                break;
            }
            let (served, missed) = self.read_served()?;
            if missed < least_missed {
                (best, least_missed) = (served, missed);
            }
        }
        self.reported.cpu_ns = self.reported.cpu_ns.max(best.cpu_ns);
        Ok(CpuAndServed { cpu_ns: self.reported.cpu_ns, ..best })
    }

    /// Reads them once. Returns also how much CPU time is missed at most, in nanoseconds.
    fn read_served(&mut self) -> io::Result<(CpuAndServed, u64)> {
        let board = self.board;
        let reaped = board.reaped_cpu_ns();
        let mut replies_before = board.replies();
        let cpu = match (&self.group, &mut self.model) {
            (Some(group), _) => group.cpu()?.total,
            (None, Some(model)) => {
                let live = unless_gone(model.tree.live_cpu(|| replies_before = board.replies()))?;
                Duration::from_nanos(reaped) + live.unwrap_or_default()
            }
            (None, None) => Duration::from_nanos(reaped),
        };
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC)?;
        let totals = board.totals();
        let replies_after = totals.requests.iter().flatten().sum();
        let read = CpuAndServed {
            monotonic_ns: Duration::from(now).as_nanos() as u64,
            cpu_ns: cpu.as_nanos() as u64,
            served: Served { replies_before, replies_after, syscalls: totals.syscalls.iter().sum() },
        };
        Ok((read, if self.group.is_some() { 0 } else { totals.reaped_cpu_ns - reaped }))
    }

    /// Reads the current figures.
    ///
    /// # Errors
    /// Those of [`Tree::sample`], except that a model process which no longer exists is no error.
    pub fn figures(&mut self) -> io::Result<Figures> {
        let begun = Instant::now();
        // The reaped processes are read first: a child that is reaped meanwhile is missed once, and not counted twice.
        let reaped = Usage::of_reaped(&self.board.totals());
        let sample = match &mut self.model {
            Some(model) => unless_gone(model.tree.sample())?,
            None => None,
        };
        let mut used = reaped;
        if let Some((sample, model)) = sample.as_ref().zip(self.model.as_ref()) {
            used.cpu_ns += sample.live_cpu.as_nanos() as u64;
            // The tree misses the switches of processes that started and ended between two samples. The counts of the
            // reaped contain those, but lack the live processes. Neither is more than the true number, so the higher
            // one is taken.
            let own = own_switches(model.pid).unwrap_or_default();
            let by_tree = Usage {
                voluntary_switches: sample.voluntary_switches.unwrap_or(0),
                involuntary_switches: sample.involuntary_switches.unwrap_or(0),
                minor_faults: sample.minor_faults.unwrap_or(0),
                major_faults: sample.major_faults.unwrap_or(0),
                ..Usage::default()
            };
            let since_start = self.reaped_before.combined(by_tree, u64::saturating_add);
            used = used.combined(own, u64::saturating_add).combined(since_start, u64::max);
        }
        let of_group = self.group.as_ref().map(OwnGroup::cpu).transpose()?;
        if let Some(cpu) = of_group {
            used.cpu_ns = cpu.total.as_nanos() as u64;
        }
        self.reported = self.reported.combined(used, u64::max);
        let by_group = of_group.and_then(|cpu| cpu.user.map(|user| (user, cpu.total.saturating_sub(user))));
        let by_clocks = sample.as_ref().and_then(|sample| sample.user.zip(sample.system)).filter(|&(user, system)| {
            // The clock ticks of one model process, without those of the processes that it has reaped.
            self.started == 1 && covers(user + system, self.reported.cpu_ns)
        });
        let split = by_group.or(by_clocks).map(|(user, system)| {
            let before = self.reported_split;
            self.reported_split = (user.max(before.0), system.max(before.1));
            self.reported_split
        });
        Ok(Figures {
            used: self.reported,
            has_switches: sample.as_ref().is_none_or(|sample| sample.voluntary_switches.is_some()),
            split,
            sample,
            took: begun.elapsed(),
        })
    }
}

/// `None` if there is no such process any more.
fn unless_gone<T>(read: io::Result<T>) -> io::Result<Option<T>> {
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

/// Whether user and system time together are the whole CPU time, except for 5 % and two clock ticks. They are rounded
/// down in each process, and lack the reaped processes.
fn covers(user_and_system: Duration, cpu_ns: u64) -> bool {
    (user_and_system.as_nanos() as u64 + 20_000_000).saturating_mul(20) >= cpu_ns.saturating_mul(19)
}

/// The context switches of the main thread of a process, which is its only thread in a model that forks:
/// proc_pid_status(5).
fn own_switches(pid: Pid) -> Option<Usage> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name| status.lines().find_map(|line| line.strip_prefix(name))?.trim().parse().ok();
    Some(Usage {
        voluntary_switches: field("voluntary_ctxt_switches:")?,
        involuntary_switches: field("nonvoluntary_ctxt_switches:")?,
        ..Usage::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: Pid = Pid::from_raw(1 << 22); // above every pid, so that there is nothing to sample

    fn used(cpu_ns: u64) -> libc::rusage {
        Usage { cpu_ns, minor_faults: 1, ..Usage::default() }.to_rusage()
    }

    #[test]
    fn a_split_must_cover_nearly_all_of_the_cpu_time() {
        assert!(covers(Duration::ZERO, 9_000_000), "a young process has seen no tick yet");
        assert!(covers(Duration::from_millis(1_780), 1_794_000_000));
        assert!(!covers(Duration::from_millis(1_250), 1_815_000_000), "64 processes lose 10 ms each");
    }

    fn cpu(accounts: &mut Accounts) -> u64 {
        let cpu_ns = accounts.figures().unwrap().used.cpu_ns;
        assert_eq!(accounts.served().unwrap().cpu_ns, cpu_ns);
        cpu_ns
    }

    #[test]
    fn children_that_the_model_counted_are_not_counted_again_with_the_model() {
        let board = Scoreboard::map().unwrap();
        let mut accounts = Accounts::new(board, None);
        accounts.model_started(MODEL);
        board.claim().reaped(&used(5_000)); // the model reaps a child and counts it
        accounts.reaped(MODEL, &used(7_000)); // which contains the 5,000 ns of the child
        assert_eq!(cpu(&mut accounts), 7_000);
        assert_eq!(board.totals().reaped_minor_faults, 1);
    }

    #[test]
    fn children_that_the_model_did_not_count_are_counted_with_the_model() {
        let mut accounts = Accounts::new(Scoreboard::map().unwrap(), None);
        accounts.model_started(MODEL);
        accounts.reaped(MODEL, &used(7_000));
        assert_eq!(cpu(&mut accounts), 7_000);
    }

    #[test]
    fn orphans_count_whether_they_die_before_or_after_the_model() {
        let board = Scoreboard::map().unwrap();
        let mut accounts = Accounts::new(board, None);
        for restarts in 0..2 {
            accounts.model_started(MODEL);
            accounts.reaped(Pid::from_raw(2), &used(1_000));
            assert_eq!(cpu(&mut accounts), restarts * 111_000 + 1_000);
            accounts.reaped(MODEL, &used(10_000));
            accounts.reaped(Pid::from_raw(3), &used(100_000));
            assert_eq!(cpu(&mut accounts), (restarts + 1) * 111_000);
        }
    }
}
