//! Schedules: when the load test sends its requests, in a closed loop or in an open loop.
//!
//! *Closed loop*: each connection sends its next request when the answer to the last one is complete. This finds a
//! server's ceiling, but it hides stalls. While the server stalls, no connection sends a request. A stall of a second
//! therefore counts as one slow request for each connection, not as the thousands of requests that independent users
//! would have sent in that second (Tene's "coordinated omission"). The requests in flight when the window begins belong to
//! it, and those in flight when it ends count as `aborted_at_end`. The longest time for which one of these had waited is a
//! lower bound of the largest latency, so a stall at the window's end is seen there.
//!
//! *Open loop* ([`Schedule::Rate`], [`Schedule::Ramp`]): requests have intended times from the moment the load begins,
//! whatever the server does. They are evenly spaced, and with T threads, thread t has the t-th, (t + T)-th, ... of them;
//! or they are those of a Poisson process ([`Arrivals`]), of which each thread has a part of its own. Each request is sent
//! at its intended time on the connection that has been free the longest. If no connection is free, requests wait for one,
//! in order.
//! - Latency counts from the intended time and includes waiting. Service time counts from the first byte actually sent.
//! - Schedule lag is the delay that only the generator caused: from the intended time, or from when the connection
//!   became free if that was later, until the request was sent.
//! - A request belongs to the window in which it was due. The load goes on after the window until each of its requests
//!   has ended, at the latest by its time-out. So `aborted_at_end` is zero unless the run is interrupted, and a stall at
//!   the window's end is seen.
//! - A request that waits for a connection longer than the request time-out is given up, as `shed`. `pace.unsent` counts
//!   the requests that still waited for a connection when the window ended.
//! - A connection that carries a limited number of requests is opened when the next request is due, so connecting is
//!   part of the latency. Connections without a limit are opened ahead.
//!
//! *Knee search* ([`Schedule::KNEE`]): the closed loop first, which gives each target's ceiling. Then each trial of
//! [`Schedule::Knee`] looks for the highest rate that the target can take without a steep growth of its latency, and
//! [`Schedule::Common`] loads all targets at the same rate.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// When requests are sent. In results.json: `closed`, `rate:1000`, `ramp:100-1000`, `share:0.5`, `common:0.5`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Schedule {
    /// Each connection sends its next request when the answer to the last one is complete.
    Closed,
    /// A constant rate: this many requests a second over all connections, evenly spaced.
    Rate(f64),
    /// The warm-up runs at the first rate. Within the window the rate changes linearly to the second one.
    Ramp {
        /// Requests a second when the window begins.
        from: f64,
        /// Requests a second when it ends.
        to: f64,
    },
    /// A constant rate: this share of the throughput that the same cell reached in the closed loop.
    Share(f64),
    /// A constant rate: this share of the throughput that the slowest target of the run reached in the closed loop. A
    /// target whose closed loop has no sound figure does not count.
    Common(f64),
    /// The highest constant rate at which the 99th percentile of the latency is not above this multiple of its value at
    /// a low rate, and the target keeps up with the rate: see [`kept_up`](crate::verdict::kept_up). Each trial searches for it, in several
    /// windows, and keeps the window at that rate.
    Knee(f64),
}

/// How the intended times of an open loop's requests are spaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arrivals {
    /// Evenly.
    #[default]
    Even,
    /// As independent users would send them: the times between them are exponentially distributed. The plan's seed
    /// decides them.
    Poisson,
}

impl fmt::Display for Arrivals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Arrivals::Even => "even",
            Arrivals::Poisson => "poisson",
        })
    }
}

impl FromStr for Arrivals {
    type Err = String;

    fn from_str(text: &str) -> Result<Arrivals, String> {
        let named = [Arrivals::Even, Arrivals::Poisson].into_iter().find(|arrivals| arrivals.to_string() == text);
        named.ok_or_else(|| "write even or poisson".into())
    }
}

impl Schedule {
    /// The schedules of a knee search: it looks for the rate beyond which latency grows steeply.
    ///
    /// The multiple is 10. With 64 connections to epoll on two CPUs (at real-time priority, since the machine was
    /// busy), the p99 was at 40 to 98 % of the ceiling mostly 1 to 9 times that at 10 % of it, up and down from window
    /// to window, and at 107 % 20 to 140 times that. A lower multiple finds the jitter of the machine: with 3, three
    /// trials found 156, 185 and 193 thousand requests/s, and with 10 they found 196, 196 and 204.
    pub const KNEE: [Schedule; 3] = [Schedule::Closed, Schedule::Knee(10.0), Schedule::Common(0.5)];

