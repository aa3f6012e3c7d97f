//! The URL of a target: `http://host:port/path`.

use http::Uri;
use http::uri::{Authority, InvalidUri, PathAndQuery, Scheme};
use results::lists::each_once;
use std::fmt;
use std::io;
use std::net::{Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

/// The port of a URL that names none. RFC 9110, 4.2.1
const DEFAULT_PORT: u16 = 80;

/// An http URL with a host, a port, and a path that is at least `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url(Uri);

impl Url {
    /// Host and port as the URL has them, for the Host field.
    pub fn authority(&self) -> &str {
        self.0.authority().map_or("", Authority::as_str)
    }

    /// Path with query, at least `/`.
    pub fn path(&self) -> &str {
        self.0.path_and_query().map_or("/", PathAndQuery::as_str)
    }

    /// The URL for an HTTP client.
    pub(crate) fn uri(&self) -> &Uri {
        &self.0
    }

    /// Returns the addresses of the host, each once, in the order of the system's resolver: there is at least one.
    ///
    /// # Errors
    /// The name cannot be resolved.
    pub fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        let host = self.0.host().unwrap_or_default();
        let no_address = || io::Error::new(io::ErrorKind::NotFound, format!("{host} has no address"));
        let port = self.0.port_u16().unwrap_or(DEFAULT_PORT);
        // An IPv6 address keeps its brackets here: with the port, this is how an address is written.
        let addresses = each_once(format!("{host}:{port}").to_socket_addrs()?);
        if addresses.is_empty() { Err(no_address()) } else { Ok(addresses) }
    }

    /// The URL of another path on the same server.
    ///
    /// # Panics
    /// `path` is not a path: it has a character that has to be escaped, or more than 65534 bytes.
    pub fn with_path(&self, path: &str) -> Url {
        let mut parts = self.0.clone().into_parts();
        parts.path_and_query = Some(path.parse().expect("a path"));
        Url(Uri::from_parts(parts).expect("a URL with another path is a URL"))
    }
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Url, String> {
        let wrong = |why: &str| format!("'{text}' is not a usable URL: {why}; write http://host:port");
        // A zone says which network interface of this machine is meant, so it is not for a Host field. RFC 6874, 4
        if text.split('/').nth(2).is_some_and(|authority| authority.starts_with('[') && authority.contains('%')) {
            return Err(wrong("an address with a zone (%) does not belong there"));
        }
        let uri: Uri = text.parse().map_err(|error: InvalidUri| wrong(&error.to_string()))?;
        if uri.scheme() != Some(&Scheme::HTTP) {
            return Err(wrong("it does not begin with http://"));
        }
        let (authority, host) = (uri.authority().map_or("", Authority::as_str), uri.host().unwrap_or_default());
        // `Uri` drops a fragment without a word.
        if text.contains('#') {
            return Err(wrong("a fragment (#) does not belong there"));
        }
        if authority.contains('@') {
            return Err(wrong("a user's name (@) does not belong there"));
        }
        let is_host = match host.strip_prefix('[') {
            Some(inner) => inner.trim_end_matches(']').parse::<Ipv6Addr>().is_ok(),
            None => !host.is_empty() && !host.contains(['[', ']']),
        };
        if !is_host {
            return Err(wrong("its host is no name and no address"));
        }
        // `Uri` takes what follows the host for a port, even if it is no number or has a sign.
        let rest = &authority[host.len()..];
        let is_port = || rest.starts_with(':') && !rest.contains('+') && uri.port_u16().is_some_and(|port| port > 0);
        if !rest.is_empty() && !is_port() {
            return Err(wrong("the port is not 1 to 65535"));
        }
        let url = Url(uri);
        match url.path().strip_prefix('?') {
            // `http://host?query` has the path `/`, which a request line must not leave out. RFC 9112, 3.2.1
            Some(query) => Ok(url.with_path(&format!("/?{query}"))),
            None => Ok(url),
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The host's address and port, the authority and the path of a URL.
    #[track_caller]
    fn parts(text: &str) -> (String, String, String) {
        let url: Url = text.parse().unwrap();
        (url.resolve().unwrap()[0].to_string(), url.authority().into(), url.path().into())
    }

    #[test]
    fn a_url_is_parsed_into_its_parts() {
        let expected = |address: &str, authority: &str, path: &str| (address.into(), authority.into(), path.into());
        assert_eq!(parts("http://127.0.0.1:8080"), expected("127.0.0.1:8080", "127.0.0.1:8080", "/"));
        assert_eq!(parts("http://[::1]:9090/metrics?a=b"), expected("[::1]:9090", "[::1]:9090", "/metrics?a=b"));
        assert_eq!(parts("http://127.0.0.1/"), expected("127.0.0.1:80", "127.0.0.1", "/"));
        assert_eq!(parts("http://[::1]"), expected("[::1]:80", "[::1]", "/"));
        assert_eq!(parts("HTTP://127.0.0.1:1/A"), expected("127.0.0.1:1", "127.0.0.1:1", "/A"));
        assert_eq!(parts("http://127.0.0.1:65535?x"), expected("127.0.0.1:65535", "127.0.0.1:65535", "/?x"));
    }

    #[test]
    fn a_host_has_each_of_its_addresses_once() {
        let url: Url = "http://127.0.0.1:1".parse().unwrap();
        assert_eq!(url.resolve().unwrap(), ["127.0.0.1:1".parse().unwrap()]);
        // At most one of each family: whether there is ::1, the machine decides.
        let localhost = "http://localhost:1".parse::<Url>().unwrap().resolve().unwrap();
        assert!((1..=2).contains(&localhost.len()), "{localhost:?}");
    }

    #[test]
    fn a_url_is_written_as_it_was_read() {
        for text in ["http://name:8080/", "http://[::1]/metrics?a=b", "http://a-b.c_d/%20"] {
            assert_eq!(text.parse::<Url>().unwrap().to_string(), text);
        }
        assert_eq!("HTTP://name:1?x".parse::<Url>().unwrap().to_string(), "http://name:1/?x");
        let other = "http://name:1/a?b".parse::<Url>().unwrap().with_path("/info");
        assert_eq!(other.to_string(), "http://name:1/info");
    }

    #[test]
    fn an_unusable_url_is_refused_with_an_example() {
        for (bad, why) in [
            ("", "empty string"),
            ("localhost", "it does not begin with http://"),
            ("localhost:8080", "it does not begin with http://"),
            ("localhost:8080/", "invalid format"),
            ("/", "it does not begin with http://"),
            ("https://a/", "it does not begin with http://"),
            ("http://", "empty string"),
            ("http:///", "invalid format"),
            ("http://:80", "its host is no name and no address"),
            ("http://a:0", "the port is not 1 to 65535"),
            ("http://a:65536", "the port is not 1 to 65535"),
            ("http://a:b", "the port is not 1 to 65535"),
            ("http://a:+80", "the port is not 1 to 65535"),
            ("http://a:", "the port is not 1 to 65535"),
            ("http://[::1]80:90", "the port is not 1 to 65535"),
            ("http://[::1]80", "the port is not 1 to 65535"),
            ("http://::1:80", "invalid authority"),
            ("http://[::1", "invalid authority"),
            ("http://[::g]:80", "its host is no name and no address"),
            ("http://[fe80::1%25eth0]:80", "an address with a zone (%) does not belong there"),
            ("http://[fe80::1%eth0]/", "an address with a zone (%) does not belong there"),
            ("http://a[::1]:80", "its host is no name and no address"),
            ("http://user:word@a", "a user's name (@) does not belong there"),
            ("http://a/b#c", "a fragment (#) does not belong there"),
            ("http://a b", "invalid uri character"),
            ("http://a/\r\nX: y", "invalid uri character"),
        ] {
            let expected = format!("'{bad}' is not a usable URL: {why}; write http://host:port");
            assert_eq!(bad.parse::<Url>(), Err(expected));
        }
    }
}
