//! A transcript against a bare connection: no socket, and time only as the transcript lets it pass.

use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use http::{Conn, Handler, Want};

use crate::check::{PROBE, Record};
use crate::transcript::{Cut, End, Step, Transcript};

/// A peer of a connection, and the network and the I/O model between them.
#[derive(Debug)]
pub struct Peer<H> {
    /// The connection.
    pub conn: Conn<H>,
    /// What time it is.
    pub now: Instant,
    /// What was received from it.
    pub received: Vec<u8>,
    /// Will it send no more?
    pub shut: bool,
    /// Is it closed?
    pub closed: bool,
    /// The most bytes that one write takes.
    pub appetite: usize,
}

/// What a connection may want between two events: no transcript comes near it, and a connection that wants for ever fails.
const MOST_WANTS: usize = 1_000_000;

impl<H: Handler> Peer<H> {
    /// A peer that takes what it gets.
    pub fn new(conn: Conn<H>, now: Instant) -> Peer<H> {
        let mut peer = Peer { conn, now, received: Vec::new(), shut: false, closed: false, appetite: usize::MAX };
        peer.serve();
        peer
    }

    /// Sends bytes; none are the end of the stream. Once the connection is closed, they go nowhere.
    pub fn send(&mut self, bytes: &[u8]) {
        if !self.closed {
            assert!(matches!(self.want(), Want::Read), "it is served until it reads, or closes");
            self.conn.received(bytes, self.now);
            self.serve();
        }
    }

    /// Lets time pass, and time-outs strike.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        for _ in 0..MOST_WANTS {
            let Some(deadline) = self.conn.deadline().filter(|&deadline| deadline <= end && !self.closed) else {
                self.now = self.now.max(end);
                return;
            };
            self.now = self.now.max(deadline);
            self.conn.expired(self.now);
            self.serve();
        }
        panic!("a deadline that has passed is set again, for ever");
    }

    /// What it wants; and that it says so again.
    pub fn want(&mut self) -> Want<'_> {
        let first = match self.conn.want() {
            Want::Block(job) => return Want::Block(job), // the one that cannot be given twice
            want => sketch(&want),
        };
        let bounded = self.conn.deadline().is_some();
        let again = self.conn.want();
        assert_eq!(first, sketch(&again), "a want repeats itself");
        if matches!(again, Want::Read | Want::Write { .. } | Want::SendFile(_)) {
            assert!(bounded, "a peer that must move has a deadline: {again:?}");
        }
        again
    }

    /// Does all that it wants until it wants to read, or is closed.
    pub fn serve(&mut self) {
        let appetite = self.appetite;
        for _ in 0..MOST_WANTS {
            let now = self.now;
            match self.want() {
                Want::Read => return,
                Want::Write { bytes, .. } => {
                    assert!(!bytes.is_empty());
                    let bytes = bytes[..bytes.len().min(appetite)].to_vec();
                    self.received.extend_from_slice(&bytes);
                    self.conn.sent(bytes.len(), now);
                }
                Want::SendFile(piece) => {
                    let mut bytes = vec![0; piece.len.min(appetite as u64).min(1 << 16) as usize];
                    let n = piece.file.read_at(&mut bytes, piece.offset).expect("a file that can be read");
                    self.received.extend_from_slice(&bytes[..n]);
                    self.conn.sent(n, now);
                }
                Want::Sleep(until) => {
                    self.now = now.max(until);
                    self.conn.woke(self.now);
                }
                Want::Block(job) => {
                    let reply = job.run();
                    assert!(matches!(self.want(), Want::Pending));
                    self.conn.done(reply, now);
                }
                Want::Pending => unreachable!("jobs are done at once"),
                Want::Shut => {
                    self.shut = true;
                    self.conn.shut(now);
                }
                Want::Close => {
                    (self.shut, self.closed) = (true, true);
                    assert_eq!(self.conn.deadline(), None, "closed, it waits for nothing");
                    return;
                }
            }
        }
        panic!("it neither reads nor closes, for ever");
    }
}

/// A want in words that can be compared; of bytes to write, where they are.
fn sketch(want: &Want<'_>) -> String {
    match want {
        Want::Write { bytes, more } => format!("Write {:p} {} {more}", bytes.as_ptr(), bytes.len()),
        other => format!("{other:?}"),
    }
}

/// Plays a transcript to a fresh connection whose peer takes at most `appetite` bytes at a time.
///
/// An error says that the connection did not end as it should.
pub fn run<H: Handler>(
    transcript: &Transcript,
    cut: Cut,
    appetite: usize,
    connect: impl FnOnce(Instant) -> Conn<H>,
) -> Result<Record, String> {
    let now = Instant::now();
    let mut peer = Peer::new(connect(now), now);
    peer.appetite = appetite;
    for step in transcript.cut(cut) {
        match step {
            Step::Send(bytes) => peer.send(&bytes),
            Step::HalfClose => peer.send(b""),
            Step::Await(_) => {} // whatever comes is here already
            Step::Wait(time) => peer.pass(time),
        }
    }
    match transcript.end {
        End::Open if peer.shut => {}
        End::Open => peer.send(PROBE),
        End::Closed if peer.shut => {}
        End::Closed => return Err(format!("it was left open, after \"{}\"", peer.received.escape_ascii())),
    }
    peer.send(b"");
    if !peer.closed {
        return Err("it was not closed when the peer had closed".into());
    }
    Ok(Record { bytes: peer.received })
}
