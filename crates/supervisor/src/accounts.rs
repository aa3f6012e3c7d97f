//! What the model has cost in all its lives.

use std::io;
use std::time::{Duration, Instant};

use nix::unistd::Pid;
use process_tree::{Sample, Tree};
use scoreboard::{Counters, Scoreboard};

use crate::usage::Usage;

/// Keeps the cost of those who are gone in the scoreboard, and samples those who live.
///
/// wait4(2) tells of a process with all that it has waited for itself. What the model had counted in the scoreboard
/// when it reaped its children comes a second time with the model's own usage; so at the end of a life the scoreboard
/// is only topped up to what the waits of this process have told, which is everything, and once.
pub(crate) struct Accounts {
    board: Scoreboard,
    counters: &'static Counters,
    life: Option<Life>,
    /// The reaped of earlier lives.
    before: Usage,
    /// What this process has waited for since this life began.
    waited: Usage,
    /// The highest figures that were ever told: a counter never goes backwards.
    told: Usage,
    lives: u64,
}

struct Life {
    model: Pid,
    tree: Tree,
}

/// The figures of all lives; levels only while there is a model process.
#[derive(Debug)]
pub(crate) struct Figures {
    pub used: Usage,
    /// Could the context switches be had?
    pub has_switches: bool,
    /// User and system time, where it is known in truth.
    pub split: Option<(Duration, Duration)>,
    pub sample: Option<Sample>,
    /// What it took to find out.
    pub took: Duration,
}

impl Accounts {
    pub fn new(board: Scoreboard) -> Accounts {
        let none = Usage::default();
        Accounts { board, counters: board.claim(), life: None, before: none, waited: none, told: none, lives: 0 }
    }

    /// A new process of the model lives.
    pub fn begin(&mut self, model: Pid) {
        self.life = Some(Life { model, tree: Tree::new(model) });
        self.before = Usage::of_reaped(&self.board.totals());
        self.waited = Usage::default();
        self.lives += 1;
    }

    /// This process has waited for a child: the model, or an orphan that it left.
    pub fn reaped(&mut self, pid: Pid, usage: &libc::rusage) {
        self.waited = self.waited.with(usage.into(), u64::saturating_add);
        if self.life.as_ref().is_some_and(|life| life.model != pid) {
            self.counters.reaped(usage); // nobody else has, and nobody will
            return;
        }
        self.life = None;
        let counted = Usage::of_reaped(&self.board.totals());
        let missing = self.before.with(self.waited, u64::saturating_add).with(counted, u64::saturating_sub);
        self.counters.reaped(&missing.to_rusage());
    }

    /// Finds out how things stand.
    ///
    /// # Errors
    /// Those of [`Tree::sample`], but for a model that is gone.
    pub fn figures(&mut self) -> io::Result<Figures> {
        let begun = Instant::now();
        // First those who are gone: a child that is reaped meanwhile is missed once, and not counted twice.
        let reaped = Usage::of_reaped(&self.board.totals());
        let sample = match &mut self.life {
            Some(life) => match life.tree.sample() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                sample => Some(sample?),
            },
            None => None,
        };
        let mut used = reaped;
        if let Some((sample, life)) = sample.as_ref().zip(self.life.as_ref()) {
            used.cpu_ns += sample.live_cpu.as_nanos() as u64;
            // The tree misses the switches of those who came and went between two samples; the reaped tell those, but
            // not of those who live. Both are at most the truth.
            let own = own_switches(life.model).unwrap_or_default();
            let by_tree = Usage {
                voluntary_switches: sample.voluntary_switches.unwrap_or(0),
                involuntary_switches: sample.involuntary_switches.unwrap_or(0),
                minor_faults: sample.minor_faults.unwrap_or(0),
                major_faults: sample.major_faults.unwrap_or(0),
                ..Usage::default()
            };
            used = used.with(own, u64::saturating_add).with(self.before.with(by_tree, u64::saturating_add), u64::max);
        }
        self.told = self.told.with(used, u64::max);
        let known = sample.as_ref();
        let split = known.and_then(|sample| sample.user.zip(sample.system));
        Ok(Figures {
            used: self.told,
            has_switches: known.is_none_or(|sample| sample.voluntary_switches.is_some()),
            split: split.filter(|&(user, system)| self.lives == 1 && is_nearly(user + system, self.told.cpu_ns)),
            sample,
            took: begun.elapsed(),
        })
    }
}

/// Is that all of the CPU time, but for 5 % and two clock ticks? The parts are rounded down in each process, and lack
/// those who were reaped.
fn is_nearly(parts: Duration, cpu_ns: u64) -> bool {
    (parts.as_nanos() as u64 + 20_000_000).saturating_mul(20) >= cpu_ns.saturating_mul(19)
}

/// The context switches of the process' first thread, which is all there is in a model that forks. proc_pid_status(5)
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

    const MODEL: Pid = Pid::from_raw(1 << 22); // above every pid, so that nothing is sampled

    fn used(cpu_ns: u64) -> libc::rusage {
        Usage { cpu_ns, minor_faults: 1, ..Usage::default() }.to_rusage()
    }

    #[test]
    fn a_split_that_is_not_of_the_whole_is_no_split() {
        assert!(is_nearly(Duration::ZERO, 9_000_000), "young, and no tick yet");
        assert!(is_nearly(Duration::from_millis(1_780), 1_794_000_000));
        assert!(!is_nearly(Duration::from_millis(1_250), 1_815_000_000), "64 processes lose 10 ms each");
    }

    fn cpu(accounts: &mut Accounts) -> u64 {
        accounts.figures().unwrap().used.cpu_ns
    }

    #[test]
    fn what_the_model_reaped_is_not_counted_again_with_the_model() {
        let board = Scoreboard::map().unwrap();
        let mut accounts = Accounts::new(board);
        accounts.begin(MODEL);
        board.claim().reaped(&used(5_000)); // by the model
        accounts.reaped(MODEL, &used(7_000)); // 5 of them by its child
        assert_eq!(cpu(&mut accounts), 7_000);
        assert_eq!(board.totals().reaped_minor_faults, 1);
    }

    #[test]
    fn what_the_model_reaped_without_counting_comes_with_the_model() {
        let mut accounts = Accounts::new(Scoreboard::map().unwrap());
        accounts.begin(MODEL);
        accounts.reaped(MODEL, &used(7_000));
        assert_eq!(cpu(&mut accounts), 7_000);
    }

    #[test]
    fn orphans_count_whether_they_die_before_or_after_the_model() {
        let board = Scoreboard::map().unwrap();
        let mut accounts = Accounts::new(board);
        for life in 0..2 {
            accounts.begin(MODEL);
            accounts.reaped(Pid::from_raw(2), &used(1_000));
            assert_eq!(cpu(&mut accounts), life * 111_000 + 1_000);
            accounts.reaped(MODEL, &used(10_000));
            accounts.reaped(Pid::from_raw(3), &used(100_000));
            assert_eq!(cpu(&mut accounts), (life + 1) * 111_000);
        }
    }
}
