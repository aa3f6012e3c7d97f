//! The reads of one loop: from the file, by aio_read(3), into memory, and from there to the socket.

use std::collections::HashMap;
use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use driver::{Calls, Piece, SendFile};
use http::FileRange;

use crate::operation::{Notice, Operation};
use crate::signals::Signals;

/// The most bytes of one read. With 64 KiB, a file of 1 MiB costs a third more CPU.
const CHUNK: usize = 256 << 10;
/// The most buffers that are kept for later reads.
const SPARE: usize = 16;
/// While anything is under way, all of it is checked so often: a signal is lost when too many are queued.
const SWEEP: Duration = Duration::from_millis(100);

/// The files that go out to the connections of a loop.
pub struct Reads {
    calls: Calls,
    signals: Signals,
    /// What is under way, by the keys of the connections.
    reading: HashMap<u64, Operation>,
    /// What was under way for connections that are gone.
    orphans: Vec<Operation>,
    /// What was read and is not sent.
    unsent: HashMap<u64, Piece>,
    /// Keys for whose reads glibc had no room.
    refused: Vec<u64>,
    /// Keys that came with signals.
    notified: Vec<u64>,
    /// Buffers without a read. Their bytes are old ones, which spares zeroing them.
    spare: Vec<Vec<u8>>,
    swept: Instant,
}

impl Reads {
    /// Of the loop that has these signals for itself.
    pub fn new(calls: Calls, signals: Signals) -> Reads {
        Reads {
            calls,
            signals,
            reading: HashMap::new(),
            orphans: Vec::new(),
            unsent: HashMap::new(),
            refused: Vec::new(),
            notified: Vec::new(),
            spare: Vec::new(),
            swept: Instant::now(),
        }
    }

    /// Takes the signals that have come; the loop watches us for them.
    pub fn notified(&mut self) -> io::Result<()> {
        self.signals.take(self.calls, &mut self.notified)
    }

    /// Keys of the connections whose read is complete, or may be enqueued again.
    pub fn complete(&mut self) -> Vec<u64> {
        let mut keys = std::mem::take(&mut self.notified);
        let sweeps = self.pause() == Some(Duration::ZERO);
        if sweeps {
            self.swept = Instant::now();
            self.orphans.retain_mut(|orphan| !orphan.is_complete());
            keys = self.reading.keys().copied().collect();
        }
        keys.retain(|key| self.reading.get_mut(key).is_some_and(Operation::is_complete));
        if sweeps || !keys.is_empty() {
            keys.append(&mut self.refused);
        }
        keys
    }

    /// How long the loop may wait, whatever signals come or are lost.
    pub fn pause(&self) -> Option<Duration> {
        self.is_busy().then(|| SWEEP.saturating_sub(self.swept.elapsed()))
    }

    fn is_busy(&self) -> bool {
        !(self.reading.is_empty() && self.orphans.is_empty() && self.refused.is_empty())
    }

    /// The next bytes of the file, if they are read already; else they will be.
    fn read(&mut self, key: u64, range: FileRange<'_>) -> io::Result<Option<Vec<u8>>> {
        if let Some(operation) = self.reading.get_mut(&key)
            && !operation.is_complete()
        {
            return Ok(None);
        }
        match self.reading.remove(&key).map(Operation::finish) {
            None => self.enqueue(key, range, true)?,
            Some(Err(error)) if is_again(&error) => self.enqueue(key, range, false)?, // a sweep will find it
            Some(bytes) => return bytes.map(Some),
        }
        Ok(None)
    }

    fn enqueue(&mut self, key: u64, range: FileRange<'_>, signals: bool) -> io::Result<()> {
        if !self.is_busy() {
            self.swept = Instant::now();
        }
        let mut buffer = self.spare.pop().unwrap_or_else(|| Vec::with_capacity(CHUNK));
        buffer.resize(range.len.min(CHUNK as u64) as usize, 0);
        let notice = signals.then_some(Notice { signal: self.signals.number, value: key });
        match Operation::enqueue(range.file, range.offset, buffer, notice) {
            Ok(operation) => {
                self.reading.insert(key, operation);
            }
            Err(error) if is_again(&error) => self.refused.push(key),
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

impl SendFile for Reads {
    fn send(&mut self, key: u64, socket: &TcpStream, range: FileRange<'_>) -> io::Result<Option<usize>> {
        let mut piece = match self.unsent.remove(&key) {
            Some(piece) => piece,
            None => match self.read(key, range)? {
                Some(bytes) => Piece::new(bytes),
                None => return Ok(None),
            },
        };
        let n = piece.send(self.calls, socket, range);
        if !piece.is_sent() {
            self.unsent.insert(key, piece);
        } else if self.spare.len() < SPARE {
            self.spare.push(piece.into_bytes());
        }
        n.map(Some)
    }

    fn gone(&mut self, key: u64) {
        self.unsent.remove(&key);
        if let Some(mut operation) = self.reading.remove(&key) {
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
