//! The process of a model or of a guest: what the forked child does from its signals to its exit code.

use std::io::{self, ErrorKind};
use std::net::TcpListener;
use std::panic::{AssertUnwindSafe, catch_unwind};

use app::App;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};
use nix::sys::wait::WaitStatus;
use nix::unistd::{Pid, getppid};

use crate::log;
use crate::status::{ModelProgram, Program, Service};

/// The exit code if this machine does not permit the model. The reason is then in the note of the scoreboard.
pub(crate) const UNSUPPORTED: i32 = 69; // EX_UNAVAILABLE of sysexits.h
/// The exit code if the machine lacks something for the model at the moment. The scoreboard's note says what.
pub(crate) const SHORTAGE: i32 = 75; // EX_TEMPFAIL of sysexits.h
const FAILED: i32 = 1;
const PANICKED: i32 = 101; // as in every Rust program

/// Runs the model, or the guest, in the forked child and then ends the process. `supervisor` is its parent. A model has a
/// listener. If a guest cannot be run, the note of the scoreboard says why.
pub(crate) fn run(service: &Service, listener: Option<TcpListener>, supervisor: Pid) -> ! {
    let (name, board) = (service.name, service.board);
    let serve = || {
        set_up_signals(supervisor)?;
        // The supervisor may use other CPUs, and threads and children inherit those of their parent.
        let cpus = &service.cpus.of_model;
        if !cpus.cpus().is_empty()
            && let Err(error) = cpus.apply()
        {
            log(name, format_args!("--cpus: cannot use CPU {cpus}: {error}"));
        }
        match &service.program {
            Program::Guest(guest) => guest.exec(),
            Program::Model(program) => {
                let ModelProgram { model, settings, .. } = &**program;
                let listener = listener.ok_or(ErrorKind::NotConnected)?;
                (model.serve)(listener, App::new(settings.clone(), board)?)
            }
        }
    };
    let code = match catch_unwind(AssertUnwindSafe(serve)) {
        Ok(Ok(())) => 0,
        Ok(Err(error)) if error.kind() == ErrorKind::Unsupported => {
            board.leave_note(&error.to_string());
            UNSUPPORTED
        }
        Ok(Err(error)) if error.kind() == ErrorKind::QuotaExceeded => {
            board.leave_note(&error.to_string());
            SHORTAGE
        }
        Ok(Err(error)) => {
            match service.program {
                Program::Model(_) => log(name, format_args!("the model failed: {error}")),
                Program::Guest(_) => board.leave_note(&error.to_string()),
            }
            FAILED
        }
        Err(_) => PANICKED, // the panic hook has printed the reason
    };
    // SAFETY: `_exit` ends the process at once. exit(3) would race with threads of the model that still run.
    unsafe { libc::_exit(code) }
}

/// Asks for SIGTERM when the supervisor dies, blocks SIGTERM, and ignores SIGINT and SIGPIPE. Other signals have their
/// default actions.
fn set_up_signals(supervisor: Pid) -> io::Result<()> {
    set_pdeathsig(Signal::SIGTERM)?;
    if getppid() != supervisor {
        // It died before this process had asked for the signal: PR_SET_PDEATHSIG, prctl(2).
        return Err(io::Error::other("the supervisor is gone"));
    }
    // SAFETY: ignoring a signal installs no handler.
    unsafe {
        // A terminal sends SIGINT for Ctrl-C to the whole process group, but only the supervisor decides what to do.
        signal(Signal::SIGINT, SigHandler::SigIgn)?;
        signal(Signal::SIGPIPE, SigHandler::SigIgn)?;
    }
    let mut blocked = SigSet::empty();
    blocked.add(Signal::SIGTERM);
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&blocked), None)?;
    Ok(())
}

/// Describes how a process ended, as the predicate of a sentence about it.
pub(crate) fn describe(status: WaitStatus) -> String {
    match status {
        WaitStatus::Exited(_, code) => format!("exited with code {code}"),
        WaitStatus::Signaled(_, signal, _) => format!("was killed by {signal}"),
        other => format!("ended: {other:?}"),
    }
}
