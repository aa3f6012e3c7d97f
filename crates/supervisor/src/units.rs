//! Parses durations, sizes and addresses as users write them in flags.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

/// Parses `10s`, `500ms`, `1.5m`, `1h 30m`: the grammar of humantime, as in the load test.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    // humantime 2.4 panics where numbers add up to more than a Duration holds, so none may be that long.
    let is_long = text.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() > 12);
    let time = if is_long { None } else { humantime::parse_duration(text).ok() };
    let time = time.ok_or_else(|| format!("`{text}` is no duration; write it like 10s, 500ms or 2m"))?;
    if time > Duration::from_secs(24 * 3600) { Err(format!("{text} is more than a day")) } else { Ok(time) }
}

/// Parses a duration of at least 1 ms: a time-out of 0 would close every connection.
pub(crate) fn timeout(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if time < Duration::from_millis(1) { Err("it must be at least 1ms".to_owned()) } else { Ok(time) }
}

/// Parses a number of bytes: `16384`, `16k`, `1m` (in powers of 1024).
pub(crate) fn bytes(text: &str) -> Result<usize, String> {
    let expected = || format!("`{text}` is no size; write it in bytes, or like 16k or 1m");
    let (number, unit) = split(text).ok_or_else(expected)?;
    let unit = match unit {
        "" => 1.0,
        "k" => 1024.0,
        "m" => 1024.0 * 1024.0,
        _ => return Err(expected()),
    };
    let bytes = number * unit;
    if !(64.0..=1024.0 * 1024.0 * 1024.0).contains(&bytes) {
        return Err("it must be at least 64 bytes and at most 1024m".to_owned());
    }
    Ok(bytes as usize)
}

/// An address of `--listen` or `--admin` as the user wrote it, and what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Addresses {
    pub text: String,
    /// A name may have several, in the order of getaddrinfo(3); there is at least one.
    pub found: Vec<SocketAddr>,
}

/// Parses `127.0.0.1:8080`, `[::1]:8080`, `[fe80::1%eth0]:8080`, `localhost:8080`.
pub(crate) fn addresses(text: &str) -> Result<Addresses, String> {
    let expected = "expected ADDRESS:PORT, as in 127.0.0.1:8080";
    let (host, port) = text.rsplit_once(':').ok_or(expected)?;
    let port: u16 = port.parse().map_err(|_| format!("`{port}` is no port, a number from 0 to 65535; {expected}"))?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if host.is_empty() {
        let all = format!("0.0.0.0:{port} for every address of this machine");
        return Err(format!("the address is missing; write 127.0.0.1:{port} for this machine alone, or {all}"));
    }
    if bare.is_none() && host.contains(':') {
        return Err("an IPv6 address needs brackets, as in [::1]:8080".to_owned());
    }
    let what_to_do = "write an IP address, or a name that this machine knows";
    let host = bare.unwrap_or(host);
    let resolved = (host, port).to_socket_addrs();
    let mut found: Vec<SocketAddr> =
        resolved.map_err(|error| format!("cannot resolve `{host}`: {error}; {what_to_do}"))?.collect();
    found.dedup();
    match found.is_empty() {
        true => Err(format!("`{host}` has no address; {what_to_do}")),
        false => Ok(Addresses { text: text.to_owned(), found }),
    }
}

/// Splits a text into a number, which is not negative, and the unit after it.
fn split(text: &str) -> Option<(f64, &str)> {
    let at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    Some((text[..at].parse().ok()?, &text[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        assert_eq!(duration("10 s"), Ok(Duration::from_secs(10)));
        for text in ["1h30m", "1h 30m", "90m", "1.5h"] {
            assert_eq!(duration(text), Ok(Duration::from_secs(5400)), "{text}");
        }
        for bad in [
            "",
            "s",
            "10",
            "-1s",
            "1e3s",
            "1..5s",
            "10S",
            "1s 10",
            "inf",
            "99999999999999999999s",
            "18446744073709551615s1000ms",
        ] {
            let error = format!("`{bad}` is no duration; write it like 10s, 500ms or 2m");
            assert_eq!(duration(bad), Err(error));
        }
    }

    #[test]
    fn durations_have_limits() {
        assert_eq!(duration("1d"), Ok(Duration::from_secs(86_400)));
        for bad in ["1d 1ns", "9999h"] {
            assert_eq!(duration(bad), Err(format!("{bad} is more than a day")));
        }
        assert_eq!(timeout("1ms"), Ok(Duration::from_millis(1)));
        for bad in ["0s", "999us"] {
            assert_eq!(timeout(bad), Err("it must be at least 1ms".to_owned()), "{bad}");
        }
    }

    #[test]
    fn sizes_are_in_powers_of_1024() {
        assert_eq!(bytes("16k"), Ok(16384));
        assert_eq!(bytes("1m"), Ok(1 << 20));
        assert_eq!(bytes("100"), Ok(100));
        for bad in ["", "k", "1", "16kb", "-16k", "9999m"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_name_a_port() {
        let found = |text| addresses(text).map(|addresses| addresses.found);
        assert_eq!(found("127.0.0.1:0"), Ok(vec![([127, 0, 0, 1], 0).into()]));
        assert_eq!(found("[::1]:80"), Ok(vec!["[::1]:80".parse().unwrap()]));
        assert!(found("localhost:81").is_ok_and(|found| found.iter().all(|address| address.port() == 81)));
        let zone = found("[fe80::1%1]:80");
        assert_eq!(zone, Ok(vec!["[fe80::1%1]:80".parse().unwrap()]), "the interface with the index 1");
        for (bad, why) in [
            ("", "expected ADDRESS:PORT"),
            ("8080", "expected ADDRESS:PORT"),
            ("127.0.0.1", "expected ADDRESS:PORT"),
            (":8080", "127.0.0.1:8080 for this machine alone"),
            ("127.0.0.1:x", "`x` is no port"),
            ("127.0.0.1:70000", "`70000` is no port"),
            ("127.0.0.1:-1", "`-1` is no port"),
            ("::1:80", "needs brackets"),
            ("[::1]", "is no port"),
            ("[fe80::1%nowhere]:80", "cannot resolve `fe80::1%nowhere`"),
            ("no such name:80", "cannot resolve `no such name`"),
        ] {
            assert!(addresses(bad).is_err_and(|line| line.contains(why)), "{bad}: {:?}", addresses(bad));
        }
    }
}
