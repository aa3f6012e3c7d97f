//! What several I/O models share: a connection's [`Conn`](http1::Conn) driven by system calls, each of which is counted.
//!
//! What makes a model stands in its own folder in `services/`. Here is what would otherwise stand there twice:
//!
//! | for | look at |
//! |---|---|
//! | all models | [`Calls`], [`stop_connection`], and the numbers in `common.rs` |
//! | event loops that learn readiness (select, poll, epoll and what is built on it) | [`Poller`], [`Connections`], [`SendFile`] |
//! | event loops that read files past the page cache | [`direct`] |
//! | all event loops | [`Acceptor`], [`Permits`], [`Timers`], [`Helpers`], [`Sigterm`], [`on_each_thread`] |
//! | workers that block | [`serve_blocking`], [`inherit_timeouts`], [`BlockingAcceptor`] |
//! | worker threads | [`ThreadAcceptor`] |
//! | worker processes | [`fork`], [`wait4`], [`terminate`] |
//! | tasks on tokio (feature `tokio`) | `tasks` |

mod acceptor;
mod backlog;
mod blocking;
mod common;
mod connection;
mod connections;
pub mod direct;
mod files;
mod helpers;
mod loops;
mod permits;
mod poller;
mod processes;
mod signals;
mod syscalls;
#[cfg(feature = "tokio")]
pub mod tasks;
mod threads;
mod timers;
mod ttl;

pub use acceptor::Acceptor;
pub use backlog::{Backlog, BlockingAcceptor};
pub use blocking::{INTERRUPT, handle_signals, inherit_timeouts, is_stopping, serve_blocking};
pub use common::{BACK_OFF, HELPER_THREADS, MAX_STEPS, READ_BUFFER, THREAD_STACK};
pub use connections::Connections;
pub use files::{FileChunk, SendFile};
pub use helpers::Helpers;
pub use loops::on_each_thread;
pub use permits::Permits;
pub use poller::{Event, Id, Interest, Key, Poller, Readiness, Trigger};
pub use processes::{fork, terminate, wait4};
pub use signals::{Sigterm, signal_fd};
pub use syscalls::{AcceptError, Calls};
pub use threads::{Accepted, ThreadAcceptor};
pub use timers::{Timers, poll_timeout};
pub use ttl::{clear_min_ttl, set_min_ttl, stop_connection};
