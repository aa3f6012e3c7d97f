//! What a trial is asked to do.

use super::script::Script;
use results::{Arrivals, BackgroundLoad, Schedule};
use std::net::SocketAddr;
use std::time::Duration;

/// What one trial does.
pub struct Load<'a> {
    /// The address of the target.
    pub target: SocketAddr,
    /// What each connection does.
    pub script: &'a Script,
    /// When requests are sent: a closed loop, a rate or a ramp.
    pub schedule: Schedule,
    /// How an open loop's requests are spaced.
    pub arrivals: Arrivals,
    /// Decides the times of Poisson arrivals.
    pub seed: u64,
    /// Number of measured connections, over all threads.
    pub concurrency: usize,
    /// The background connections.
    pub background: BackgroundLoad,
    /// Host and port, for the requests of the background connections.
    pub authority: &'a str,
    /// What the busy background clients request; each request asks the server to close the connection.
    pub busy: &'a Script,
    /// What the slow readers request.
    pub slow_reader: &'a Script,
    /// Client threads. At most as many threads as connections are started.
    pub threads: usize,
    /// The CPUs of the load. The client threads are pinned to the last ones, one each, and the thread of the background load
    /// to the others, or to all of these if none is left. If there are fewer CPUs than client threads, these run on any CPU
    /// that the process may use; so the lab starts no more threads, and `loadtest --cpus` restricts the process.
    pub cpus: &'a [usize],
    /// Shortest length of the warm-up, the load before the window; zero for none. A ramp's warm-up has this length.
    pub warmup: Duration,
    /// Length of the window.
    pub duration: Duration,
    /// The shorter of the two time-outs; it determines how often deadlines are checked.
    pub shortest_timeout: Duration,
}
