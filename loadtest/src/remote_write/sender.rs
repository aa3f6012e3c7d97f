//! The thread that sends samples, and tries again where that helps.

use super::queue::Queue;
use super::wire::{Batch, body};
use crate::scrape;
use crate::target::Url;
use std::io;
use std::time::Duration;

/// Samples in one request.
const AT_ONCE: usize = 2_000;
/// What is read of an answer.
const ANSWER: usize = 16 * 1024;

/// How patient the sender is.
#[derive(Clone, Copy)]
pub struct Patience {
    /// For one attempt.
    pub attempt: Duration,
    /// Before the second attempt; doubled each time.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
}

/// What became of the samples that were sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Samples that were taken.
    pub sent: u64,
    /// Samples that could not be delivered in time.
    pub lost: u64,
    /// Samples that the other side does not want.
    pub refused: u64,
    /// What was wrong, when something was wrong last.
    pub problem: Option<String>,
}

/// What an attempt came to.
enum Answer {
    Taken,
    /// It will not help to try again.
    Refused(String),
    /// Later perhaps: after a time, if one is named.
    Later(String, Option<Duration>),
}

/// Sends what is in the queue until it is closed and empty.
pub fn send_all(url: &Url, queue: &Queue, patience: Patience) -> Tally {
    let mut tally = Tally::default();
    while let Some(batch) = queue.take(AT_ONCE) {
        deliver(url, queue, patience, &batch, &mut tally);
    }
    tally.lost += queue.dropped();
    tally
}

fn deliver(url: &Url, queue: &Queue, patience: Patience, batch: &Batch, tally: &mut Tally) {
    let (body, samples) = (body(batch), batch.len() as u64);
    let mut pause = patience.first_pause;
    while let Some(limit) = queue.time_left(patience.attempt) {
        let answer = post(url, &body, limit).unwrap_or_else(|error| Answer::Later(error.to_string(), None));
        match answer {
            Answer::Taken => {
                tally.sent += samples;
                return;
            }
            Answer::Refused(why) => {
                tally.refused += samples;
                tally.problem = Some(why);
                return;
            }
            Answer::Later(why, after) => {
                tally.problem = Some(why);
                if !queue.pause(after.unwrap_or(pause), after.is_some()) {
                    break;
                }
                pause = (pause * 2).min(patience.longest_pause);
            }
        }
    }
    tally.lost += samples;
}

/// One attempt.
fn post(url: &Url, body: &[u8], limit: Duration) -> io::Result<Answer> {
    // HTTP/1.0, so that the answer is not chunked.
    let mut request = format!(
        "POST {} HTTP/1.0\r\nHost: {}\r\nConnection: close\r\nUser-Agent: loadtest/{}\r\n\
         Content-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n\
         X-Prometheus-Remote-Write-Version: 0.1.0\r\nContent-Length: {}\r\n\r\n",
        url.path,
        url.authority,
        env!("CARGO_PKG_VERSION"),
        body.len()
    )
    .into_bytes();
    request.extend(body);
    let (status, answer) = scrape::exchange(url, &request, false, limit, ANSWER)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, text) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let text: String = text.lines().next().unwrap_or_default().chars().take(200).collect();
    let said = if text.is_empty() { format!("status {status}") } else { format!("status {status}: {text}") };
    Ok(match status {
        200..300 => Answer::Taken,
        // "Must not retry on 4xx, but for 429": remote write 1.0, Retries & Backoff
        429 | 500.. => Answer::Later(said, retry_after(head)),
        _ => Answer::Refused(said),
    })
}

/// The pause that the head of an answer asks for. A date is not understood: our own pause will do.
fn retry_after(head: &str) -> Option<Duration> {
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    let mut named = fields.filter(|(name, _)| name.eq_ignore_ascii_case("retry-after"));
    named.next()?.1.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests;
