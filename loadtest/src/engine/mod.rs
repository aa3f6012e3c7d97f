//! The engine: loads one target for one trial and measures a window of it.

mod background;
mod clock;
mod control;
mod dial;
mod open_loop;
mod pacer;
mod pin;
mod polling;
mod run_queue;
mod wait;
mod worker;

pub use pin::allowed_cpus;

use crate::class::OutcomeCounts;
use crate::client::Script;
use crate::live::LiveSnapshot;
use crate::pace::BackgroundResults;
use crate::plan::{BackgroundLoad, Schedule};
use crate::recorder::{Nanos, Recorder};
use crate::schedule::IntendedTimes;
use control::{Control, LiveCounters, Window};
use hdrhistogram::Histogram;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;
use worker::{LoadShare, ThreadMeasurement, Worker};

/// How long the engine waits for a further connection before it begins the load with the established ones.
const CONNECT_STALL: Duration = Duration::from_secs(5);
/// How long the engine waits for all connections to be established.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);
/// The delay between the decision to begin and an open loop's first request, so that all threads have woken up by then.
const HEAD_START: Duration = Duration::from_millis(5);
const REPORT_INTERVAL: Duration = Duration::from_millis(10);

/// What one trial does.
pub struct Load<'a> {
    /// The address of the target.
    pub target: SocketAddr,
    /// What each connection does.
    pub script: &'a Script,
    /// When requests are sent: a closed loop, a rate or a ramp.
    pub schedule: Schedule,
    /// Number of measured connections, over all threads.
    pub concurrency: usize,
    /// The background connections.
    pub background: BackgroundLoad,
    /// Host and port, for the requests of the background connections.
    pub authority: &'a str,
    /// The request of the busy background clients; it asks the server to close the connection.
    pub busy_request: &'a [u8],
    /// Client threads. At most as many threads as connections are started.
    pub threads: usize,
    /// CPUs to which the threads may be pinned, one each; threads are pinned only if there are enough CPUs.
    pub cpus: &'a [usize],
    /// Length of the warm-up: load before the window.
    pub warmup: Duration,
    /// Length of the window.
    pub duration: Duration,
    /// The shorter of the two time-outs; it determines how often deadlines are checked.
    pub shortest_timeout: Duration,
}

/// Is notified while a trial runs, always from the thread that called [`trial`].
pub trait TrialObserver {
    /// The window begins. `answered` returns the number of complete answers since the load began; it may be called
    /// again later.
    fn window_begins(&mut self, answered: &dyn Fn() -> u64);
    /// Called about every 10 ms with the time since the load began, the complete answers since then, the errors in the
    /// present part of the trial, and a function that takes a snapshot of the window.
    fn tick(&mut self, elapsed: Duration, answered: u64, errors: u64, live: &dyn Fn() -> LiveSnapshot);
    /// The window has ended, and all connections are still open.
    fn window_ended(&mut self, answered: u64);
}

/// What a trial measured, over all threads.
#[derive(Debug)]
pub struct TrialMeasurement {
    /// Requests that belong to the window.
    pub started: u64,
    /// The outcomes of these requests; their sum is `started`.
    pub outcomes: OutcomeCounts,
    /// Latency of requests with the outcome `ok`, in nanoseconds.
    pub latency: Histogram<u64>,
    /// Service time of these requests, from the first byte sent, in nanoseconds. Open loop only.
    pub service_time: Histogram<u64>,
    /// Schedule lag: how late requests were sent although a connection was free, in nanoseconds. Open loop only.
    pub schedule_lag: Histogram<u64>,
    /// Requests a second that were due in the window. Open loop only.
    pub offered: Option<f64>,
    /// Requests that were due in the window and still waited for a connection at its end.
    pub unsent: u64,
    /// The counts of the background connections.
    pub background: BackgroundResults,
    /// Connect times of the connections established in the window, in nanoseconds.
    pub connect: Histogram<u64>,
    /// Bytes received in the window.
    pub bytes: u64,
    /// Connections that the server left open although the client had asked it to close them.
    pub close_ignored: u64,
    /// Connections that this machine could not even try.
    pub local_failures: u64,
    /// Length of the window, as measured.
    pub window: Duration,
    /// CPU time of all client threads in the window, without fruitless polling.
    pub cpu: Duration,
    /// The largest share of the window that a client thread spent on a CPU, without fruitless polling, 0 to 1.
    pub busiest_thread: f64,
    /// The largest share of the window that a client thread spent on fruitless polling, 0 to 1. Open loop only.
    pub polling: f64,
    /// The largest share of the window for which a client thread was ready to run and had no CPU, 0 to 1.
    pub longest_wait: f64,
    /// Connections that were established at the end of the window.
    pub established: usize,
    /// Whether the window was cut short.
    pub interrupted: bool,
    /// Connections that got no answer in the window.
    pub unserved: u64,
    /// Jain's fairness index over the numbers of answers that the connections got.
    pub fairness: Option<f64>,
}

