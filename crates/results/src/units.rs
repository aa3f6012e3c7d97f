//! Reads and writes times, byte counts and other amounts in the form that people use.

use std::time::Duration;

/// Parses a time with its unit: `500us`, `250ms`, `1.5s`, `2m`, `1h30m`; at most a year.
///
/// # Errors
/// A message that says what to write instead.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    // A capital M, humantime's month, is a million in the rates beside. humantime 2.4 panics where numbers add up to
    // more than a Duration holds, so none may be that long.
    let is_odd = text.contains('M') || text.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() > 12);
    let time = if is_odd { None } else { humantime::parse_duration(text).ok() };
    let time = time.filter(|time| time.as_secs() <= 86_400 * 365);
    time.ok_or_else(|| format!("'{text}' is no time; write a number with a unit, as in 500ms, 5s or 2m"))
}

/// A time in readable form, to the second from a minute on: `700ms`, `12.3s`, `4m 5s`.
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        _ if seconds < 1.0 => format!("{:.0}ms", seconds * 1e3),
        _ if seconds < 60.0 => format!("{seconds:.1}s"),
        _ => humantime::format_duration(Duration::from_secs(time.as_secs())).to_string(),
    }
}

/// Microseconds with three digits and a unit: `87.2µs`, `1.23ms`, `10.0s`.
pub fn micros(us: f64) -> String {
    match us {
        _ if us < 999.5 => format!("{}µs", three_digits(us)),
        _ if us < 999_500.0 => format!("{}ms", three_digits(us / 1e3)),
        _ => format!("{}s", three_digits(us / 1e6)),
    }
}

/// Bytes with three digits and a binary unit: `12.3M`.
pub fn bytes(bytes: f64) -> String {
    let (mut n, mut unit) = (bytes, 0);
    while n >= 999.5 && unit < 4 {
        n /= 1024.0;
        unit += 1;
    }
    format!("{}{}", three_digits(n), ["B", "K", "M", "G", "T"][unit])
}

/// A count with separated thousands: `123,456`.
pub fn count(n: f64) -> String {
    let digits = format!("{n:.0}");
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number with its noun in singular or plural: `1 cell`, `2 cells`.
pub fn plural(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// Rounds to nine significant digits: more than any measurement has, and few enough to survive JSON unchanged.
pub fn nine_digits(value: f64) -> f64 {
    format!("{value:.8e}").parse().unwrap_or(value)
}

/// A number with three digits, or more before the point.
pub fn three_digits(n: f64) -> String {
    match n {
        _ if n < 9.995 => format!("{n:.2}"),
        _ if n < 99.95 => format!("{n:.1}"),
        _ => format!("{n:.0}"),
    }
}

/// A number with its noun: `1 connection`, `1,000 connections`.
pub(crate) fn number(n: usize, what: &str) -> String {
    format!("{} {what}{}", count(n as f64), if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_parsed_with_their_unit() {
        for (text, millis) in [("500ms", 500), ("5s", 5_000), ("1.5s", 1_500), ("2m", 120_000), ("1h", 3_600_000)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)));
        }
        for bad in
            ["", "5", "s", "-1s", "1e3s", "99999999999999h", ".s", "5S", "2M", "18446744073709551615s1000ms", "inf"]
        {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn figures_are_written_with_unit_and_three_digits() {
        assert_eq!(micros(87.25), "87.2µs");
        assert_eq!(micros(999.6), "1.00ms");
        assert_eq!(micros(12_345.0), "12.3ms");
        assert_eq!(bytes(12.3 * 1024.0 * 1024.0), "12.3M");
        assert_eq!((count(1_234_567.0).as_str(), count(999.0).as_str()), ("1,234,567", "999"));
        assert_eq!(duration(Duration::from_secs(245)), "4m 5s");
    }
}
