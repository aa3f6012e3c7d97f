//! A sans-I/O HTTP/1.1 server connection: bytes in, bytes out, one [`Want`] at a time.
//!
//! [`Conn`] owns no socket and reads no clock. An I/O model asks it what it wants, does that in the
//! model's own way, and tells it the outcome; the [`Handler`] decides what is served. RFC 9110 defines
//! the meaning of messages, RFC 9112 their framing; where the RFCs leave a choice, `Conn` is strict.
#![forbid(unsafe_code)]

mod body;
mod conn;
mod handler;
mod head;
mod host;
mod limits;
mod reply;
mod request;
mod want;

pub use body::Decoder;
pub use conn::Conn;
pub use handler::{Handler, Served};
pub use head::{Framing, Refusal, refused_line};
pub use host::is_host;
pub use limits::Limits;
pub use reply::{Answer, Body, Job, Reply, reason};
pub use request::{Request, Version};
pub use want::{FileRange, Want};
