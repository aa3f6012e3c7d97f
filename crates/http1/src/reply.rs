use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

/// How a [`Handler`](crate::Handler) answers a request.
#[derive(Debug)]
pub enum Answer {
    /// With this reply, at once.
    Reply(Reply),
    /// With this reply, after that time: it simulates a slow backend.
    Sleep(Duration, Reply),
    /// With the reply that a blocking call returns.
    Block(Job),
    /// With a reply that comes later: the I/O model then passes it to [`Conn::done`](crate::Conn::done).
    Later,
}

/// A call that blocks and then returns the reply. An event-driven model runs it on a helper thread.
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

/// A reply that is not yet bytes. The connection adds Date, Server, Content-Length and Connection to its fields.
#[derive(Debug)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// A mark of the handler, which [`Served`](crate::Served) returns to it.
    pub mark: u8,
    /// The Content-Type field's value; empty if the reply has no such field.
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
        /// The open file; shared, so that a model may hold it while it reads.
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
