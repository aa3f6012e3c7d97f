use std::time::Duration;

/// The limits on what one peer may demand of one connection: bytes, counts and times.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of a request line; a longer one is answered with 414.
    pub request_line: usize,
    /// Bytes of a whole head; a longer one is answered with 431.
    pub head: usize,
    /// Bytes of a request body, decoded; a longer one is answered with 413.
    pub body: usize,
    /// Bytes of a chunk's size line, extensions included; a longer one is answered with 400.
    pub chunk_line: usize,
    /// Bytes of all trailer fields together; more are answered with 431.
    pub trailers: usize,
    /// Time for a whole head, counted from its first byte; then the request is answered with 408.
    pub head_time: Duration,
    /// Time for a whole body, counted from the end of its head; then the request is answered with 408.
    pub body_time: Duration,
    /// Time for which a connection may be idle between requests; then it is closed.
    pub idle_time: Duration,
    /// Time for which a reply may make no progress because the peer does not read; then the connection is closed.
    pub write_time: Duration,
    /// Time for which the connection reads and drops what a peer still sends after a refusal or the last reply.
    pub drain_time: Duration,
    /// Grace time: after [`Conn::stop`](crate::Conn::stop), the time from a connection's last reply within which it may
    /// still bring a request.
    ///
    /// Its client may have sent one before it could know of the stop, and a close would reset it (RFC 9112, 9.6).
    pub grace_time: Duration,
}

impl Limits {
    /// The most fields of a head; more are answered with 431. It is a constant because their table is on the stack.
    pub const FIELDS: usize = 100;
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            request_line: 16 << 10,
            head: 32 << 10,
            body: 1 << 20,
            chunk_line: 256,
            trailers: 8 << 10,
            head_time: Duration::from_secs(10),
            body_time: Duration::from_secs(20),
            idle_time: Duration::from_secs(15),
            write_time: Duration::from_secs(20),
            drain_time: Duration::from_secs(1),
            grace_time: Duration::from_secs(1),
        }
    }
}
