/// The protocol versions that the server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0: the connection closes after a reply unless the peer asks for keep-alive.
    Http10,
    /// HTTP/1.1: the connection stays open unless the peer asks for close.
    Http11,
}

/// A complete request whose head and framing are valid.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method, case-sensitive (RFC 9110, 9.1).
    pub method: &'a str,
    /// The target's path as sent, percent-encoding included; `*` for the asterisk form.
    pub path: &'a str,
    /// What follows the target's `?`, as sent.
    pub query: Option<&'a str>,
    /// The protocol version of the request.
    pub version: Version,
    /// The decoded body; empty if the request has none.
    pub body: &'a [u8],
    pub(crate) fields: &'a [httparse::Header<'a>],
}

impl<'a> Request<'a> {
    /// The first field of that name (any case), without surrounding white space.
    pub fn field(&self, name: &str) -> Option<&'a [u8]> {
        self.fields(name).next()
    }

    /// All fields of that name (any case), in the order sent, each without surrounding white space.
    pub fn fields(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.fields.iter().filter(move |f| f.name.eq_ignore_ascii_case(name)).map(|f| f.value)
    }
}
