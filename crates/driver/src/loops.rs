use std::io::{self, ErrorKind, Write};
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::getpid;

/// Runs the loop on `threads` threads, this one among them, until all have returned.
///
/// A loop that fails or panics ends the process, and so does a thread that cannot be started: half a server would be worse
/// than a restarted one.
///
/// # Errors
/// `ErrorKind::Unsupported` or `QuotaExceeded` of a loop: the machine does not permit the model, or lacks something for this loop.
/// The other loops then stop as at SIGTERM.
pub fn on_each_thread(threads: usize, body: impl Fn() -> io::Result<()> + Sync) -> io::Result<()> {
    let run = || match std::panic::catch_unwind(std::panic::AssertUnwindSafe(&body)) {
        Ok(Err(error)) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::QuotaExceeded) => {
            if threads > 1 {
                let _ = kill(getpid(), Signal::SIGTERM); // another loop may have what this one lacks, and serve already
            }
            Err(error)
        }
        Ok(Err(error)) => exit("a loop has failed", &error),
        Ok(ended) => ended,
        Err(_) => std::process::abort(),
    };
    thread::scope(|scope| {
        let start = |n| thread::Builder::new().name(format!("loop-{n}")).spawn_scoped(scope, run);
        let others: Vec<_> = (1..threads)
            .map(|n| start(n).unwrap_or_else(|error| exit("there is no thread for another loop", &error)))
            .collect();
        let mine = run();
        others.into_iter().map(|t| t.join().unwrap_or_else(|_| std::process::abort())).fold(mine, Result::and)
    })
}

fn exit(what: &str, error: &io::Error) -> ! {
    let _ = writeln!(io::stderr(), "{what}: {error}"); // a closed standard error is no reason to panic
    std::process::exit(1)
}
