//! Turns SIGINT and SIGTERM into a flag that ends a run in good order.

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

static STOP: AtomicBool = AtomicBool::new(false);

/// Returns a flag that the first SIGINT or SIGTERM sets, which ends a run in good order. The second signal ends the
/// program.
pub fn stop_on_signals() -> &'static AtomicBool {
    extern "C" fn stop(_: i32) {
        STOP.store(true, Relaxed);
    }
    let action = SigAction::new(SigHandler::Handler(stop), SaFlags::SA_RESETHAND, SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        // SAFETY: the handler only stores to an atomic, which is async-signal-safe.
        let _ = unsafe { sigaction(signal, &action) };
    }
    &STOP
}
