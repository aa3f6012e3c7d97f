//! The engine: loads one target for one trial and measures a window of it.

mod background;
mod client;
mod clock;
mod control;
mod dial;
mod expected;
mod intended_times;
mod live;
mod load;
mod measurement;
mod open_loop;
mod pacer;
mod polling;
mod recorder;
mod response;
mod run_queue;
mod script;
mod slicer;
mod trend;
mod turns;
mod wait;
mod warm_up;
mod worker;

pub use expected::{Expected, KEPT};
pub use live::{CoarseHistogram, LiveSnapshot};
pub use load::Load;
pub use measurement::{Measurement, ThreadMeasurement, answers_by_slice, mean_window};
pub use recorder::Recorder;
pub use response::{ParseProgress, Response};
pub use script::Script;
#[cfg(test)]
pub use slicer::ThreadSlice;

use crate::cpus;
use crate::stop::Stop;
use clock::Nanos;
use control::{Control, LiveCounters};
use intended_times::IntendedTimes;
use results::Schedule;
use std::io;
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;
use warm_up::WarmUp;
use worker::{LoadShare, Worker};

/// How long the engine waits for a further connection before it begins the load with those that there are.
const CONNECT_STALL: Duration = Duration::from_secs(5);
/// As [`CONNECT_STALL`], once all that is missing is answers to established background connections. Those that wait in the
/// server's backlog never get one, which costs each trial this time.
const ANSWER_STALL: Duration = Duration::from_secs(2);
/// How long the engine waits for all connections to be established, and for the background connections to be answered.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);
/// The delay between the decision to begin and an open loop's first request, so that all threads have woken up by then.
const HEAD_START: Duration = Duration::from_millis(5);
const REPORT_INTERVAL: Duration = Duration::from_millis(10);
/// How often the engine looks whether the warm-up is over.
const WARM_UP_LOOK: Duration = Duration::from_millis(5);

/// Is notified while a trial runs, always from the thread that called [`trial`].
pub trait TrialObserver {
    /// Called about every 10 ms until the window begins, with the time since the load began. `answered` returns the number of
    /// complete answers so far, those on background connections included, as the target counts them; it may be called again
    /// later. (What a target may have answered to a connection that was reset at once is not known.)
    fn warms_up(&mut self, _elapsed: Duration, _answered: &dyn Fn() -> u64) {}
    /// The window begins. `answered` as in [`warms_up`](Self::warms_up).
    fn window_begins(&mut self, answered: &dyn Fn() -> u64);
    /// Called about every 10 ms with the time since the load began, the measured connections' complete answers, their errors in the
    /// present part of the trial, and a function that takes a snapshot of the window. It is also called after
    /// [`window_ended`](Self::window_ended), while an open loop waits for the last answers.
    fn tick(&mut self, elapsed: Duration, answered: u64, errors: u64, live: &dyn Fn() -> LiveSnapshot);
    /// The window has ended, and the load goes on until this returns. `answered` as in [`warms_up`](Self::warms_up).
    fn window_ended(&mut self, answered: &dyn Fn() -> u64);
}

