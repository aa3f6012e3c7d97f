//! The phases of a client thread: it opens the connections, warms the target up, measures the window, waits for the
//! answers that belong to it, and keeps the load on until it is released.

use super::super::clock::{Nanos, thread_cpu};
use super::super::pacer::Pacer;
use super::super::recorder::Recorder;
use super::super::run_queue;
use super::super::wait::minimise_timer_slack;
use super::{EVENTS, Worker};
use crate::engine::measurement::ThreadMeasurement;
use nix::sys::epoll::EpollEvent;
use results::OutcomeClass;
use std::io;
use std::ops::Range;
use std::time::Duration;

/// How often a thread looks whether the window was decided. The window is decided further ahead than that.
const WINDOW_LOOK: Nanos = 10_000_000;
/// How often an idle thread looks whether the load may end.
const RELEASE_LOOK: Nanos = 2_000_000;

impl Worker<'_> {
    /// Opens the connections, loads the target, and returns what the window measured. `None` if the run was interrupted
    /// before the window began.
    pub fn run(mut self) -> io::Result<Option<ThreadMeasurement>> {
        let mut events = vec![EpollEvent::empty(); EVENTS];
        // Records what becomes known after the window of its requests. It is made here, so that this takes no time then.
        let late = Recorder::default();
        self.open_all(&mut events)?;
        let Some(load_begin) = self.control.wait_for_start() else { return Ok(None) };
        match self.share.times {
            None => self.start_all(),
            Some(times) => {
                minimise_timer_slack();
                let thread = (self.share.index, self.share.threads);
                self.open_loop.begin(Pacer::new(times, self.share.arrivals, self.share.seed, load_begin, thread));
            }
        }
        let Some(window) = self.warm_up(&mut events)? else { return Ok(None) };
        let mut measured = self.measure(&mut events, window, late)?;
        self.control.leave_window();
        let late = self.follow(&mut events, &mut measured)?;
        self.control.finish();
        self.cool_down(&mut events)?;
        measured.unsent = late.started;
        measured.slices = self.slicer.finish(&mut measured.recorder, &late);
        measured.recorder.check()?;
        Ok(Some(measured))
    }

    /// Loads the target until the window begins, and returns the window of this thread.
    ///
    /// An open loop's window begins when it was decided to, unless the thread was kept from its CPU for so long that it
    /// learnt of the window too late: no request that is due in the window was sent before that. In a closed loop the
    /// window begins when the thread has seen that it is time.
    fn warm_up(&mut self, events: &mut [EpollEvent]) -> io::Result<Option<Range<Nanos>>> {
        let mut all_answered = false;
        let window = loop {
            let (window, now) = (self.control.window(), self.clock.now());
            if let Some(window) = window {
                let seen = self.run_until(events, window.start)?;
                break if self.open_loop.is_on() { window.start.max(now + 1)..window.end } else { seen..window.end };
            }
            self.run_until(events, now + WINDOW_LOOK)?;
            if self.control.stopped() {
                return Ok(None);
            }
            if !all_answered {
                let answered = self.slots.iter().filter(|slot| slot.client.answered_once()).count();
                self.counters.answered_once(answered);
                all_answered = answered == self.slots.len();
            }
        };
        Ok((!self.control.stopped()).then_some(window))
    }

    /// Measures the window. After it, `late` is the recorder.
    fn measure(
        &mut self,
        events: &mut [EpollEvent],
        window: Range<Nanos>,
        mut late: Recorder,
    ) -> io::Result<ThreadMeasurement> {
        let (cpu, waited, fruitless_polling) = (thread_cpu(), run_queue::waited(), self.polling.fruitless());
        let answers = self.recorder.answers;
        let (due, in_flight) = match self.open_loop.is_on() {
            true => (window.clone(), 0),
            false => (0..Nanos::MAX, self.in_flight()),
        };
        self.counters.begin_window();
        self.recorder.begin_window(due, in_flight);
        self.slicer.begin(window.clone(), &self.recorder);
        self.slots.iter_mut().for_each(|slot| slot.client.reset_served());
        let now = self.run_until(events, window.end)?;
        let cpu = thread_cpu() - cpu;
        // A thread that had no CPU when the window began has waited for it in the window, too.
        let lost = self.control.window().map_or(0, |planned| window.start.min(planned.end) - planned.start);
        let waited = run_queue::waited().zip(waited).map(|(end, begin)| end.saturating_sub(begin));
        let waited = waited.map(|waited| waited + Duration::from_nanos(lost));
        let fruitless_polling = self.polling.fruitless() - fruitless_polling;
        let interrupted = now < window.end;
        // An open loop's window ends exactly, since requests that are due later do not belong to it.
        let end = if self.open_loop.is_on() { window.end.min(now + 1) } else { now };
        (late.due, late.answers) = (window.start..end, self.recorder.answers);
        let waiting = self.slots.iter().filter_map(|slot| slot.client.waits_since());
        Ok(ThreadMeasurement {
            window: Duration::from_nanos(end.saturating_sub(window.start)),
            interrupted,
            cpu: cpu.saturating_sub(fruitless_polling),
            fruitless_polling,
            waited,
            established: self.established(),
            answered_once: self.slots.iter().filter(|slot| slot.client.answered_once()).count(),
            answers: self.recorder.answers - answers,
            served: self.slots.iter().map(|slot| slot.client.served()).collect(),
            longest_wait: Duration::from_nanos(waiting.map(|since| now.saturating_sub(since)).max().unwrap_or(0)),
            recorder: std::mem::replace(&mut self.recorder, late),
            slices: Vec::new(),
            unsent: 0,
        })
    }

    /// Waits until each request of an open loop's window has an outcome, while the load goes on, and returns what was
    /// recorded meanwhile. In a closed loop, and if the run is interrupted, the outcome is that the request was aborted.
    fn follow(&mut self, events: &mut [EpollEvent], measured: &mut ThreadMeasurement) -> io::Result<Recorder> {
        if !self.open_loop.is_on() {
            measured.recorder.outcomes[OutcomeClass::AbortedAtEnd] += self.in_flight();
            return Ok(Recorder::default());
        }
        let due = self.recorder.due.clone();
        let (timeout, connect_timeout) = (self.script.timeout(), self.script.connect_timeout());
        // A request may wait for a connection, then connect, then wait for its answer.
        let last = due.end.saturating_add(timeout).saturating_add(connect_timeout).saturating_add(timeout);
        let last = last.saturating_add(2 * self.deadline_check_interval);
        loop {
            let in_flight = measured.recorder.open() + self.recorder.open();
            if in_flight == 0 && !self.open_loop.has_waiting(due.end) {
                break;
            }
            let over = self.control.stopped() || self.control.is_released();
            if over || self.clock.now() > last {
                let unsent = self.open_loop.give_up(due) as i64;
                measured.interrupted |= over;
                // What has found no connection for so long cannot be dialed.
                let class = if over { OutcomeClass::AbortedAtEnd } else { OutcomeClass::Shed };
                self.recorder.started += unsent as u64;
                self.recorder.outcomes[class] += (in_flight + unsent) as u64;
                break;
            }
            self.load_on(events)?;
        }
        let after = Recorder { due: 0..0, answers: self.recorder.answers, ..Recorder::default() };
        Ok(std::mem::replace(&mut self.recorder, after))
    }

    /// Keeps the load on until all threads have measured and the target's levels have been read.
    fn cool_down(&mut self, events: &mut [EpollEvent]) -> io::Result<()> {
        while !self.control.is_released() && !self.control.stopped() {
            self.load_on(events)?;
        }
        self.control.wait_for_release();
        Ok(())
    }

    /// One round of the load after the window.
    fn load_on(&mut self, events: &mut [EpollEvent]) -> io::Result<()> {
        self.run_once(events, self.clock.now() + RELEASE_LOOK)?;
        self.counters.publish_answers(&self.recorder);
        Ok(())
    }
}
