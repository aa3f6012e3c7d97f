//! What a run measured: the schema of results.json, the figures, the statistics, and what is said about them.
//!
//! [`Results`] has [`Cell`]s, and a cell has [`Trial`]s. [`figures`] declares what is measured; [`Cell::summarise`]
//! makes a cell's figures from those of its trials, [`verdict`] judges whether they may be compared, [`ranks`] ranks
//! the targets under the same load. [`table`] and [`csv`] show a run, [`merge`] and [`compare`] two of them.
//!
//! ```no_run
//! let results = results::Results::load(std::path::Path::new("results.json"))?;
//! for cell in &results.cells {
//!     let cpu = cell.figures.server.cpu_us_per_request.map(|figure| figure.median);
//!     println!("{}: {cpu:?} µs, {}", cell.key, cell.verdict.name());
//! }
//! # Ok::<(), String>(())
//! ```
//!
//! Nothing here measures: this crate uses none of ours, and needs no system call.

pub mod answers;
pub mod background;
pub mod cache;
pub mod claims;
mod closing;
pub mod compare;
pub mod conditions;
pub mod content;
pub mod contrast;
pub mod csv;
pub mod differences;
pub mod disk;
pub mod disk_report;
pub mod figures;
pub mod goals;
pub mod hash;
pub mod histogram;
mod kind;
mod knee;
pub mod lacks;
pub mod lists;
pub mod live;
pub mod load;
pub mod machine;
mod marks;
pub mod merge;
pub mod ndjson;
pub mod noise;
pub mod outcomes;
pub mod paths;
pub mod plan;
pub mod ranks;
mod read;
pub mod remarks;
pub mod schedule;
pub mod schema;
pub mod slices;
pub mod statistics;
mod summary;
pub mod table;
pub mod units;
mod unlike_answers;
pub mod verdict;
mod version1;
pub mod wrap;

pub use background::{BackgroundGroup, BackgroundLoad, BackgroundResults};
pub use figures::Figures;
pub use load::{Key, Load, PerConnection};
pub use machine::Machine;
pub use outcomes::{OutcomeClass, OutcomeCounts};
pub use plan::{Plan, Twice};
pub use schedule::{Arrivals, Schedule};
pub use schema::{AnswerSeen, Bound, Cell, Flaw, Probe, Results, Target, Trial, Verdict};
pub use slices::Slice;
pub use statistics::Figure;
