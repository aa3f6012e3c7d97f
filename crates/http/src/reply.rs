use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

/// What a [`Handler`](crate::Handler) says to a request.
#[derive(Debug)]
pub enum Answer {
    /// Here is the reply.
    Reply(Reply),
    /// The same, after that time: a slow backend.
    Sleep(Duration, Reply),
    /// A call that blocks makes the reply.
    Block(Job),
    /// It will come: whoever drives the connection calls [`Conn::done`](crate::Conn::done) with it.
    Later,
}

/// A call that blocks and then gives the reply. An event-driven model runs it on another thread.
pub struct Job(Box<dyn FnOnce() -> Reply + Send>);

impl Job {
    /// Wraps the call.
    pub fn new(call: impl FnOnce() -> Reply + Send + 'static) -> Job {
        Job(Box::new(call))
    }

    /// Makes the call, on this thread.
    pub fn run(self) -> Reply {
        (self.0)()
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Job")
    }
}

/// A reply before it is bytes. Date, Server, Content-Length and Connection are put on by the connection.
#[derive(Debug)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The handler's own mark, which [`Handler::served`](crate::Handler::served) gets back.
    pub mark: u8,
    /// Content-Type; empty for none.
    pub content_type: &'static str,
    /// Further fields, in this order.
    pub fields: Vec<(&'static str, String)>,
    /// The content.
    pub body: Body,
}

/// The content of a reply.
#[derive(Debug)]
pub enum Body {
    /// None, and no Content-Length either: 304 (RFC 9110, 15.4.5).
    None,
    /// Bytes in memory.
    Bytes(Cow<'static, [u8]>),
    /// `len` bytes of a file, from `offset` on.
    File {
        /// The open file; shared, so that a model may hold it while a read is under way.
        file: Arc<File>,
        /// Where to start, in bytes.
        offset: u64,
        /// How many bytes.
        len: u64,
    },
}

impl Body {
    pub(crate) fn len(&self) -> u64 {
        match self {
            Body::None => 0,
            Body::Bytes(bytes) => bytes.len() as u64,
            Body::File { len, .. } => *len,
        }
    }
}

impl Reply {
    /// A `200 OK` of plain text.
    pub fn text(text: impl Into<Cow<'static, str>>) -> Reply {
        let bytes = match text.into() {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        };
        Reply { status: 200, mark: 0, content_type: "text/plain", fields: Vec::new(), body: Body::Bytes(bytes) }
    }

    /// A status with its name as text: `404 Not Found`.
    pub fn status(status: u16) -> Reply {
        Reply { status, ..Reply::text(format!("{status} {}\n", reason(status))) }
    }

    /// The same reply with one more field.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Reply {
        self.fields.push((name, value.into()));
        self
    }

    /// The same reply with the handler's mark.
    #[must_use]
    pub fn marked(self, mark: u8) -> Reply {
        Reply { mark, ..self }
    }
}

/// The name of a status code (RFC 9110, 15; RFC 6585, 5).
pub fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        200 => "OK",
        204 => "No Content",
        206 => "Partial Content",
        303 => "See Other",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Unknown",
    }
}
