//! The thread that sends samples to Prometheus, and repeats a request where that helps.

use super::queue::Queue;
use super::wire::{Batch, Point, body};
use crate::scrape;
use crate::target::Url;
use http::HeaderMap;
use http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use std::io;
use std::time::Duration;

/// The longest pause that a server may ask for. A sum of a time and a longer one might not exist.
const LONGEST_PAUSE: Duration = Duration::from_secs(86_400);
/// The fields of a request. Remote write 1.0, Protocol
const FIELDS: [(&str, &str); 3] = [
    ("Content-Type", "application/x-protobuf"),
    ("Content-Encoding", "snappy"),
    ("X-Prometheus-Remote-Write-Version", "0.1.0"),
];

/// What a Prometheus answers to histograms that it was not told to keep.
const NO_HISTOGRAMS: &str = "native histograms are disabled";

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

/// Sends the samples of the queue until it is closed and empty; optional ones until the server refuses them.
pub fn send_all<T: Point>(url: &Url, queue: &Queue<T>, policy: RetryPolicy) -> DeliveryCounts {
    let mut counts = DeliveryCounts::default();
    while let Some(batch) = queue.take(T::A_REQUEST) {
        deliver(url, queue, policy, &batch, &mut counts);
        if T::OPTIONAL && counts.refused > 0 {
            break;
        }
    }
    counts.lost += queue.dropped();
    counts
}

fn deliver<T: Point>(url: &Url, queue: &Queue<T>, policy: RetryPolicy, batch: &Batch<T>, counts: &mut DeliveryCounts) {
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
    let answer = scrape::post(url, &FIELDS, body, limit)?;
    let (status, text) = (answer.status().as_u16(), String::from_utf8_lossy(answer.body()));
    let text: String = text.lines().next().unwrap_or_default().chars().take(200).collect();
    let error = if text.is_empty() { format!("status {status}") } else { format!("status {status}: {text}") };
    let is_page = answer.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    Ok(match status {
        // Prometheus answers without a body.
        _ if is_page && status < 500 => {
            AttemptResult::Refused(format!("status {status} with a web page; is the URL that of a Prometheus?"))
        }
        200..300 => AttemptResult::Accepted,
        // Prometheus answers 500, up to version 3.5: https://github.com/prometheus/prometheus/issues/17181
        _ if text.contains(NO_HISTOGRAMS) => AttemptResult::Refused(error),
        300..400 if let Some(to) = answer.headers().get(LOCATION) => {
            let to = String::from_utf8_lossy(to.as_bytes()).chars().take(200).collect::<String>();
            AttemptResult::Refused(format!("status {status}, which leads to {to}: give that URL"))
        }
        // "Must not retry on 4xx, but for 429": remote write 1.0, Retries & Backoff
        429 | 500.. => AttemptResult::Retry(error, retry_after(answer.headers())),
        _ => AttemptResult::Refused(error),
    })
}

/// The pause that the answer's Retry-After field asks for, but no longer than [`LONGEST_PAUSE`]. A date is ignored; the
/// sender's own back-off applies then.
fn retry_after(fields: &HeaderMap) -> Option<Duration> {
    let seconds = fields.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let is_number = !seconds.is_empty() && seconds.bytes().all(|byte| byte.is_ascii_digit());
    // A number that is too large for the type asks for a long pause, too.
    is_number.then(|| seconds.parse().map_or(LONGEST_PAUSE, Duration::from_secs).min(LONGEST_PAUSE))
}

#[cfg(test)]
mod tests;
