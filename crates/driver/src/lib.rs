//! A socket driven by a [`Conn`](http::Conn): the blocking way, and the non-blocking "as far as it goes" way.
//!
//! Everything that two I/O models would otherwise say twice is here: arrivals, children, timers, stopping,
//! helper threads, and the system calls with their counts. What differs between models is in `services/`.

mod alike;
mod arrivals;
mod blocking;
mod children;
mod detached;
mod door;
mod epoll;
mod hearing;
mod helpers;
mod peers;
mod piece;
mod stop;
mod syscalls;
mod threads;
mod timers;

pub use alike::{BUFFER, HELPER_THREADS, REST, STACK, TURN};
pub use arrivals::{Arrivals, Places};
pub use blocking::{INTERRUPT, inherit_timeouts, is_stopping, prepare_for_sigterm, serve_blocking};
pub use children::{Children, fork, terminate, wait4_any};
pub use epoll::Epoll;
pub use hearing::{hear, require_ttl, stop};
pub use helpers::Helpers;
pub use peers::{HELPERS, LISTENER, Peers, READS, Readiness, STOP, SendFile, Trigger, Watch};
pub use piece::Piece;
pub use stop::{Stop, on_each_thread, signals};
pub use syscalls::{Calls, NotAccepted};
pub use threads::{Guest, Threads};
pub use timers::{Timers, timeout};
