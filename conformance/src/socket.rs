//! Plays a transcript to the server at an address.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::check::{PROBE, Record, check, count_replies};
use crate::transcript::{Cut, End, Step, Transcript};

/// How long a server may be silent.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long one transcript may take, even if the server never falls silent.
const LONGEST: Duration = Duration::from_secs(60);
/// The pause between two pieces: usually long enough for the server to read the first one before the second arrives.
const PAUSE: Duration = Duration::from_micros(50);
/// A transcript that took longer than this and failed is played once more: the server drains a refused request for only
/// a second, so it may have reset a connection of a slow machine.
const LATE: Duration = Duration::from_millis(900);
/// How many connections are open at a time.
const CONNECTIONS: usize = 16;

/// Plays transcripts to a server, many at a time, and gives a text for each failure. `files` is the fixture's
/// directory.
pub fn run_over_socket(server: SocketAddr, transcripts: &[(&Transcript, Cut)], files: &Path) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..CONNECTIONS.min(transcripts.len()) {
            scope.spawn(|| {
                while let Some((transcript, cut)) = transcripts.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let begun = Instant::now();
                    let mut record = play(server, transcript, *cut);
                    if record.is_err() && begun.elapsed() > LATE {
                        record = play(server, transcript, *cut);
                    }
                    if let Err(why) = record.and_then(|record| check(transcript, &record, files)) {
                        let failure = format!("{} ({}), {cut:?}:\n    {why}", transcript.name, transcript.source);
                        failures.lock().expect("no check panics").push(failure);
                    }
                }
            });
        }
    });
    failures.into_inner().expect("no check panics")
}

/// Plays one transcript on a connection of its own.
///
/// An error says that the connection could not be made, that the server was silent or sent without an end, or that it
/// reset the connection.
pub fn play(server: SocketAddr, transcript: &Transcript, cut: Cut) -> Result<Record, String> {
    let stream = connect(server).map_err(|e| format!("connecting: {e}"))?;
    let mut player = Player { stream, received: Vec::new(), deadline: Instant::now() + LONGEST };
    let played = player.play(transcript, cut);
    match played {
        Ok(()) => {}
        // Bytes behind a request with close may reach a closed socket, and the reset is no fault. The reply to a
        // refused request must arrive.
        Err(e) if is_reset(&e) && transcript.replies.last().is_some_and(|reply| reply.status < 400) => {
            player.read_to_end(true).map_err(|e| format!("reading: {e}"))?;
        }
        Err(e) => return Err(format!("{e}, after \"{}\"", player.received.escape_ascii())),
    }
    Ok(Record { bytes: player.received })
}

fn connect(server: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

struct Player {
    stream: TcpStream,
    received: Vec<u8>,
    deadline: Instant,
}

impl Player {
    fn play(&mut self, transcript: &Transcript, cut: Cut) -> io::Result<()> {
        for (nth, step) in transcript.cut(cut).iter().enumerate() {
            match step {
                Step::Send(bytes) => {
                    if nth > 0 {
                        thread::sleep(PAUSE);
                    }
                    self.stream.write_all(bytes)?;
                }
                Step::HalfClose => self.stream.shutdown(Shutdown::Write)?,
                Step::Await(replies) => {
                    while count_replies(transcript, &self.received) < *replies && self.read()? > 0 {}
                }
                Step::Wait(time) => thread::sleep(*time),
            }
        }
        if transcript.end == End::Open {
            self.stream.write_all(PROBE)?;
        }
        self.read_to_end(false)
    }

    /// Reads to the end of the stream. A reset counts as the end if it `may_reset`.
    fn read_to_end(&mut self, may_reset: bool) -> io::Result<()> {
        loop {
            match self.read() {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(e) if may_reset && is_reset(&e) => return Ok(()),
                Err(e) => return Err(e),
            }
        }
    }

    fn read(&mut self) -> io::Result<usize> {
        if Instant::now() > self.deadline {
            return Err(io::Error::new(ErrorKind::TimedOut, "the server sends without an end"));
        }
        let mut buffer = [0; 64 << 10];
        let n = match self.stream.read(&mut buffer) {
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                Err(io::Error::new(ErrorKind::TimedOut, "the server is silent"))
            }
            other => other,
        }?;
        self.received.extend_from_slice(&buffer[..n]);
        Ok(n)
    }
}

fn is_reset(e: &io::Error) -> bool {
    matches!(e.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::NotConnected)
}
