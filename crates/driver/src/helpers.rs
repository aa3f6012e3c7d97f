use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::common::{HELPER_THREADS, THREAD_STACK};

type Channel<T> = (Sender<T>, Receiver<T>);
type Call<T> = Box<dyn FnOnce() -> T + Send>;

/// Threads that run blocking calls for an event loop. A finished call makes an eventfd(2) readable, which the loop watches.
///
/// `K` identifies a call, and `T` is what it returns.
pub struct Helpers<K, T> {
    wake: Arc<EventFd>,
    finished: Channel<(K, T)>,
    calls: Option<Sender<(K, Call<T>)>>,
}

impl<K: Send + 'static, T: Send + 'static> Helpers<K, T> {
    /// Starts no thread yet: most loops never need one.
    ///
    /// # Errors
    /// The machine has no descriptor left.
    pub fn new() -> io::Result<Helpers<K, T>> {
        let wake = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Helpers { wake: Arc::new(wake), finished: channel(), calls: None })
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

    /// Gives a call to the threads. What it returns comes back with `key`.
    ///
    /// # Errors
    /// The machine has no thread left.
    pub fn run(&mut self, key: K, call: impl FnOnce() -> T + Send + 'static) -> io::Result<()> {
        self.start()?;
        // The receiver lives as long as a helper does, and a helper lives until `calls` is dropped.
        let sent = self.calls.as_ref().and_then(|calls| calls.send((key, Box::new(call))).ok());
        sent.ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }

    /// What a finished call has returned, and its key; `None` when no call is finished.
    pub fn finished(&self) -> Option<(K, T)> {
        self.finished.1.try_recv().ok().or_else(|| {
            // The eventfd is not readable from here on; a call that finished just before is still found.
            let _ = self.wake.read();
            self.finished.1.try_recv().ok()
        })
    }

    fn start_threads(&self) -> io::Result<Sender<(K, Call<T>)>> {
        let (calls, queue) = channel::<(K, Call<T>)>();
        let queue = Arc::new(Mutex::new(queue));
        for n in 0..HELPER_THREADS {
            let (queue, finished, wake) = (Arc::clone(&queue), self.finished.0.clone(), Arc::clone(&self.wake));
            let helper = thread::Builder::new().name(format!("helper-{n}")).stack_size(THREAD_STACK);
            let started = helper.spawn(move || {
                loop {
                    let Ok(Ok((key, call))) = queue.lock().map(|queue| queue.recv()) else { return };
                    // After a panic its connection would wait for ever. Half a server is worse than a restarted one.
                    let returned = catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| std::process::abort());
                    if finished.send((key, returned)).is_err() || wake.write(1).is_err() {
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

impl<K, T> AsFd for Helpers<K, T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use nix::poll::{PollFd, PollFlags, poll};

    use super::*;

    /// Waits until the eventfd is readable, at most ten seconds.
    fn wait(helpers: &Helpers<u32, &'static str>) {
        let mut fds = [PollFd::new(helpers.as_fd(), PollFlags::POLLIN)];
        assert_eq!(poll(&mut fds, 10_000u16), Ok(1), "no call has finished");
    }

    #[test]
    fn each_result_comes_back_with_its_key() {
        let mut helpers = Helpers::new().unwrap();
        assert!(helpers.finished().is_none());
        helpers.run(1, || "one").unwrap();
        helpers.run(2, || "two").unwrap();
        let mut results = Vec::new();
        let deadline = Instant::now() + Duration::from_secs(10);
        while results.len() < 2 && Instant::now() < deadline {
            wait(&helpers);
            results.extend(std::iter::from_fn(|| helpers.finished()));
        }
        results.sort_unstable();
        assert_eq!(results, [(1, "one"), (2, "two")]);
    }

    #[test]
    fn a_slow_call_delays_no_other() {
        let mut helpers = Helpers::new().unwrap();
        let (go_on, told) = channel();
        helpers.run(1, move || told.recv_timeout(Duration::from_secs(10)).map_or("not told", |()| "slow")).unwrap();
        helpers.run(2, || "quick").unwrap();
        wait(&helpers);
        assert_eq!(helpers.finished(), Some((2, "quick")));
        go_on.send(()).unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut slow = None;
        while slow.is_none() && Instant::now() < deadline {
            wait(&helpers);
            slow = helpers.finished();
        }
        assert_eq!(slow, Some((1, "slow")));
    }
}
