use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use http1::{Conn, Job, Want};

use crate::handler::{FuzzHandler, LIMITS, Log};
use crate::output::Output;

/// Plays the bytes. The script lets time pass, stops the server, and decides how many bytes the socket takes.
pub fn play(script: &[u8], mut bytes: &[u8]) {
    let log = Log::default();
    let mut now = Instant::now();
    let mut conn = Conn::new(FuzzHandler(log.clone()), &LIMITS, now);
    let mut received = Vec::new();
    let mut job: Option<Job> = None;
    let mut steps = script.iter().copied();
    // After the end of the script, nothing goes wrong any more.
    for _ in 0..script.len() + 4 * bytes.len() + 1000 {
        let step = steps.next();
        let (kind, size) = step.map_or((0, usize::MAX), |step| (step & 7, 1 + usize::from(step >> 3)));
        match kind {
            1 => now += Duration::from_millis(size as u64),
            2 => now += Duration::from_millis(size as u64 * 10),
            3 => conn.stop(now),
            _ => {}
        }
        if matches!(kind, 2 | 4) || conn.deadline().is_some_and(|deadline| deadline + LIMITS.idle_time < now) {
            conn.expired(now); // sometimes too early or late
        }
        let bounded = conn.deadline().is_some();
        match conn.want() {
            Want::Read => {
                assert!(bounded);
                let piece = bytes.split_off(..size.min(bytes.len())).unwrap_or_default();
                conn.received(piece, now); // at the end, of no bytes
            }
            Want::Write { bytes, .. } => {
                assert!(bounded && !bytes.is_empty());
                let n = bytes.len().min(size);
                received.extend_from_slice(&bytes[..n]);
                conn.sent(n, now);
            }
            Want::SendFile(piece) => {
                assert!(bounded && piece.len > 0);
                let mut buffer = vec![0; (piece.len as usize).min(size)];
                piece.file.read_exact_at(&mut buffer, piece.offset).unwrap();
                let n = if kind == 5 { 0 } else { buffer.len() }; // 0: the file has shrunk
                received.extend_from_slice(&buffer[..n]);
                conn.sent(n, now);
            }
            Want::Sleep(until) => {
                if step.is_none() {
                    now = now.max(until);
                }
                conn.woke(now);
            }
            Want::Block(new) => {
                assert!(job.is_none(), "one job at a time");
                job = Some(new);
            }
            Want::Pending => {
                if let Some(job) = job.take_if(|_| kind == 0) {
                    conn.done(job.run(), now);
                }
            }
            Want::Shut => conn.shut(now),
            Want::Close => break,
        }
    }
    assert!(matches!(conn.want(), Want::Close), "the connection comes to an end: {:?}", conn.want());
    assert_eq!(conn.deadline(), None);
    conn.stop(now);
    conn.expired(now + LIMITS.idle_time);
    conn.woke(now);
    assert!(matches!(conn.want(), Want::Close), "a closed connection stays closed");
    Output::of(&received, &log, false);
}
