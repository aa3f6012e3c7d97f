use std::time::Duration;

/// What one peer may ask of one connection, in bytes, counts and time.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of a request line; a longer one is answered 414.
    pub request_line: usize,
    /// Bytes of a whole head; a longer one is answered 431.
    pub head: usize,
    /// Bytes of a request body, decoded; a longer one is answered 413.
    pub body: usize,
    /// Bytes of a chunk's size line, extensions included; a longer one is answered 400.
    pub chunk_line: usize,
    /// Bytes of all trailer fields together; more are answered 431.
    pub trailers: usize,
    /// Time for a whole head, counted from its first byte; then 408.
    pub head_time: Duration,
    /// Time for a whole body, counted from the end of its head; then 408.
    pub body_time: Duration,
    /// Time a connection may idle between requests; then it is closed.
    pub idle_time: Duration,
    /// Time a reply may make no progress because the peer does not read; then the connection is closed.
    pub write_time: Duration,
    /// Time for which what a refused peer still sends is read and thrown away.
    pub drain_time: Duration,
    /// Once stopping: how long a connection that was lately busy may still bring its next request.
    ///
    /// Its client may have sent one before it could know; closing at once would reset it (RFC 9112, 9.6).
    pub grace_time: Duration,
}

impl Limits {
    /// The most header fields of a head (answered 431 above it). A constant, since their table is on the stack.
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
