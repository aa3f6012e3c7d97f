use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use libc::pid_t;
use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;
use nix::unistd::{getpid, gettid};
use scoreboard::Syscall;

use crate::blocking::{INTERRUPT, STOPPING, prepare_for_sigterm};
use crate::detached::Detached;
use crate::door::{Door, Doorkeeper};
use crate::stop::signals;
use crate::syscalls::Calls;

/// The connections of a process whose threads wait, each for one of them.
pub struct Threads<'a> {
    door: Door<'a>,
    room: Arc<Room>,
    threads: Detached,
    sigterm: SignalFd,
}

/// A connection that has arrived. Dropped, it is closed, and its place is free.
pub struct Guest {
    /// Its socket, until somebody serves it.
    socket: Option<TcpStream>,
    room: Arc<Room>,
    calls: Calls,
}

/// The places for connections that are open at a time.
struct Room {
    limit: usize,
    taken: AtomicUsize,
    /// Somebody waits for one to become free.
    awaited: AtomicBool,
    freed: EventFd,
}

impl<'a> Threads<'a> {
    /// No connection yet. Above `limit` open ones, a connection waits in the kernel's queue.
    pub fn new(listener: &'a TcpListener, limit: usize, calls: Calls) -> io::Result<Threads<'a>> {
        let sigterm = signals([Signal::SIGTERM])?;
        prepare_for_sigterm()?;
        let freed = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        let room = Room { limit, taken: AtomicUsize::new(0), awaited: AtomicBool::new(false), freed };
        Ok(Threads { door: Door::new(listener, calls)?, room: Arc::new(room), threads: Detached::new()?, sigterm })
    }

    /// Waits for a place and for a connection; `None` once SIGTERM has come and the queue is dry.
    pub fn next_arrival(&mut self) -> io::Result<Option<Guest>> {
        let socket = self.let_in()?;
        Ok(socket.map(|socket| Guest::new(socket, Arc::clone(&self.room), self.door.calls)))
    }

    /// Runs `serve` in a thread of its own.
    ///
    /// Out of threads (EAGAIN), it waits until the machine has one again: the connection is kept.
    pub fn spawn<F>(&mut self, guest: Guest, serve: F) -> io::Result<()>
    where
        F: FnOnce(Guest) -> io::Result<()> + Send + 'static,
    {
        // What fails is the peer's own, even a panic.
        let mut work = move || drop(serve(guest));
        loop {
            self.door.calls.0.syscall(Syscall::Clone);
            match self.threads.start(work) {
                Ok(()) => return Ok(()),
                Err((Errno::EAGAIN, kept)) => {
                    work = kept;
                    self.rest()?;
                }
                Err((errno, _)) => return Err(errno.into()),
            }
        }
    }

    /// Waits until every connection is finished.
    pub fn wait_for_all(mut self) -> io::Result<()> {
        while self.room.await_one_less_than(1) {
            self.wait(false, None)?;
        }
        Ok(())
    }
}

impl Doorkeeper for Threads<'_> {
    fn door(&self) -> &Door<'_> {
        &self.door
    }

    fn is_full(&mut self) -> io::Result<bool> {
        Ok(self.room.await_one_less_than(self.room.limit))
    }

    fn wait(&mut self, arrivals: bool, most: Option<Duration>) -> io::Result<()> {
        let news = [self.room.freed.as_fd(), self.sigterm.as_fd()];
        let [freed, signalled] = self.door.wait(news, arrivals, most)?;
        if freed {
            let _ = self.room.freed.read(); // it need not be readable any more
        }
        if signalled && self.sigterm.read_signal()?.is_some() {
            self.door.stopping = true;
            interrupt_all_threads()?;
        }
        Ok(())
    }
}

impl Guest {
    fn new(socket: TcpStream, room: Arc<Room>, calls: Calls) -> Guest {
        room.taken.fetch_add(1, SeqCst);
        calls.0.opened();
        Guest { socket: Some(socket), room, calls }
    }

    /// Serves it on this thread: `serve` gets the socket.
    pub fn serve(mut self, serve: impl FnOnce(TcpStream) -> io::Result<()>) -> io::Result<()> {
        self.socket.take().map_or(Ok(()), serve)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        drop(self.socket.take()); // first: the place is free when the descriptor is
        self.calls.0.closed();
        self.room.taken.fetch_sub(1, SeqCst);
        if self.room.awaited.load(SeqCst) {
            let _ = self.room.freed.write(1); // it can only fail for being readable already
        }
    }
}

impl Room {
    /// Are there `places` connections, or more? Then the end of each is told from now on.
    fn await_one_less_than(&self, places: usize) -> bool {
        if self.taken.load(SeqCst) < places {
            self.awaited.store(false, SeqCst);
            return false;
        }
        self.awaited.store(true, SeqCst);
        self.taken.load(SeqCst) >= places // once more: one may have ended before it knew
    }
}

/// Tells all threads to stop, those to come too, and interrupts each other one of this process, so that none stays
/// blocked: tgkill(2).
fn interrupt_all_threads() -> io::Result<()> {
    STOPPING.store(true, SeqCst);
    let me = gettid().as_raw();
    for entry in std::fs::read_dir("/proc/self/task")?.flatten() {
        if let Some(thread) = entry.file_name().to_str().and_then(|name| name.parse::<pid_t>().ok())
            && thread != me
        {
            // SAFETY: it passes three numbers. The thread may have ended, and then there is nothing to interrupt.
            unsafe { libc::syscall(libc::SYS_tgkill, getpid().as_raw(), thread, INTERRUPT as libc::c_int) };
        }
    }
    Ok(())
}