/// Runs one trial. `None` if it was stopped before its window began.
///
/// # Errors
/// The kernel's error if it gave no thread or epoll instance, or an error that says that requests were miscounted.
pub fn trial(load: &Load<'_>, stop: Stop<'_>, observer: &mut dyn TrialObserver) -> io::Result<Option<Measurement>> {
    let threads = load.threads.clamp(1, load.concurrency.max(1));
    let control = Control::new(stop);
    let counters: Vec<LiveCounters> = std::iter::repeat_with(LiveCounters::default).take(threads).collect();
    let background_counters = background::BackgroundCounters::default();
    let times = IntendedTimes::new(load.schedule, load.warmup, load.duration);
    let (course, measured) = thread::scope(|scope| {
        let mut handles = Vec::new();
        let mut background = None;
        if load.background.total() > 0 {
            let (control, background_counters) = (&control, &background_counters);
            let others = load.cpus.len().saturating_sub(threads);
            let started = thread::Builder::new().name("load-background".into()).spawn_scoped(scope, move || {
                // Pinned client threads use the last CPUs of the list. Where they use all, this thread shares them: it
                // must never run on the server's CPUs, which the process may be allowed to use.
                cpus::pin(if others > 0 { &load.cpus[..others] } else { load.cpus });
                background::run(load, control, background_counters)
            });
            background = Some(started?);
        }
        let mut before = 0;
        for (index, counters) in counters.iter().enumerate() {
            let connections = load.concurrency / threads + usize::from(index < load.concurrency % threads);
            let cpu = (threads <= load.cpus.len()).then(|| load.cpus[load.cpus.len() - 1 - index]);
            let (arrivals, seed) = (load.arrivals, load.seed);
            let share = LoadShare { index, threads, connections, before, times, arrivals, seed };
            before += connections;
            let control = &control;
            let started = thread::Builder::new().name(format!("load-{index}")).spawn_scoped(scope, move || {
                if let Some(cpu) = cpu {
                    cpus::pin(&[cpu]);
                }
                cpus::ask_for_short_slices(); // where the background load shares this CPU, it must not delay what is measured
                Worker::new(load.script, control, counters, load.target, share, load.shortest_timeout)?.run()
            });
            match started {
                Ok(handle) => handles.push(handle),
                Err(error) => {
                    // The threads that did start wait for the load, which will not begin, so let them end.
                    control.start(0);
                    control.set_window(0..0);
                    control.release();
                    return Err(error);
                }
            }
        }
        let thread_ended = || handles.iter().any(|handle| handle.is_finished());
        let course = coordinate(load, &control, &counters, &background_counters, observer, &thread_ended);
        control.release();
        background.map_or(Ok(()), joined)?;
        let measured = handles.into_iter().map(joined).collect::<io::Result<Vec<Option<ThreadMeasurement>>>>()?;
        Ok::<_, io::Error>((course, measured))
    })?;
    let Some(Course { warmup, silence }) = course else { return Ok(None) };
    let Some(threads) = measured.into_iter().collect::<Option<Vec<ThreadMeasurement>>>() else { return Ok(None) };
    let window = mean_window(&threads).as_secs_f64();
    let due: u64 = threads.iter().map(|thread| thread.recorder.started).sum();
    Ok(Some(Measurement {
        offered: times.map(|_| due as f64 / window.max(1e-9)),
        background: background_counters.results(&load.background),
        background_unanswered: background_counters.unanswered_at_end(),
        warmup,
        silence,
        slices: measurement::slices(&threads, load.duration.as_secs_f64(), window),
        trend: if matches!(load.schedule, Schedule::Ramp { .. }) { None } else { trend(&threads) },
        threads,
    }))
}

/// The trend of the rate in a whole window. All complete answers that came in a slice count, since in an open loop the
/// first answers that come in the window belong to requests that were due before it.
fn trend(threads: &[ThreadMeasurement]) -> Option<f64> {
    if threads.iter().any(|thread| thread.interrupted) {
        return None;
    }
    trend::trend(&answers_by_slice(threads))
}

/// Waits for the end of a thread, and returns its result.
fn joined<T>(handle: ScopedJoinHandle<'_, io::Result<T>>) -> io::Result<T> {
    handle.join().unwrap_or_else(|_| Err(io::Error::other("a thread of the load generator panicked")))
}

/// The course of a trial whose window began.
struct Course {
    /// The length of the warm-up.
    warmup: Duration,
    /// As [`Measurement::silence`].
    silence: Duration,
}

/// The last answer that has come, as far as it was looked.
struct LastAnswer {
    /// Answers up to it.
    count: u64,
    /// When it was seen.
    seen: Nanos,
}

impl LastAnswer {
    fn look(&mut self, count: u64, now: Nanos) {
        if count > self.count {
            *self = LastAnswer { count, seen: now };
        }
    }
}