/// Runs one trial. `None` if it was stopped before its window began.
///
/// # Errors
/// The kernel's error if it gave no thread or epoll instance, or an error that says that requests were miscounted.
pub fn trial(
    load: &Load<'_>,
    stop: &AtomicBool,
    observer: &mut dyn TrialObserver,
) -> io::Result<Option<TrialMeasurement>> {
    let threads = load.threads.clamp(1, load.concurrency.max(1));
    let control = Control::new(stop);
    let counters: Vec<LiveCounters> = std::iter::repeat_with(LiveCounters::default).take(threads).collect();
    let background_counters = background::BackgroundCounters::default();
    let times = IntendedTimes::new(load.schedule, load.warmup, load.duration);
    let measured = thread::scope(|scope| {
        let mut handles = Vec::new();
        if load.background.total() > 0 {
            let (control, background_counters) = (&control, &background_counters);
            let others = load.cpus.len().saturating_sub(threads);
            let started = thread::Builder::new().name("load-background".into()).spawn_scoped(scope, move || {
                // The pinned client threads use the last CPUs of the list.
                if others > 0 {
                    pin::pin(&load.cpus[..others]);
                }
                background::run(load, control, background_counters)
            });
            started?;
        }
        let mut before = 0;
        for (index, counters) in counters.iter().enumerate() {
            let connections = load.concurrency / threads + usize::from(index < load.concurrency % threads);
            let cpu = (threads <= load.cpus.len()).then(|| load.cpus[load.cpus.len() - 1 - index]);
            let share = LoadShare { index, threads, connections, before, times };
            before += connections;
            let control = &control;
            let started = thread::Builder::new().name(format!("load-{index}")).spawn_scoped(scope, move || {
                if let Some(cpu) = cpu {
                    pin::pin(&[cpu]);
                }
                Worker::new(load.script, control, counters, load.target, share, load.shortest_timeout)?.run()
            });
            match started {
                Ok(handle) => handles.push(handle),
                Err(error) => {
                    // The threads that did start wait for the load, which will not begin, so let them end.
                    control.start(Window { load_begin: 0, begin: 0, end: 0 });
                    control.release();
                    return Err(error);
                }
            }
        }
        let thread_ended = || handles.iter().any(|handle| handle.is_finished());
        coordinate(load, &control, &counters, &background_counters, observer, &thread_ended);
        control.release();
        let joined = handles
            .into_iter()
            .map(|handle| handle.join().unwrap_or_else(|_| Err(io::Error::other("a client thread panicked"))));
        joined.collect::<io::Result<Vec<Option<ThreadMeasurement>>>>()
    })?;
    let Some(measured) = measured.into_iter().collect::<Option<Vec<ThreadMeasurement>>>() else { return Ok(None) };
    let measurement = sum(measured);
    let offered = times.map(|times| times.mean());
    Ok(Some(TrialMeasurement { offered, background: background_counters.results(&load.background), ..measurement }))
}

