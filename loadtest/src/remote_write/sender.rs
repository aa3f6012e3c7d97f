//! The thread that sends samples to Prometheus, and repeats a request where that helps.

use super::queue::Queue;
use super::wire::{Batch, body};
use crate::scrape;
use crate::target::Url;
use std::io;
use std::time::Duration;

/// The most samples in one request.
const MAX_SAMPLES: usize = 2_000;
/// How many bytes of an answer are read.
const ANSWER_BYTES: usize = 16 * 1024;

/// How long an attempt may take, and how long to wait between attempts.
#[derive(Clone, Copy)]
pub struct RetryPolicy {
    /// Time-out of one attempt.
    pub attempt_timeout: Duration,
    /// Back-off before the second attempt; it doubles each time.
    pub first_back_off: Duration,
    /// The longest back-off.
    pub longest_back_off: Duration,
}

/// The numbers of samples that were delivered, lost and refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryCounts {
    /// Samples that the server accepted.
    pub sent: u64,
    /// Samples that could not be delivered in time.
    pub lost: u64,
    /// Samples that the server refused.
    pub refused: u64,
    /// The last error.
    pub problem: Option<String>,
}

/// The result of an attempt.
enum AttemptResult {
    Accepted,
    /// The server refused the samples; another attempt would not help.
    Refused(String),
    /// Another attempt may help, after the pause that the server asked for, if it did.
    Retry(String, Option<Duration>),
}

/// Sends the samples of the queue until it is closed and empty.
pub fn send_all(url: &Url, queue: &Queue, policy: RetryPolicy) -> DeliveryCounts {
    let mut counts = DeliveryCounts::default();
    while let Some(batch) = queue.take(MAX_SAMPLES) {
        deliver(url, queue, policy, &batch, &mut counts);
    }
    counts.lost += queue.dropped();
    counts
}

fn deliver(url: &Url, queue: &Queue, policy: RetryPolicy, batch: &Batch, counts: &mut DeliveryCounts) {
    let (body, samples) = (body(batch), batch.len() as u64);
    let mut back_off = policy.first_back_off;
    while let Some(limit) = queue.time_left(policy.attempt_timeout) {
        let answer = post(url, &body, limit).unwrap_or_else(|error| AttemptResult::Retry(error.to_string(), None));
        match answer {
            AttemptResult::Accepted => {
                counts.sent += samples;
                return;
            }
            AttemptResult::Refused(why) => {
                counts.refused += samples;
                counts.problem = Some(why);
                return;
            }
            AttemptResult::Retry(why, after) => {
                counts.problem = Some(why);
                if !queue.wait_before_retry(after.unwrap_or(back_off), after.is_some()) {
                    break;
                }
                back_off = (back_off * 2).min(policy.longest_back_off);
            }
        }
    }
    counts.lost += samples;
}

/// Makes one attempt.
fn post(url: &Url, body: &[u8], limit: Duration) -> io::Result<AttemptResult> {
    // HTTP/1.0, so that the answer is not chunked.
    let mut request = format!(
        "POST {} HTTP/1.0\r\nHost: {}\r\nConnection: close\r\nUser-Agent: loadtest/{}\r\n\
         Content-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n\
         X-Prometheus-Remote-Write-Version: 0.1.0\r\nContent-Length: {}\r\n\r\n",
        url.path(),
        url.authority(),
        env!("CARGO_PKG_VERSION"),
        body.len()
    )
    .into_bytes();
    request.extend(body);
    let (status, answer) = scrape::exchange(url, &request, false, limit, ANSWER_BYTES)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, text) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let text: String = text.lines().next().unwrap_or_default().chars().take(200).collect();
    let error = if text.is_empty() { format!("status {status}") } else { format!("status {status}: {text}") };
    Ok(match status {
        200..300 => AttemptResult::Accepted,
        // "Must not retry on 4xx, but for 429": remote write 1.0, Retries & Backoff
        429 | 500.. => AttemptResult::Retry(error, retry_after(head)),
        _ => AttemptResult::Refused(error),
    })
}

/// The pause that the answer's Retry-After field asks for. A date is ignored; the sender's own back-off applies then.
fn retry_after(head: &str) -> Option<Duration> {
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    let mut named = fields.filter(|(name, _)| name.eq_ignore_ascii_case("retry-after"));
    named.next()?.1.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests;