/// Leads the threads through the phases of the trial, and returns their course if the window began. `thread_ended` says whether a client thread has ended early.
fn coordinate(
    load: &Load<'_>,
    control: &Control<'_>,
    counters: &[LiveCounters],
    background_counters: &background::BackgroundCounters,
    observer: &mut dyn TrialObserver,
    thread_ended: &dyn Fn() -> bool,
) -> Option<Course> {
    let over = || control.stopped() || thread_ended();
    let all = load.concurrency.saturating_add(load.background.total());
    let (mut settled, mut progressed) = (0, 0);
    loop {
        if over() {
            return None;
        }
        let now = control.clock.now();
        let before = std::mem::replace(&mut settled, control::settled(counters) + background_counters.settled());
        if settled > before {
            progressed = now;
        }
        let only_answers = settled + background_counters.unanswered_now() >= all;
        let stall = if only_answers { ANSWER_STALL } else { CONNECT_STALL };
        if settled >= all || now >= (progressed + nanos(stall)).min(nanos(CONNECT_LIMIT)) {
            break;
        }
        thread::sleep(Duration::from_millis(1));
    }
    let head_start = if load.schedule == Schedule::Closed { 0 } else { nanos(HEAD_START) };
    let load_begin = control.clock.now() + head_start;
    let window = |begin| begin..begin + nanos(load.duration);
    // A ramp begins when it was planned to. A warm-up of zero is none at all.
    let fixed = load.warmup.is_zero() || matches!(load.schedule, Schedule::Ramp { .. });
    let mut begin = fixed.then(|| load_begin + nanos(load.warmup));
    begin.into_iter().for_each(|begin| control.set_window(window(begin)));
    let rate = if let Schedule::Rate(rate) = load.schedule { Some(rate) } else { None };
    let mut warm_up = WarmUp::new(nanos(load.warmup), load.concurrency, rate);
    control.start(load_begin);
    let mut last_answer = LastAnswer { count: 0, seen: load_begin };
    let mut tick = |observer: &mut dyn TrialObserver, begin: Option<Nanos>| {
        let (now, answered) = (control.clock.now(), control::answered(counters));
        last_answer.look(answered, now);
        let live = || {
            let (outcomes, established, latencies) = control::live_totals(counters);
            let since = begin.and_then(|begin| now.checked_sub(begin)).map(Duration::from_nanos);
            LiveSnapshot { since, outcomes, established, latencies }
        };
        let elapsed = Duration::from_nanos(now.saturating_sub(load_begin));
        observer.tick(elapsed, answered, control::errors(counters), &live);
    };
    let all_answers = || control::answered(counters) + background_counters.answered();
    let mut window_began = false;
    while control.past_window() < counters.len() {
        if thread_ended() || (control.stopped() && !window_began) {
            return None;
        }
        let now = control.clock.now();
        if begin.is_none() {
            let (answers, once) = (control::answered(counters), control::answered_once(counters));
            begin = warm_up.window_begin(now.saturating_sub(load_begin), answers, once).map(|begin| load_begin + begin);
            begin.into_iter().for_each(|begin| control.set_window(window(begin)));
        }
        if !window_began && begin.is_some_and(|begin| now >= begin) {
            window_began = true;
            background_counters.remember_begin();
            observer.window_begins(&all_answers);
        }
        if !window_began {
            observer.warms_up(Duration::from_nanos(now.saturating_sub(load_begin)), &all_answers);
        }
        tick(observer, begin);
        let next = match begin {
            None => WARM_UP_LOOK,
            Some(begin) if now < begin => Duration::from_nanos(begin - now),
            Some(_) => REPORT_INTERVAL,
        };
        thread::sleep(next.min(REPORT_INTERVAL));
    }
    background_counters.remember_end();
    observer.window_ended(&all_answers);
    // The answers to an open loop's requests that were due in the window.
    while control.finished() < counters.len() && !thread_ended() {
        tick(observer, begin);
        thread::sleep(REPORT_INTERVAL);
    }
    let now = control.clock.now();
    last_answer.look(control::answered(counters), now);
    let silence = Duration::from_nanos(now.saturating_sub(last_answer.seen));
    begin.map(|begin| Course { warmup: Duration::from_nanos(begin - load_begin), silence })
}

fn nanos(duration: Duration) -> Nanos {
    duration.as_nanos() as Nanos
}

#[cfg(test)]
mod tests;