/// Leads the threads through the phases of the trial. `thread_ended` says whether a client thread has ended early.
fn coordinate(
    load: &Load<'_>,
    control: &Control<'_>,
    counters: &[LiveCounters],
    background_counters: &background::BackgroundCounters,
    observer: &mut dyn TrialObserver,
    thread_ended: &dyn Fn() -> bool,
) {
    let over = || control.stopped() || thread_ended();
    let (mut settled, mut give_up_at) = (0, nanos(CONNECT_STALL));
    while control.clock.now() < give_up_at {
        if over() {
            return;
        }
        let before = std::mem::replace(&mut settled, control::settled(counters));
        if settled >= load.concurrency && background_counters.all_tried(&load.background) {
            break;
        }
        if settled > before {
            give_up_at = (control.clock.now() + nanos(CONNECT_STALL)).min(nanos(CONNECT_LIMIT));
        }
        thread::sleep(Duration::from_millis(1));
    }
    let head_start = if load.schedule == Schedule::Closed { 0 } else { nanos(HEAD_START) };
    let load_begin = control.clock.now() + head_start;
    let begin = load_begin + nanos(load.warmup);
    control.start(Window { load_begin, begin, end: begin + nanos(load.duration) });
    let mut window_began = false;
    while control.finished() < counters.len() {
        if thread_ended() || (control.stopped() && !window_began) {
            return;
        }
        let now = control.clock.now();
        let answered = control::answered(counters);
        if !window_began && now >= begin {
            window_began = true;
            observer.window_begins(&|| control::answered(counters));
        }
        let live = || {
            let (outcomes, established, latencies) = control::live_totals(counters);
            let since = now.checked_sub(begin).map(Duration::from_nanos);
            LiveSnapshot { since, outcomes, established, latencies }
        };
        observer.tick(Duration::from_nanos(now.saturating_sub(load_begin)), answered, control::errors(counters), &live);
        let next = if now < begin { begin - now } else { nanos(REPORT_INTERVAL) };
        thread::sleep(Duration::from_nanos(next).min(REPORT_INTERVAL));
    }
    background_counters.remember_established();
    observer.window_ended(control::answered(counters));
}

fn nanos(duration: Duration) -> Nanos {
    duration.as_nanos() as Nanos
}

fn sum(measured: Vec<ThreadMeasurement>) -> TrialMeasurement {
    let mut total = Recorder::default();
    let mut windows = Duration::ZERO;
    let mut cpu = Duration::ZERO;
    let mut busiest_thread = 0.0f64;
    let mut polling = 0.0f64;
    let mut longest_wait = 0.0f64;
    let mut unsent = 0;
    let mut established = 0;
    let mut interrupted = false;
    let threads = measured.len() as u32;
    let served = || measured.iter().flat_map(|part| part.served.iter().copied());
    let fairness = crate::stats::fairness(served());
    let unserved = served().filter(|&answers| answers == 0).count() as u64;
    for part in measured {
        total.started += part.recorder.started;
        total.outcomes.add(&part.recorder.outcomes);
        total.latency.add(&part.recorder.latency).expect("same bounds");
        total.service_time.add(&part.recorder.service_time).expect("same bounds");
        total.schedule_lag.add(&part.recorder.schedule_lag).expect("same bounds");
        total.connect.add(&part.recorder.connect).expect("same bounds");
        total.bytes += part.recorder.bytes;
        total.close_ignored += part.recorder.close_ignored;
        total.local_failures += part.recorder.local_failures;
        windows += part.window;
        cpu += part.cpu;
        let share = |time: Duration| time.as_secs_f64() / part.window.as_secs_f64().max(1e-9);
        busiest_thread = busiest_thread.max(share(part.cpu));
        polling = polling.max(share(part.fruitless_polling));
        longest_wait = longest_wait.max(share(part.waited));
        unsent += part.unsent;
        established += part.established;
        interrupted |= part.interrupted;
    }
    let window = windows / threads;
    TrialMeasurement {
        started: total.started,
        outcomes: total.outcomes,
        latency: total.latency,
        service_time: total.service_time,
        schedule_lag: total.schedule_lag,
        offered: None,
        unsent,
        background: BackgroundResults::default(),
        connect: total.connect,
        bytes: total.bytes,
        close_ignored: total.close_ignored,
        local_failures: total.local_failures,
        window,
        cpu,
        busiest_thread,
        polling,
        longest_wait,
        established,
        interrupted,
        unserved,
        fairness,
    }
}
