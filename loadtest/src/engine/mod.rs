//! The engine: loads one target for one trial and measures a window of it.

mod beside;
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

use crate::class::Counts;
use crate::client::Script;
use crate::live::Live;
use crate::meter::{Meter, Nanos};
use crate::pace::Beside;
use crate::plan::{Crowd, Schedule};
use crate::schedule::Times;
use control::{Control, Lane, Window};
use hdrhistogram::Histogram;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;
use worker::{Measured, Share, Worker};

/// How long the engine waits for a further connection before it begins the load with those that it has.
const OPENING: Duration = Duration::from_secs(5);
/// How long it waits for all of them.
const OPENING_ALL: Duration = Duration::from_secs(30);
/// Between the decision to begin and an open loop's first request, so that its threads have woken up.
const HEAD_START: Duration = Duration::from_millis(5);
const TICK: Duration = Duration::from_millis(10);

/// What one trial does.
pub struct Load<'a> {
    /// Where the target is.
    pub target: SocketAddr,
    /// What each connection does.
    pub script: &'a Script,
    /// When requests are sent: a closed loop, a rate or a ramp.
    pub schedule: Schedule,
    /// Connections, over all threads.
    pub concurrency: usize,
    /// Connections beside them.
    pub beside: Crowd,
    /// Host and port for the requests of these.
    pub authority: &'a str,
    /// What the busy ones of them ask: a request that closes its connection.
    pub busy_request: &'a [u8],
    /// Threads; no more than connections are started.
    pub threads: usize,
    /// CPUs that the threads may be pinned to, one each; threads are pinned only if there are enough.
    pub cpus: &'a [usize],
    /// Load before the window.
    pub warmup: Duration,
    /// Length of the window.
    pub duration: Duration,
    /// The shorter of the timeouts, from which follows how often deadlines are looked at.
    pub shortest_timeout: Duration,
}

/// What a trial reports while it runs, always from the thread that called [`trial`].
pub trait Watch {
    /// The window begins. `answered` counts the complete answers since the load began, and goes on doing so.
    fn window_begins(&mut self, answered: &dyn Fn() -> u64);
    /// Called every 10 ms or so: time since the load began, complete answers since then, errors of late, and how the
    /// window fares.
    fn tick(&mut self, elapsed: Duration, answered: u64, errors: u64, live: &dyn Fn() -> Live);
    /// The window has ended, and all connections are still open.
    fn window_ended(&mut self, answered: u64);
}

/// What a trial measured, over all threads.
#[derive(Debug)]
pub struct Outcome {
    /// Requests that belong to the window.
    pub started: u64,
    /// How they ended; the sum is `started`.
    pub ends: Counts,
    /// Latency of requests that ended `ok`, in nanoseconds.
    pub latency: Histogram<u64>,
    /// The same from the first byte sent. Open loop only.
    pub service: Histogram<u64>,
    /// Nanoseconds that requests were sent late although a connection was free. Open loop only.
    pub lag: Histogram<u64>,
    /// Requests a second that were due in the window. Open loop only.
    pub offered: Option<f64>,
    /// Requests that were due in the window and still waited for a connection at its end.
    pub unsent: u64,
    /// What became of the connections beside the measured ones.
    pub beside: Beside,
    /// Nanoseconds that connections took to be established in the window.
    pub connect: Histogram<u64>,
    /// Bytes received in the window.
    pub bytes: u64,
    /// Connections on which the server was asked to close and did not.
    pub close_ignored: u64,
    /// Connections that this machine could not even try.
    pub local_failures: u64,
    /// Length of the window, as measured.
    pub window: Duration,
    /// CPU time of all client threads in the window, without that of polling in vain.
    pub cpu: Duration,
    /// The largest share of the window that one client thread spent on a CPU, polling in vain left out, 0 to 1.
    pub busiest_thread: f64,
    /// The largest share of the window that one client thread polled in vain, 0 to 1. Open loop only.
    pub polling: f64,
    /// The largest share of the window that one client thread was ready to run and had no CPU, 0 to 1.
    pub longest_wait: f64,
    /// Connections that were established at the end of the window.
    pub established: usize,
    /// The window was cut short.
    pub interrupted: bool,
    /// Connections that got no answer in the window.
    pub unserved: u64,
    /// Jain's index over the answers of each connection.
    pub fairness: Option<f64>,
}

