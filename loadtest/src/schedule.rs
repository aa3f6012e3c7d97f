//! Schedules: when the load test sends its requests, in a closed loop or in an open loop.
//!
//! *Closed loop*: each connection sends its next request when the answer to the last one is complete. This finds a
//! server's ceiling, but it hides stalls. While the server stalls, no connection sends a request. A stall of a second
//! therefore counts as one slow request for each connection, not as the thousands of requests that independent users
//! would have sent in that second (Tene's "coordinated omission").
//!
//! *Open loop* ([`Schedule::Rate`], [`Schedule::Ramp`]): requests have intended times, evenly spaced from the moment
//! the load begins, whatever the server does. With T threads, thread t has the t-th, (t + T)-th, ... of them. Each
//! request is sent at its intended time on the connection that has been free the longest. If no connection is free,
//! requests wait for one, in order.
//! - Latency counts from the intended time and includes waiting. Service time counts from the first byte actually sent.
//! - Schedule lag is the delay that only the generator caused: from the intended time, or from when the connection
//!   became free if that was later, until the request was sent.
//! - A request that waits for a connection longer than the request time-out is given up, as `shed`. A request that
//!   still waits when the window ends counts as `aborted_at_end`, and in `pace.unsent`.
//! - A connection that carries a limited number of requests is opened when the next request is due, so connecting is
//!   part of the latency. Connections without a limit are opened ahead.
//!
//! *Knee search* ([`Schedule::KNEE`]): the closed loop first. Open loops follow at shares of each target's own ceiling
//! ([`Schedule::Share`]), which show the latency under comparable strain, and at rates that are the same for all
//! targets of the run ([`Schedule::Common`]).

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// When requests are sent. In results.json: `closed`, `rate:1000`, `ramp:100-1000`, `share:0.5`, `common:0.5`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
#[non_exhaustive]
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
    /// A constant rate: this share of the throughput that the slowest target of the run reached in the closed loop.
    Common(f64),
}

impl Schedule {
    /// The schedules of a knee search: it looks for the rate beyond which latency grows steeply.
    pub const KNEE: [Schedule; 7] = [
        Schedule::Closed,
        Schedule::Share(0.5),
        Schedule::Share(0.75),
        Schedule::Share(0.9),
        Schedule::Share(1.1),
        Schedule::Common(0.5),
        Schedule::Common(0.9),
    ];

    /// Whether the schedule needs the closed loop's throughput first.
    pub fn needs_ceiling(self) -> bool {
        matches!(self, Schedule::Share(_) | Schedule::Common(_))
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

/// The times at which an open loop intends to send its requests, in seconds since the load began.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct IntendedTimes {
    from: f64,
    to: f64,
    /// Length of the warm-up, in which the rate is constant.
    warmup: f64,
    /// Length of the window, in which the rate changes.
    ramp: f64,
}

impl IntendedTimes {
    /// `None` for a closed loop, and for a share of a ceiling, which has to become a rate first.
    pub fn new(schedule: Schedule, warmup: Duration, duration: Duration) -> Option<IntendedTimes> {
        let (from, to) = match schedule {
            Schedule::Rate(rate) => (rate, rate),
            Schedule::Ramp { from, to } => (from, to),
            Schedule::Closed | Schedule::Share(_) | Schedule::Common(_) => return None,
        };
        Some(IntendedTimes { from, to, warmup: warmup.as_secs_f64(), ramp: duration.as_secs_f64() })
    }

    /// When the n-th request is due, counted from 0.
    pub fn at(&self, n: u64) -> f64 {
        let n = n as f64;
        let into = n - self.from * self.warmup;
        let growth = (self.to - self.from) / self.ramp;
        if into <= 0.0 || growth == 0.0 {
            return n / self.from;
        }
        // By time t, from·t + growth·t²/2 requests are due. The solution for t is written in a form without
        // cancellation.
        let root = self.from * self.from + 2.0 * growth * into;
        if root < 0.0 {
            return f64::INFINITY; // after a falling ramp's end, where the rate would be negative
        }
        self.warmup + 2.0 * into / (self.from + root.sqrt())
    }

    /// Mean rate within the window, in requests a second.
    pub fn mean(&self) -> f64 {
        f64::midpoint(self.from, self.to)
    }
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
        assert_eq!(parse_rate("2.5k"), Ok(2500.0));
        assert_eq!(parse_rate("1M"), Ok(1e6));
        for bad in ["", "0", "-1", "inf", "NaN", "1e3", "k", "5s"] {
            assert!(parse_rate(bad).is_err(), "{bad}");
        }
        assert!(parse_ramp("100").is_err());
        assert!("open".parse::<Schedule>().is_err());
    }

    #[test]
    fn requests_at_a_constant_rate_are_evenly_spaced() {
        let times =
            IntendedTimes::new(Schedule::Rate(1000.0), Duration::from_secs(1), Duration::from_secs(10)).unwrap();
        for n in [0, 1, 999, 1000, 1001, 11_000, 4_000_000_000] {
            assert_eq!(times.at(n), n as f64 / 1000.0);
        }
    }

    #[test]
    fn a_ramp_reaches_both_of_its_rates() {
        for (from, to) in [(100.0, 900.0), (900.0, 100.0), (1.0, 999.0)] {
            let schedule = Schedule::Ramp { from, to };
            let times = IntendedTimes::new(schedule, Duration::from_secs(2), Duration::from_secs(10)).unwrap();
            let first = 2.0 * from;
            assert!((times.at(first as u64) - 2.0).abs() < 1e-9);
            assert!((times.at(first as u64 + 5000) - 12.0).abs() < 1e-9, "the mean rate is 500 for 10 s");
            let gap = |n: u64| times.at(n + 1) - times.at(n);
            assert!((gap(first as u64 + 4999) * to - 1.0).abs() < 0.1 * (1.0 + from / to / 10.0));
            assert!((0..first as u64 + 5000).all(|n| gap(n) > 0.0));
        }
    }
}