    /// Whether the schedule needs the closed loop's throughput first.
    pub fn needs_ceiling(self) -> bool {
        matches!(self, Schedule::Share(_) | Schedule::Common(_) | Schedule::Knee(_))
    }

    /// About how many windows a trial has.
    pub fn windows(self) -> usize {
        match self {
            // Two at the low rate, six halvings of the bracket, and its upper end again.
            Schedule::Knee(_) => 9,
            _ => 1,
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Schedule::Closed => f.write_str("closed loop"),
            Schedule::Rate(rate) => write!(f, "{rate} requests/s"),
            Schedule::Ramp { from, to } => write!(f, "{from} to {to} requests/s"),
            Schedule::Share(share) => write!(f, "{:.0} % of its own ceiling", share * 100.0),
            Schedule::Common(share) => write!(f, "{:.0} % of the lowest ceiling", share * 100.0),
            Schedule::Knee(multiple) => write!(f, "knee: p99 up to {multiple} x that at a low rate"),
        }
    }
}

impl From<Schedule> for String {
    fn from(schedule: Schedule) -> String {
        match schedule {
            Schedule::Closed => "closed".into(),
            Schedule::Rate(rate) => format!("rate:{rate}"),
            Schedule::Ramp { from, to } => format!("ramp:{from}-{to}"),
            Schedule::Share(share) => format!("share:{share}"),
            Schedule::Common(share) => format!("common:{share}"),
            Schedule::Knee(multiple) => format!("knee:{multiple}"),
        }
    }
}

impl TryFrom<String> for Schedule {
    type Error = String;

    fn try_from(text: String) -> Result<Schedule, String> {
        text.parse()
    }
}

impl FromStr for Schedule {
    type Err = String;

    fn from_str(text: &str) -> Result<Schedule, String> {
        match text.split_once(':') {
            None if text == "closed" => Ok(Schedule::Closed),
            Some(("rate", rate)) => parse_rate(rate).map(Schedule::Rate),
            Some(("ramp", rates)) => parse_ramp(rates),
            Some(("share", share)) => parse_rate(share).map(Schedule::Share),
            Some(("common", share)) => parse_rate(share).map(Schedule::Common),
            Some(("knee", multiple)) => parse_rate(multiple).map(Schedule::Knee),
            _ => Err(format!("'{text}' is no schedule; write closed, rate:1000 or ramp:100-1000")),
        }
    }
}

/// Parses a rate in requests a second: `1000`, `2.5k`, `1M`.
///
/// # Errors
/// A message that says what to write instead.
pub fn parse_rate(text: &str) -> Result<f64, String> {
    let (number, unit) = match text.strip_suffix(['k', 'K']) {
        Some(number) => (number, 1e3),
        None => text.strip_suffix('M').map_or((text, 1.0), |number| (number, 1e6)),
    };
    let digits = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let rate = number.parse::<f64>().ok().filter(|_| digits).map(|rate| rate * unit);
    rate.filter(|rate| (1e-3..=1e9).contains(rate))
        .ok_or_else(|| format!("'{text}' is no rate; write requests a second, as in 500, 20k or 1.5M"))
}

/// Parses a ramp: `100-10k`.
///
/// # Errors
/// A message that says what to write instead.
pub fn parse_ramp(text: &str) -> Result<Schedule, String> {
    let (from, to) =
        text.split_once('-').ok_or_else(|| format!("'{text}' is no ramp; write two rates, as in 100-10k"))?;
    Ok(Schedule::Ramp { from: parse_rate(from)?, to: parse_rate(to)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_survives_its_json_and_wrong_ones_are_refused() {
        let all = [Schedule::Rate(1500.0), Schedule::Ramp { from: 0.5, to: 2e6 }];
        for schedule in Schedule::KNEE.into_iter().chain(all) {
            let json = serde_json::to_string(&schedule).unwrap();
            assert_eq!(serde_json::from_str::<Schedule>(&json).unwrap(), schedule, "{json}");
        }
        assert_eq!(("poisson".parse(), "even".parse()), (Ok(Arrivals::Poisson), Ok(Arrivals::Even)));
        assert!("Poisson".parse::<Arrivals>().is_err());
        assert_eq!(parse_rate("2.5k"), Ok(2500.0));
        assert_eq!(parse_rate("1M"), Ok(1e6));
        for bad in ["", "0", "-1", "inf", "NaN", "1e3", "k", "5s"] {
            assert!(parse_rate(bad).is_err(), "{bad}");
        }
        assert!(parse_ramp("100").is_err());
        assert!("open".parse::<Schedule>().is_err());
    }
}
