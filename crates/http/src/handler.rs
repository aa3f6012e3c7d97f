use std::time::{Duration, Instant};

use crate::reply::Answer;
use crate::request::Request;

/// What is served. One lives in every connection, so it is best a small handle.
pub trait Handler {
    /// Answers a complete, valid request.
    fn answer(&mut self, request: &Request<'_>, now: Instant) -> Answer;

    /// The Date field's value (RFC 9110, 5.6.7).
    fn date(&mut self, now: Instant) -> [u8; 29];

    /// Is told of each reply when the socket has taken its last byte.
    fn served(&mut self, _served: Served) {}
}

/// A reply that is out.
#[derive(Clone, Copy, Debug)]
pub struct Served {
    /// Its status code.
    pub status: u16,
    /// The handler's mark; 0 where the handler was never asked, as for a request that cannot be parsed.
    pub mark: u8,
    /// From the bytes that completed the request to the last byte of the reply.
    pub took: Duration,
}