/// Runs one trial. `None` if it was stopped before its window began.
///
/// # Errors
/// What the kernel said when a thread or an epoll instance could not be had, or that requests were miscounted.
pub fn trial(load: &Load<'_>, stop: &AtomicBool, watch: &mut dyn Watch) -> io::Result<Option<Outcome>> {
    let threads = load.threads.clamp(1, load.concurrency.max(1));
    let control = Control::new(stop);
    let lanes: Vec<Lane> = std::iter::repeat_with(Lane::default).take(threads).collect();
    let crowd = beside::Tally::default();
    let times = Times::new(load.schedule, load.warmup, load.duration);
    let measured = thread::scope(|scope| {
        let mut handles = Vec::new();
        if load.beside.total() > 0 {
            let (control, crowd) = (&control, &crowd);
            let others = load.cpus.len().saturating_sub(threads);
            let started = thread::Builder::new().name("load-beside".into()).spawn_scoped(scope, move || {
                // The measured threads have the last CPUs.
                if others > 0 {
                    pin::pin(&load.cpus[..others]);
                }
                beside::run(load, control, crowd)
            });
            started?;
        }
        let mut before = 0;
        for (index, lane) in lanes.iter().enumerate() {
            let connections = load.concurrency / threads + usize::from(index < load.concurrency % threads);
            let cpu = (threads <= load.cpus.len()).then(|| load.cpus[load.cpus.len() - 1 - index]);
            let share = Share { index, threads, connections, before, times };
            before += connections;
            let control = &control;
            let started = thread::Builder::new().name(format!("load-{index}")).spawn_scoped(scope, move || {
                if let Some(cpu) = cpu {
                    pin::pin(&[cpu]);
                }
                Worker::new(load.script, control, lane, load.target, share, load.shortest_timeout)?.run()
            });
            match started {
                Ok(handle) => handles.push(handle),
                Err(error) => {
                    // The threads that did start wait for the load, which will not come.
                    control.start(Window { go: 0, begin: 0, end: 0 });
                    control.release();
                    return Err(error);
                }
            }
        }
        let gone = || handles.iter().any(|handle| handle.is_finished());
        conduct(load, &control, &lanes, &crowd, watch, &gone);
        control.release();
        let joined = handles
            .into_iter()
            .map(|handle| handle.join().unwrap_or_else(|_| Err(io::Error::other("a client thread panicked"))));
        joined.collect::<io::Result<Vec<Option<Measured>>>>()
    })?;
    let Some(measured) = measured.into_iter().collect::<Option<Vec<Measured>>>() else { return Ok(None) };
    let outcome = sum(measured);
    let offered = times.map(|times| times.mean());
    Ok(Some(Outcome { offered, beside: crowd.seen(&load.beside), ..outcome }))
}

/// Leads the threads through the trial. `gone` says that a thread has given up.
fn conduct(
    load: &Load<'_>,
    control: &Control<'_>,
    lanes: &[Lane],
    crowd: &beside::Tally,
    watch: &mut dyn Watch,
    gone: &dyn Fn() -> bool,
) {
    let over = || control.stopped() || gone();
    let (mut settled, mut patience) = (0, nanos(OPENING));
    while control.clock.now() < patience {
        if over() {
            return;
        }
        let before = std::mem::replace(&mut settled, control::settled(lanes));
        if settled >= load.concurrency && crowd.is_settled(&load.beside) {
            break;
        }
        if settled > before {
            patience = (control.clock.now() + nanos(OPENING)).min(nanos(OPENING_ALL));
        }
        thread::sleep(Duration::from_millis(1));
    }
    let head_start = if load.schedule == Schedule::Closed { 0 } else { nanos(HEAD_START) };
    let go = control.clock.now() + head_start;
    let begin = go + nanos(load.warmup);
    control.start(Window { go, begin, end: begin + nanos(load.duration) });
    let mut window_began = false;
    while control.finished() < lanes.len() {
        if gone() || (control.stopped() && !window_began) {
            return;
        }
        let now = control.clock.now();
        let answered = control::answered(lanes);
        if !window_began && now >= begin {
            window_began = true;
            watch.window_begins(&|| control::answered(lanes));
        }
        let live = || {
            let (ends, established, latencies) = control::told(lanes);
            let since = now.checked_sub(begin).map(Duration::from_nanos);
            Live { since, ends, established, latencies }
        };
        watch.tick(Duration::from_nanos(now.saturating_sub(go)), answered, control::errors(lanes), &live);
        let next = if now < begin { begin - now } else { nanos(TICK) };
        thread::sleep(Duration::from_nanos(next).min(TICK));
    }
    crowd.keep_up();
    watch.window_ended(control::answered(lanes));
}

fn nanos(duration: Duration) -> Nanos {
    duration.as_nanos() as Nanos
}

fn sum(measured: Vec<Measured>) -> Outcome {
    let mut total = Meter::default();
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
        total.started += part.meter.started;
        total.ends.add(&part.meter.ends);
        total.latency.add(&part.meter.latency).expect("same bounds");
        total.service.add(&part.meter.service).expect("same bounds");
        total.lag.add(&part.meter.lag).expect("same bounds");
        total.connect.add(&part.meter.connect).expect("same bounds");
        total.bytes += part.meter.bytes;
        total.close_ignored += part.meter.close_ignored;
        total.local_failures += part.meter.local_failures;
        windows += part.window;
        cpu += part.cpu;
        let share = |time: Duration| time.as_secs_f64() / part.window.as_secs_f64().max(1e-9);
        busiest_thread = busiest_thread.max(share(part.cpu));
        polling = polling.max(share(part.polled));
        longest_wait = longest_wait.max(share(part.waited));
        unsent += part.unsent;
        established += part.established;
        interrupted |= part.interrupted;
    }
    let window = windows / threads;
    Outcome {
        started: total.started,
        ends: total.ends,
        latency: total.latency,
        service: total.service,
        lag: total.lag,
        offered: None,
        unsent,
        beside: Beside::default(),
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
