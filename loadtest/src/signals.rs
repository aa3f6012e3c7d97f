//! Turns SIGINT, SIGTERM and SIGHUP into a flag that ends a run in good order.

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

static STOP: AtomicBool = AtomicBool::new(false);

/// Returns a flag that the first SIGINT, SIGTERM or SIGHUP sets, which ends a run in good order. The same signal again
/// ends the program. A SIGHUP that the parent wants ignored stays ignored: nohup(1).
pub fn stop_on_signals() -> &'static AtomicBool {
    extern "C" fn stop(_: i32) {
        STOP.store(true, Relaxed);
    }
    let action = SigAction::new(SigHandler::Handler(stop), SaFlags::SA_RESETHAND, SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: the handler only stores to an atomic, which is async-signal-safe.
        let before = unsafe { sigaction(signal, &action) };
        if let Ok(before) = before
            && signal == Signal::SIGHUP
            && matches!(before.handler(), SigHandler::SigIgn)
        {
            // SAFETY: this is the action that the signal had.
            let _ = unsafe { sigaction(signal, &before) };
        }
    }
    &STOP
}
