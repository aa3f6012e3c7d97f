//! One connection of an event loop that learns readiness: what it does until it has to wait.

use std::io::ErrorKind;
use std::net::{Shutdown, TcpStream};
use std::time::Instant;

use http1::{Conn, Handler, Job, Want};

use crate::common::MAX_STEPS;
use crate::files::SendFile;
use crate::poller::{Id, Interest, Readiness};
use crate::syscalls::Calls;

/// One connection of an event loop.
pub(crate) struct Connection<H> {
    pub socket: TcpStream,
    pub conn: Conn<H>,
    /// What the kernel said of the socket, less what has been used up since.
    pub readiness: Readiness,
    /// What the poller watches the socket for; `None` if it does not watch the socket.
    pub interest: Option<Interest>,
    /// The one timer that is set for its deadline.
    pub timer: Option<Instant>,
    /// It has used up its turn, and has another one before the loop waits.
    pub is_unfinished: bool,
    /// The end of its sleep, for which one timer is set.
    pub sleeps_until: Option<Instant>,
    /// A helper thread runs its job.
    pub runs_job: bool,
    /// Its next bytes of a file are not in memory yet. That is not the peer's fault, so no deadline holds meanwhile.
    pub awaits_file: bool,
}

/// What a connection needs before it can go on.
pub(crate) enum Next {
    /// Its socket has to be ready.
    Ready(Interest),
    /// Bytes of a file, or a reply: an event that is none of its socket's.
    Event,
    /// The time has to come.
    Sleep(Instant),
    /// A helper thread has to run the job.
    Run(Job),
    /// Nothing, but the other connections have their turn first.
    Turn,
    /// It is over.
    Close,
}

impl<H: Handler> Connection<H> {
    pub fn new(socket: TcpStream, conn: Conn<H>, readiness: Readiness) -> Connection<H> {
        Connection {
            socket,
            conn,
            readiness,
            interest: None,
            timer: None,
            is_unfinished: false,
            sleeps_until: None,
            runs_job: false,
            awaits_file: false,
        }
    }

    /// Does what the connection wants, as far as that is possible without waiting. `now` moves on where time has passed.
    pub fn advance(
        &mut self,
        id: Id,
        files: &mut impl SendFile,
        calls: Calls,
        buffer: &mut [u8],
        now: &mut Instant,
    ) -> Next {
        if self.readiness.readable {
            self.conn.unread(); // also where the peer has closed its side: bytes may have come before the end of its stream
        }
        for _ in 0..MAX_STEPS {
            let done = match self.conn.want() {
                Want::Read if !self.readiness.readable => return Next::Ready(Interest::Read),
                Want::Write { .. } | Want::SendFile(_) if !self.readiness.writable => {
                    return Next::Ready(Interest::Write);
                }
                Want::Read => calls.read(&self.socket, buffer).map(|n| {
                    // A short read has emptied the socket: another read would only say EAGAIN.
                    self.readiness.readable = n == buffer.len() || self.readiness.hung_up;
                    self.conn.received(&buffer[..n], *now);
                    if n == buffer.len() {
                        self.conn.unread();
                    }
                }),
                Want::Write { bytes, more } => calls.write(&self.socket, bytes, more).map(|n| {
                    *now = Instant::now();
                    self.conn.sent(n, *now);
                }),
                Want::SendFile(range) => {
                    let sent = files.send(id, &self.socket, range);
                    *now = Instant::now();
                    let awaited = std::mem::replace(&mut self.awaits_file, matches!(sent, Ok(None)));
                    if awaited && !self.awaits_file {
                        self.conn.file_ready(*now);
                    }
                    match sent {
                        Ok(None) => return Next::Event,
                        Ok(Some(n)) => {
                            self.conn.sent(n, *now);
                            if matches!(self.conn.want(), Want::SendFile(_)) {
                                return Next::Turn; // its peer takes what was sent while the others have theirs
                            }
                            Ok(())
                        }
                        Err(error) => Err(error),
                    }
                }
                Want::Sleep(_) if self.readiness.broken => return Next::Close,
                Want::Sleep(until) => return Next::Sleep(until),
                Want::Block(job) => return Next::Run(job),
                Want::Pending if self.readiness.broken && !self.runs_job => return Next::Close,
                Want::Pending => return Next::Event,
                Want::Shut => self.socket.shutdown(Shutdown::Write).map(|()| self.conn.shut(*now)),
                Want::Close => return Next::Close,
            };
            match done {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => match self.conn.want() {
                    Want::Read => self.readiness.readable = false,
                    _ => self.readiness.writable = false,
                },
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Next::Close, // an error of this socket or file costs this connection alone
            }
        }
        Next::Turn
    }
}
