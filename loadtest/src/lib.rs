//! Generates HTTP load and measures throughput, latency and the server's cost; the library behind the program
//! `loadtest` and the lab.
//!
//! [`run()`](run::run) takes a [`Plan`](plan::Plan), a [`Fleet`](run::Fleet) that makes targets ready, and an
//! [`Observer`](run::Observer). It returns [`Results`](results::Results), which [`report`] prints and
//! [`Results::save`](results::Results::save) writes.

pub mod class;
mod client;
pub mod compare;
mod conntrack;
pub mod cost;
pub mod csv;
mod engine;
pub mod fail_on;
pub mod figures;
pub mod flags;
pub mod folder;
pub mod limits;
pub mod live;
pub mod machine;
mod measure;
pub mod pace;
pub mod plan;
mod probe;
pub mod progress;
mod prometheus_text;
mod recorder;
pub mod remote_write;
pub mod report;
mod response;
pub mod results;
pub mod run;
mod schedule;
pub mod scrape;
mod signals;
pub mod stats;
pub mod target;
mod units;
mod verdict;

pub use run::run;
pub use signals::stop_on_signals;
pub use units::{duration, parse_duration};
