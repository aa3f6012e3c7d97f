//! What SIGINT, SIGTERM and SIGHUP do: they end the program at once, or they end a run in good order.

use crate::stop::Stop;
use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// The run shall end.
static STOP: AtomicBool = AtomicBool::new(false);
/// A signal only sets [`STOP`], because there are results to write.
static IN_GOOD_ORDER: AtomicBool = AtomicBool::new(false);
/// How often a wait looks whether the run shall end.
const TICK: Duration = Duration::from_millis(20);

/// From now on, a signal ends the program at once, with the exit code 130. Returns the flag that signals set after
/// [`stop_on_signals`].
///
/// Without a handler, the process 1 of a container would not even notice the signal. pid_namespaces(7)
pub fn end_on_signals() -> &'static AtomicBool {
    IN_GOOD_ORDER.store(false, Relaxed);
    handle_signals()
}

/// Returns a flag that the first signal from now on sets, which ends a run in good order. The second signal ends the
/// program.
pub fn stop_on_signals() -> &'static AtomicBool {
    IN_GOOD_ORDER.store(true, Relaxed);
    handle_signals()
}

fn handle_signals() -> &'static AtomicBool {
    extern "C" fn handle(_: i32) {
        if !IN_GOOD_ORDER.load(Relaxed) || STOP.swap(true, Relaxed) {
            // SAFETY: _exit(2) is async-signal-safe.
            unsafe { libc::_exit(130) }
        }
    }
    let action = SigAction::new(SigHandler::Handler(handle), SaFlags::empty(), SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: the handler uses atomics and _exit(2), which are async-signal-safe.
        let before = unsafe { sigaction(signal, &action) };
        if signal == Signal::SIGHUP
            && let Ok(before) = before
            && matches!(before.handler(), SigHandler::SigIgn)
        {
            // nohup(1) has the signal ignored, and so it stays.
            // SAFETY: as above.
            let _ = unsafe { sigaction(signal, &before) };
        }
    }
    &STOP
}

/// Does `work` on a thread of its own and returns its result; `None` once `stop` has been set for the time `grace`. The
/// thread then goes on alone. This is for what the system does not interrupt, such as the look-up of a name.
///
/// # Errors
/// The thread could not be started, or `work` panicked.
pub fn unless_stopped<'s, T: Send + 'static>(
    stop: impl Into<Stop<'s>>,
    grace: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<Option<T>> {
    unless_stopped_while(stop, grace, || TICK, work)
}

/// As [`unless_stopped`]. `meanwhile` is called again and again until the result is there, and returns how long to wait before
/// the next call.
///
/// # Errors
/// As [`unless_stopped`].
pub(crate) fn unless_stopped_while<'s, T: Send + 'static>(
    stop: impl Into<Stop<'s>>,
    grace: Duration,
    mut meanwhile: impl FnMut() -> Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<Option<T>> {
    let stop = stop.into();
    let (sender, receiver) = channel();
    thread::Builder::new().name("side-work".into()).spawn(move || drop(sender.send(work())))?;
    let mut stopped_at = None;
    loop {
        match receiver.recv_timeout(meanwhile().min(TICK)) {
            Ok(result) => return Ok(Some(result)),
            Err(RecvTimeoutError::Disconnected) => return Err(io::Error::other("a thread panicked")),
            Err(RecvTimeoutError::Timeout) if stop.is_set() => {
                if stopped_at.get_or_insert_with(Instant::now).elapsed() >= grace {
                    return Ok(None);
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_takes_too_long_is_left_when_the_run_shall_end() {
        let stop = AtomicBool::new(false);
        assert_eq!(unless_stopped(&stop, Duration::ZERO, || 7).unwrap(), Some(7));
        assert!(unless_stopped(&stop, Duration::ZERO, || panic!("on purpose")).is_err());
        let (_sender, receiver) = channel::<()>();
        stop.store(true, Relaxed);
        let endless = unless_stopped(&stop, Duration::ZERO, move || receiver.recv());
        assert_eq!(endless.unwrap(), None);
    }

    #[test]
    fn something_else_can_be_done_meanwhile() {
        let stop = AtomicBool::new(false);
        let (sender, receiver) = channel();
        let mut calls = 0;
        let meanwhile = || {
            calls += 1;
            if calls == 3 {
                sender.send("done").unwrap();
            }
            Duration::from_micros(100)
        };
        let result = unless_stopped_while(&stop, Duration::ZERO, meanwhile, move || receiver.recv());
        assert_eq!(result.unwrap(), Some(Ok("done")));
        assert!(calls >= 3);
    }
}
