//! What makes hyper behave like the HTTP of the other models, so that the comparison is fair: time-outs, limits, strictness,
//! and a stop that loses nothing. An ordinary axum service does without most of it.
//!
//! - `connection.rs`: one connection from its first byte to its close, with the deadlines and the stop that hyper lacks
//! - `guard.rs`: the service that hyper calls: limits, and counting of replies
//! - `line.rs`: request lines, which hyper reads too late or more leniently
//! - `progress.rs`: how far a connection has got, which hyper does not tell
//! - `strict.rs`: requests that hyper lets through and the other models refuse
//! - `wire.rs`: where in the bytes that pass a socket the lines and the content of requests are

mod connection;
mod guard;
mod line;
mod progress;
mod strict;
mod wire;

pub use connection::serve_connection;
