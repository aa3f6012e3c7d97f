//! The form of a host and a port, as in Host, in a target in absolute form, and in that of CONNECT.

use std::net::Ipv6Addr;

/// Is it `uri-host [ ":" port ]` (RFC 9110, 7.2; RFC 3986, 3.2.2)?
///
/// An IPv4 address needs no rule of its own: it is a `reg-name`, too. A port has at most five digits.
#[inline]
pub fn is_host(value: &[u8]) -> bool {
    let end = plain(value);
    match &value[end..] {
        [] => end > 0,
        [b':', port @ ..] if end > 0 => is_port(port),
        [b':', ..] => false,
        rest => has_escapes_or_brackets(rest, end == 0),
    }
}

/// How many bytes at the front are `unreserved` or `sub-delims`.
fn plain(value: &[u8]) -> usize {
    value.iter().position(|&b| !NAME_BYTES[usize::from(b)]).unwrap_or(value.len())
}

fn is_port(digits: &[u8]) -> bool {
    digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit)
}

/// The rest of `is_host`, for what few hosts have.
#[cold]
fn has_escapes_or_brackets(mut rest: &[u8], is_begin: bool) -> bool {
    if is_begin && let Some(literal) = rest.strip_prefix(b"[") {
        let Some(end) = memchr::memchr(b']', literal) else { return false };
        rest = &literal[end + 1..];
        return is_ip_literal(&literal[..end]) && (rest.is_empty() || rest.strip_prefix(b":").is_some_and(is_port));
    }
    while let [b'%', high, low, behind @ ..] = rest
        && high.is_ascii_hexdigit()
        && low.is_ascii_hexdigit()
    {
        rest = &behind[plain(behind)..];
    }
    rest.is_empty() || rest.strip_prefix(b":").is_some_and(is_port)
}

/// Is it `IPv6address / IPvFuture`?
fn is_ip_literal(literal: &[u8]) -> bool {
    match literal {
        [b'v' | b'V', rest @ ..] => {
            let digits = rest.iter().take_while(|b| b.is_ascii_hexdigit()).count();
            let address = rest[digits..].strip_prefix(b".").unwrap_or_default();
            digits > 0 && !address.is_empty() && address.iter().all(|&b| NAME_BYTES[usize::from(b)] || b == b':')
        }
        _ => std::str::from_utf8(literal).is_ok_and(|literal| literal.parse::<Ipv6Addr>().is_ok()),
    }
}

/// `unreserved` and `sub-delims` of RFC 3986.
static NAME_BYTES: [bool; 256] = {
    let bytes = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-._~!$&'()*+,;=";
    let mut table = [false; 256];
    let mut at = 0;
    while at < bytes.len() {
        table[bytes[at] as usize] = true;
        at += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_characters_and_escapes_of_rfc_3986() {
        for host in ["a", "A-1.b_~!$&'()*+,;=", "127.0.0.1:8080", "a:", "a:1", "%41", "a%2Eb%c3:80", "999.1"] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in ["", ":80", "a b", "a/b", "a@b", "a:b", "a:123456", "a:1:2", "é", "a]", "::1"] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
        for host in ["%", "%4", "a%zz", "a%4g", "%%41", "a:%31", "a%"] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn ip_literals_are_ipv6_addresses_or_those_of_a_future_version() {
        for host in [
            "[::]",
            "[::1]",
            "[::1]:80",
            "[1:2:3:4:5:6:7:8]",
            "[1:2:3:4:5:6:7::]",
            "[fe80::ABCD]",
            "[::ffff:127.0.0.1]",
            "[v1.a]",
            "[vF0.a:b!]:1",
            "[V1.~]",
        ] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in [
            "[]",
            "[",
            "[::1",
            "[::1]80",
            "[::1]]",
            "[12345]",
            "[zz]",
            "[1]",
            "[127.0.0.1]",
            "[12345::]",
            "[1:2:3:4:5:6:7:8:9]",
            "[1::2::3]",
            "[::1%25eth0]",
            "[::1%eth0]",
            "[::127.0.0.01]",
            "[%31]",
            "[a.b]",
            "[v.a]",
            "[v1]",
            "[v1.]",
            "[vg.a]",
            "[v1.%41]",
            "[ ::1]",
        ] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }
}
