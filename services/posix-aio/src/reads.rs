//! The reads of one loop: from the file, by aio_read(3), into memory, and from there to the socket.

use std::collections::HashMap;
use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use driver::{Calls, FileChunk, Id, SendFile};
use http1::FileRange;

use crate::operation::{Operation, Signal};
use crate::signals::Signals;

/// The most bytes of one read. With 64 KiB, a file of 1 MiB costs a third more CPU.
const CHUNK: usize = 256 << 10;
/// The most buffers that are kept for later reads.
const SPARE: usize = 16;
/// While reads are in progress, all of them are checked so often: the kernel drops a signal when too many are queued.
const SWEEP: Duration = Duration::from_millis(100);

/// How the loop learns that a read is complete.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// glibc sends a signal.
    Signal,
    /// It asks each read in every turn.
    None,
}

/// The files that go out to the connections of a loop.
pub struct Reads {
    calls: Calls,
    signals: Signals,
    notice: Notice,
    /// The reads in progress, one for each connection that waits for one.
    reading: HashMap<Id, Operation>,
    /// Reads that are still in progress although their connection has closed.
    orphans: Vec<Operation>,
    /// Chunks that were read and are not sent to their end.
    unsent: HashMap<Id, FileChunk>,
    /// Connections for whose reads glibc had no room.
    refused: Vec<Id>,
    /// Connections whose ids came with signals.
    signalled: Vec<Id>,
    /// Buffers for later reads. They keep their old bytes, which saves zeroing them.
    spare: Vec<Vec<u8>>,
    last_sweep: Instant,
}

impl Reads {
    /// The reads of the loop that has these signals for itself.
    pub fn new(calls: Calls, signals: Signals, notice: Notice) -> Reads {
        Reads {
            calls,
            signals,
            notice,
            reading: HashMap::new(),
            orphans: Vec::new(),
            unsent: HashMap::new(),
            refused: Vec::new(),
            signalled: Vec::new(),
            spare: Vec::new(),
            last_sweep: Instant::now(),
        }
    }

    /// Takes the signals that have come. The loop watches their descriptor.
    ///
    /// # Errors
    /// Those of read(2).
    pub fn take_signals(&mut self) -> io::Result<()> {
        self.signals.take(self.calls, &mut self.signalled)
    }

    /// The connections whose read is complete, or may be enqueued again.
    pub fn complete(&mut self) -> Vec<Id> {
        let mut ids = std::mem::take(&mut self.signalled);
        let sweeps = self.timeout() == Some(Duration::ZERO);
        if sweeps {
            self.last_sweep = Instant::now();
            self.orphans.retain_mut(|orphan| !orphan.is_complete());
            ids = self.reading.keys().copied().collect();
        }
        ids.retain(|id| self.reading.get_mut(id).is_some_and(Operation::is_complete));
        if sweeps || !ids.is_empty() {
            ids.append(&mut self.refused);
        }
        ids
    }

    /// How long the loop may wait until it must check all reads, in case a signal was lost.
    pub fn timeout(&self) -> Option<Duration> {
        let pause = match self.notice {
            Notice::Signal => SWEEP,
            Notice::None => Duration::ZERO,
        };
        self.is_busy().then(|| pause.saturating_sub(self.last_sweep.elapsed()))
    }

    fn is_busy(&self) -> bool {
        !(self.reading.is_empty() && self.orphans.is_empty() && self.refused.is_empty())
    }

    /// The next chunk of the file if it has been read; else enqueues the read.
    fn read(&mut self, id: Id, range: FileRange<'_>) -> io::Result<Option<Vec<u8>>> {
        if let Some(operation) = self.reading.get_mut(&id)
            && !operation.is_complete()
        {
            return Ok(None);
        }
        match self.reading.remove(&id).map(Operation::finish) {
            None => self.enqueue(id, range, self.notice)?,
            Some(Err(error)) if is_again(&error) => self.enqueue(id, range, Notice::None)?, // a sweep finds it
            Some(bytes) => return bytes.map(Some),
        }
        Ok(None)
    }

    fn enqueue(&mut self, id: Id, range: FileRange<'_>, notice: Notice) -> io::Result<()> {
        if !self.is_busy() {
            self.last_sweep = Instant::now();
        }
        let mut buffer = self.spare.pop().unwrap_or_else(|| Vec::with_capacity(CHUNK));
        buffer.resize(range.len.min(CHUNK as u64) as usize, 0);
        let signal = || Signal { number: self.signals.number, value: id.to_bits() };
        match Operation::enqueue(range.file, range.offset, buffer, (notice == Notice::Signal).then(signal)) {
            Ok(operation) => {
                self.reading.insert(id, operation);
            }
            Err(error) if is_again(&error) => self.refused.push(id),
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

impl SendFile for Reads {
    fn send(&mut self, id: Id, socket: &TcpStream, range: FileRange<'_>) -> io::Result<Option<usize>> {
        let mut chunk = match self.unsent.remove(&id) {
            Some(chunk) => chunk,
            None => match self.read(id, range)? {
                Some(bytes) => FileChunk::new(bytes),
                None => return Ok(None),
            },
        };
        let sent = chunk.send(self.calls, socket, range);
        if !chunk.is_sent() {
            self.unsent.insert(id, chunk);
            return sent.map(Some);
        }
        if self.spare.len() < SPARE {
            self.spare.push(chunk.into_bytes());
        }
        let sent = sent?;
        if let Some(rest) = range.after(sent).filter(|_| sent > 0) {
            self.enqueue(id, rest, self.notice)?; // glibc's thread need not wait for the connection's next turn
        }
        Ok(Some(sent))
    }

    fn closed(&mut self, id: Id) {
        self.unsent.remove(&id);
        if let Some(mut operation) = self.reading.remove(&id) {
            operation.cancel();
            self.orphans.push(operation);
        }
    }
}

impl AsFd for Reads {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.signals.as_fd()
    }
}

fn is_again(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock // EAGAIN
}
