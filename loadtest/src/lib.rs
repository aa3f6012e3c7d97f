//! A load generator whose numbers can be trusted, as a library and as the program `loadtest`.
//!
//! [`run()`](run::run) takes a [`Plan`](plan::Plan), a [`Fleet`](run::Fleet) that makes targets ready, and an
//! [`Observer`](run::Observer), and answers with [`Results`](results::Results), which [`report`] prints and
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
mod meter;
pub mod pace;
pub mod plan;
pub mod progress;
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
