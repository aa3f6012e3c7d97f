use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use http::Reply;
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::alike::{HELPER_THREADS, STACK};

type Channel<T> = (Sender<T>, Receiver<T>);
type Call<T> = Box<dyn FnOnce() -> T + Send>;

/// Threads that make the calls that block, so that a loop need not: what is done makes an eventfd(2) readable.
pub struct Helpers<T = Reply> {
    wake: Arc<EventFd>,
    done: Channel<(u64, T)>,
    calls: Option<Sender<(u64, Call<T>)>>,
}

impl<T: Send + 'static> Helpers<T> {
    /// Starts no thread yet: most loops never need one.
    pub fn new() -> io::Result<Helpers<T>> {
        let wake = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Helpers { wake: Arc::new(wake), done: channel(), calls: None })
    }

    /// Starts the threads, unless they run.
    ///
    /// # Errors
    /// The machine has no thread left.
    pub fn start(&mut self) -> io::Result<()> {
        if self.calls.is_none() {
            self.calls = Some(self.start_threads()?);
        }
        Ok(())
    }

    /// Hands a call out; what it gives comes back under `key`.
    pub fn run(&mut self, key: u64, call: impl FnOnce() -> T + Send + 'static) -> io::Result<()> {
        self.start()?;
        // The receiver lives as long as a helper does, and a helper lives until `calls` is dropped.
        let sent = self.calls.as_ref().and_then(|calls| calls.send((key, Box::new(call))).ok());
        sent.ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }

    /// What a call has given, and its key, if one is done.
    pub fn done(&self) -> Option<(u64, T)> {
        self.done.1.try_recv().ok().or_else(|| {
            // No longer readable from here on; what was done just before that is still taken.
            let _ = self.wake.read();
            self.done.1.try_recv().ok()
        })
    }

    fn start_threads(&self) -> io::Result<Sender<(u64, Call<T>)>> {
        let (calls, queue) = channel::<(u64, Call<T>)>();
        let queue = Arc::new(Mutex::new(queue));
        for n in 0..HELPER_THREADS {
            let (queue, done, wake) = (Arc::clone(&queue), self.done.0.clone(), Arc::clone(&self.wake));
            let started = thread::Builder::new().name(format!("helper-{n}")).stack_size(STACK).spawn(move || {
                loop {
                    let Ok(Ok((key, call))) = queue.lock().map(|queue| queue.recv()) else { return };
                    // Whoever waits for it would wait for ever. Half a server is worse than one that is started anew.
                    let given = catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| std::process::abort());
                    if done.send((key, given)).is_err() || wake.write(1).is_err() {
                        return;
                    }
                }
            });
            match started {
                Err(error) if n == 0 => return Err(error),
                Err(_) => break, // fewer will do
                Ok(_) => {}
            }
        }
        Ok(calls)
    }
}

impl<T> AsFd for Helpers<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}
