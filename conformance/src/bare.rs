//! Plays a transcript to a bare connection: without a socket, in virtual time.

use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use http1::{Conn, Handler, Want};

use crate::check::{PROBE, Record};
use crate::transcript::{Cut, End, Step, Transcript};

/// The peer of a connection. It also stands in for the network and for the I/O model between the two.
#[derive(Debug)]
pub struct Peer<H> {
    /// The connection.
    pub conn: Conn<H>,
    /// The virtual time.
    pub now: Instant,
    /// All bytes that the connection has sent.
    pub received: Vec<u8>,
    /// Has the connection shut its write side?
    pub shut: bool,
    /// Is the connection closed?
    pub closed: bool,
    /// The most bytes that one write accepts.
    pub appetite: usize,
}

/// The most wants between two events. No transcript comes near it; a connection that never stops wanting fails.
const MOST_WANTS: usize = 1_000_000;

impl<H: Handler> Peer<H> {
    /// A peer that accepts whatever the connection writes.
    pub fn new(conn: Conn<H>, now: Instant) -> Peer<H> {
        let mut peer = Peer { conn, now, received: Vec::new(), shut: false, closed: false, appetite: usize::MAX };
        peer.serve();
        peer
    }

    /// Sends bytes to the connection. No bytes mean the end of the stream. If the connection is closed, they are lost.
    pub fn send(&mut self, bytes: &[u8]) {
        if !self.closed {
            assert!(matches!(self.want(), Want::Read), "a connection that is not closed wants to read");
            self.conn.received(bytes, self.now);
            self.serve();
        }
    }

    /// Lets time pass. Each deadline on the way expires.
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
        panic!("the connection sets an expired deadline again and again");
    }

    /// What the connection wants. Asserts that it wants the same when it is asked again.
    pub fn want(&mut self) -> Want<'_> {
        let first = match self.conn.want() {
            Want::Block(job) => return Want::Block(job), // the only want that cannot be given twice
            want => sketch(&want),
        };
        let bounded = self.conn.deadline().is_some();
        let again = self.conn.want();
        assert_eq!(first, sketch(&again), "a want stays the same until it is answered");
        if matches!(again, Want::Read | Want::Write { .. } | Want::SendFile(_)) {
            assert!(bounded, "a want that depends on the peer has a deadline: {again:?}");
        }
        again
    }

    /// Answers its wants until it wants to read or is closed.
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
                    let n = piece.file.read_at(&mut bytes, piece.offset).expect("the file can be read");
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
                Want::Pending => unreachable!("a job is run at once"),
                Want::Shut => {
                    self.shut = true;
                    self.conn.shut(now);
                }
                Want::Close => {
                    (self.shut, self.closed) = (true, true);
                    assert_eq!(self.conn.deadline(), None, "a closed connection has no deadline");
                    return;
                }
            }
        }
        panic!("the connection neither reads nor closes");
    }
}

/// A want as text that can be compared. Of bytes to write it has the address, since they must not move.
fn sketch(want: &Want<'_>) -> String {
    match want {
        Want::Write { bytes, more } => format!("Write {:p} {} {more}", bytes.as_ptr(), bytes.len()),
        other => format!("{other:?}"),
    }
}

/// Plays a transcript to a new connection whose peer accepts at most `appetite` bytes at a time.
///
/// An error says that the connection did not end as the transcript demands.
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
            Step::Await(_) => {} // a reply has no way to travel: it has already arrived
            Step::Wait(time) => peer.pass(time),
        }
    }
    match transcript.end {
        End::Open if peer.shut => {}
        End::Open => peer.send(PROBE),
        End::Closed if peer.shut => {}
        End::Closed => return Err(format!("the connection was left open, after \"{}\"", peer.received.escape_ascii())),
    }
    peer.send(b"");
    if !peer.closed {
        return Err("the connection was not closed although the peer had closed".into());
    }
    Ok(Record { bytes: peer.received })
}
