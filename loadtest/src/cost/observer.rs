//! Reads the cost of the target, and reports progress, while a trial runs: [`CostObserver`].

use super::kernel_memory::{self, Baseline, KernelGrowth};
use super::moment::{Moment, tightest};
use super::own_ends;
use super::readings::{Costs, Readings};
use super::sampler::CostSampler;
use super::snapshot::Snapshot;
use super::source::CostSource;
use crate::engine::{LiveSnapshot, TrialObserver};
use crate::stop::Stop;
use process_tree::{Cgroup, Pressure, Throttled};
use results::figures::Reason;
use results::plan::ENOUGH_FOR_KERNEL_MEMORY;
use std::thread;
use std::time::Duration;

/// How often progress is reported.
const PROGRESS: Duration = Duration::from_millis(100);
/// Snapshots under load.
const SNAPSHOTS: usize = 3;

const INTERRUPTED: &str = "the trial was interrupted";

/// What the observer has to know of a trial.
pub(crate) struct Observed<'a> {
    /// The source of the target's cost.
    pub cost: CostSource,
    /// CPUs that the target may use, as far as they are known.
    pub cpus_allowed: Option<usize>,
    /// The CPUs of the load generator.
    pub generator_cpus: &'a [usize],
    /// Connections that the trial opens, background connections included.
    pub connections: usize,
    /// Whether connections are closed and opened anew all the time.
    pub reconnects: bool,
    /// The warm-up lasts at least so long.
    pub warmup: Duration,
    /// The length of the window.
    pub duration: Duration,
}

/// Called with the time since the load began, the answers and the errors since then, and the state of the window.
pub(crate) type Progress<'a> = dyn FnMut(Duration, u64, u64, &LiveSnapshot) + 'a;

/// Reads the cost of the target in a trial, and reports progress.
pub(crate) struct CostObserver<'a> {
    observed: Observed<'a>,
    /// Ends the trial early.
    stop: Stop<'a>,
    sampler: CostSampler<'a>,
    /// The control group of this process.
    group: Option<Cgroup>,
    /// The kernel's memory before the load, and what an own end of a connection takes; or why it is not told.
    kernel: Result<(Baseline, f64), Reason>,
    idle: Snapshot,
    /// Known in the warm-up.
    warm: Option<Snapshot>,
    /// Answers a second since the load began, in the warm-up.
    rate: f64,
    /// Known when the window has begun.
    begin: Option<WindowBegin>,
    /// Known when the window has ended.
    readings: Option<Readings>,
    reported: Duration,
    progress: &'a mut Progress<'a>,
}

/// What was read when the window began.
struct WindowBegin {
    moment: Moment,
    throttled: Throttled,
    cpu_pressure: Option<Duration>,
}

impl<'a> CostObserver<'a> {
    /// Reads what there is to read before the load.
    pub fn new(observed: Observed<'a>, stop: Stop<'a>, progress: &'a mut Progress<'a>) -> CostObserver<'a> {
        let kernel = baseline(&observed, stop);
        let mut sampler = CostSampler::new(observed.cost.clone(), stop);
        let idle = sampler.snapshot();
        CostObserver {
            observed,
            stop,
            sampler,
            group: process_tree::own_cgroup(),
            kernel,
            // The load generator has received nothing yet, which counts where the target has no count of its own.
            idle: Snapshot { replies: idle.replies.or(Some(0.0)), ..idle },
            warm: None,
            rate: 0.0,
            begin: None,
            readings: None,
            reported: Duration::ZERO,
            progress,
        }
    }

    /// What was read, once the trial is over.
    pub fn costs(self) -> Costs {
        Costs(self.readings.ok_or_else(|| "the window was over before the target's cost was read".into()))
    }

    /// Takes a snapshot. If the target does not count its replies, the load generator's count stands for that.
    fn snapshot(&mut self, answered: &dyn Fn() -> u64) -> Snapshot {
        let before = answered();
        let snapshot = self.sampler.snapshot();
        let by_generator = (before as f64).midpoint(answered() as f64);
        Snapshot { replies: snapshot.replies.or(Some(by_generator)), ..snapshot }
    }

    fn cpu_pressure() -> Option<Duration> {
        Pressure::of_machine().cpu.map(|stall| stall.some)
    }

    fn throttled(&self) -> Throttled {
        self.group.as_ref().map(Cgroup::throttled).unwrap_or_default()
    }
}

/// The kernel's memory before the load, once it stands still, and what an own end of a connection takes. Nothing is read,
/// and no time is lost, in a trial that cannot tell the figure.
fn baseline(observed: &Observed<'_>, stop: Stop<'_>) -> Result<(Baseline, f64), Reason> {
    if observed.cost == CostSource::None {
        return Err("the target has no source of cost".into());
    }
    if observed.connections < ENOUGH_FOR_KERNEL_MEMORY {
        return Err(format!("told only from {ENOUGH_FOR_KERNEL_MEMORY} connections on"));
    }
    if observed.reconnects {
        return Err("connections that are closed all the time leave memory behind for a minute (TIME_WAIT)".into());
    }
    let sleep = |time| {
        if stop.is_set() {
            return Err(INTERRUPTED.into());
        }
        thread::sleep(time);
        Ok(())
    };
    let own_end = own_ends::bytes_each(sleep)?;
    Ok((Baseline::settle(kernel_memory::read, sleep)?, own_end))
}

