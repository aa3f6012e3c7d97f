use std::time::{Duration, Instant};

use crate::reply::Answer;
use crate::request::Request;

/// The application behind a connection. Every connection has its own copy, so a small handle is best.
pub trait Handler {
    /// Answers a complete, valid request.
    fn answer(&mut self, request: &Request<'_>, now: Instant) -> Answer;

    /// The Date field's value (RFC 9110, 5.6.7).
    fn date(&mut self, now: Instant) -> [u8; 29];

    /// Called for each reply once the socket has taken its last byte.
    fn served(&mut self, _served: Served) {}
}

/// A reply that was written completely.
#[derive(Clone, Copy, Debug)]
pub struct Served {
    /// Its status code.
    pub status: u16,
    /// The handler's mark; 0 if the connection refused the request without asking the handler, for instance because
    /// it could not be parsed.
    pub mark: u8,
    /// The time from the bytes that completed the request to the last byte of the reply.
    pub took: Duration,
}
