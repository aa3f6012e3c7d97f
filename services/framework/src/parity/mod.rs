//! What makes hyper behave like the HTTP of the other models, so that the comparison is fair: time-outs, limits, strictness,
//! and a stop that loses nothing. An ordinary axum service does without most of it.

mod connection;
mod guard;
mod progress;
mod strict;

pub use connection::serve_connection;
