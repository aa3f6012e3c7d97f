//! The URL of a target: `http://host:port/path`.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::str::FromStr;

/// An http URL with its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Host name or address; an IPv6 address without its brackets.
    pub host: String,
    /// Port, 80 where the URL names none.
    pub port: u16,
    /// Path with query, at least `/`.
    pub path: String,
    /// Host and port as the URL has them, for the Host field.
    pub authority: String,
}

impl Url {
    /// Returns the first address of the host.
    ///
    /// # Errors
    /// The name cannot be resolved.
    pub fn resolve(&self) -> io::Result<SocketAddr> {
        let no_address = || io::Error::new(io::ErrorKind::NotFound, format!("{} has no address", self.host));
        (self.host.as_str(), self.port).to_socket_addrs()?.next().ok_or_else(no_address)
    }

    /// The URL of another path on the same server.
    pub fn with_path(&self, path: &str) -> Url {
        Url { path: path.to_owned(), ..self.clone() }
    }
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Url, String> {
        let wrong = |why: &str| format!("'{text}' is not a usable URL: {why}; write http://host:port");
        let rest = text.strip_prefix("http://").ok_or_else(|| wrong("it does not begin with http://"))?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = match authority.rfind(':') {
            Some(colon) if !authority.ends_with(']') => (&authority[..colon], &authority[colon + 1..]),
            _ => (authority, "80"),
        };
        let host = match host.strip_prefix('[') {
            Some(inner) => inner.strip_suffix(']').ok_or_else(|| wrong("a bracket is open"))?,
            None if host.contains(':') => return Err(wrong("an IPv6 address needs brackets")),
            None => host,
        };
        if host.is_empty() {
            return Err(wrong("it has no host"));
        }
        if text.contains(|c: char| c.is_ascii_control() || c.is_whitespace() || c == '@' || c == '#') {
            return Err(wrong("it has a character that does not belong there"));
        }
        let port = port.parse().ok().filter(|&port| port > 0).ok_or_else(|| wrong("the port is not 1 to 65535"))?;
        let path = if path.is_empty() { "/" } else { path };
        Ok(Url { host: host.to_owned(), port, path: path.to_owned(), authority: authority.to_owned() })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_parsed_into_its_parts() {
        let url: Url = "http://localhost:8080".parse().unwrap();
        assert_eq!((url.host.as_str(), url.port, url.path.as_str()), ("localhost", 8080, "/"));
        let url: Url = "http://[::1]:9090/metrics?a=b".parse().unwrap();
        assert_eq!((url.host.as_str(), url.port, url.path.as_str()), ("::1", 9090, "/metrics?a=b"));
        assert_eq!(url.authority, "[::1]:9090");
        assert_eq!("http://example.com/".parse::<Url>().unwrap().port, 80);
        assert_eq!("http://[::1]".parse::<Url>().unwrap().port, 80);
    }

    #[test]
    fn an_unusable_url_is_refused_with_an_example() {
        for bad in ["", "localhost", "https://a/", "http://", "http://:80", "http://a:0", "http://a:b", "http://::1:80"]
        {
            let why = bad.parse::<Url>().unwrap_err();
            assert!(why.contains("http://host:port"), "{why}");
        }
    }
}
