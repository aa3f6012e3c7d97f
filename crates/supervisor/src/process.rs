//! The model's process.

use std::io::{self, ErrorKind};
use std::net::TcpListener;
use std::panic::{AssertUnwindSafe, catch_unwind};

use app::{App, Settings};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};
use nix::sys::wait::WaitStatus;
use nix::unistd::{Pid, getppid};
use scoreboard::Scoreboard;

use crate::{Model, say};

/// How the process says that this machine does not permit the model; the reason is the scoreboard's note.
pub(crate) const UNSUPPORTED: i32 = 69; // EX_UNAVAILABLE of sysexits.h
const FAILED: i32 = 1;
const PANICKED: i32 = 101; // Rust's own

/// Runs the model in the forked child, and ends it. `supervisor` is its parent.
pub(crate) fn run(model: Model, listener: TcpListener, settings: Settings, board: Scoreboard, supervisor: Pid) -> ! {
    let serve = || {
        set_up_signals(supervisor)?;
        (model.serve)(listener, App::new(settings, board)?)
    };
    let code = match catch_unwind(AssertUnwindSafe(serve)) {
        Ok(Ok(())) => 0,
        Ok(Err(error)) if error.kind() == ErrorKind::Unsupported => {
            board.leave_note(&error.to_string());
            UNSUPPORTED
        }
        Ok(Err(error)) => {
            say(model.name, format_args!("the model failed: {error}"));
            FAILED
        }
        Err(_) => PANICKED, // the hook has said why
    };
    // SAFETY: `_exit` ends the process at once. Threads of the model may still run: exit(3) would race with them.
    unsafe { libc::_exit(code) }
}

/// SIGTERM comes when the supervisor dies, and is blocked; SIGINT and SIGPIPE are ignored; the rest is as usual.
fn set_up_signals(supervisor: Pid) -> io::Result<()> {
    set_pdeathsig(Signal::SIGTERM)?;
    if getppid() != supervisor {
        // It died before we had asked to be told: PR_SET_PDEATHSIG, prctl(2).
        return Err(io::Error::other("the supervisor is gone"));
    }
    // SAFETY: ignoring a signal installs no handler.
    unsafe {
        // A terminal's Ctrl-C reaches the whole process group; what it means is the supervisor's decision.
        signal(Signal::SIGINT, SigHandler::SigIgn)?;
        signal(Signal::SIGPIPE, SigHandler::SigIgn)?;
    }
    let mut blocked = SigSet::empty();
    blocked.add(Signal::SIGTERM);
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&blocked), None)?;
    Ok(())
}

/// How a process ended, as the end of a sentence about it.
pub(crate) fn describe(how: WaitStatus) -> String {
    match how {
        WaitStatus::Exited(_, code) => format!("exited with code {code}"),
        WaitStatus::Signaled(_, signal, _) => format!("was killed by {signal}"),
        other => format!("ended: {other:?}"),
    }
}