impl TrialObserver for CostObserver<'_> {
    fn warms_up(&mut self, elapsed: Duration, answered: &dyn Fn() -> u64) {
        if !elapsed.is_zero() {
            self.rate = answered() as f64 / elapsed.as_secs_f64();
        }
        // Half of the warm-up is left then, so the snapshot is over before the window begins.
        if self.warm.is_none() && !elapsed.is_zero() && elapsed >= self.observed.warmup / 2 {
            self.warm = Some(self.snapshot(answered));
        }
    }

    fn window_begins(&mut self, answered: &dyn Fn() -> u64) {
        if self.warm.is_none() {
            self.warm = Some(self.snapshot(answered)); // there is no warm-up
        }
        let (throttled, cpu_pressure) = (self.throttled(), Self::cpu_pressure());
        let replies = self.rate * self.observed.duration.as_secs_f64();
        let moment = tightest(|| Moment::now(self.sampler.spent(answered)), |_| replies);
        self.begin = Some(WindowBegin { moment, throttled, cpu_pressure });
    }

    fn tick(&mut self, elapsed: Duration, answered: u64, errors: u64, live: &dyn Fn() -> LiveSnapshot) {
        if elapsed >= self.reported + PROGRESS {
            self.reported = elapsed;
            (self.progress)(elapsed, answered, errors, &live());
        }
    }

    fn window_ended(&mut self, answered: &dyn Fn() -> u64) {
        let Some((begin, warm)) = self.begin.take().zip(self.warm.take()) else { return };
        let replies_until = |end: &Moment| match (&begin.moment.spent, &end.spent) {
            (Ok(begin), Ok(end)) => end.replies() - begin.replies(),
            _ => 0.0,
        };
        let end = tightest(|| Moment::now(self.sampler.spent(answered)), replies_until);
        let throttled = self.throttled().since(&begin.throttled);
        let cpu_pressure = Self::cpu_pressure().zip(begin.cpu_pressure).map(|(end, begin)| end.saturating_sub(begin));
        let mut loaded = Vec::new();
        let mut kernel_readings = Vec::new();
        let interrupted = self.stop.is_set();
        if interrupted {
            self.kernel = Err(INTERRUPTED.into()); // the levels would only delay the end
            loaded.push(Snapshot::default());
        } else {
            for _ in 0..SNAPSHOTS {
                loaded.push(self.snapshot(answered));
                if self.kernel.is_ok() {
                    kernel_readings.push(kernel_memory::read());
                }
            }
        }
        let kernel = self.kernel.clone().and_then(|(before, own_end)| {
            let mut bytes = kernel_readings.into_iter().collect::<Result<Vec<u64>, Reason>>()?;
            bytes.sort_unstable();
            Ok(KernelGrowth { before, loaded: bytes[bytes.len() / 2], own_end })
        });
        self.readings = Some(Readings {
            idle: self.idle.clone(),
            warm,
            loaded,
            begin: begin.moment,
            end,
            throttled,
            cpu_pressure,
            kernel,
            cpus_allowed: self.observed.cpus_allowed,
            generator_cpus: self.observed.generator_cpus.to_vec(),
            why_missing: if interrupted { INTERRUPTED.into() } else { self.sampler.missing() },
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::{Connections, server_cost};
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    #[test]
    fn an_interrupted_window_has_its_cpu_time_and_no_levels() {
        let observed = Observed {
            cost: CostSource::ProcessTree(std::process::id() as i32),
            cpus_allowed: None,
            generator_cpus: &[],
            connections: 1,
            reconnects: false,
            warmup: Duration::from_secs(1),
            duration: Duration::from_secs(1),
        };
        for interrupted in [false, true] {
            let stop = AtomicBool::new(false);
            let mut progress = |_, _, _, _: &LiveSnapshot| {};
            let mut observer = CostObserver::new(
                Observed { cost: observed.cost.clone(), ..observed },
                Stop::from(&stop),
                &mut progress,
            );
            observer.warms_up(Duration::from_millis(499), &|| 1);
            assert!(observer.warm.is_none());
            observer.warms_up(Duration::from_millis(500), &|| 10);
            assert_eq!((observer.warm.as_ref().unwrap().replies, observer.rate), (Some(10.0), 20.0));
            observer.window_begins(&|| 20);
            stop.store(interrupted, Relaxed);
            observer.window_ended(&|| 40);
            let cost = server_cost(&observer.costs(), Connections { answered: 1, unanswered: 0 });
            assert!(cost.cpus_used.is_ok() && cost.cpu_us_per_request.is_ok(), "{cost:?}");
            match interrupted {
                false => assert!(cost.threads.is_ok(), "{cost:?}"),
                true => assert_eq!(cost.threads, Err("the trial was interrupted".into())),
            }
        }
    }
}
