//! From results to a page: one HTML file that needs no network, no script and no other file.
//!
//! [`report()`] is the order of its parts. [`chart`] draws: a chart of rows is an HTML table with a drawing in each row, so that a
//! screen reader reads it and a narrow screen shows it; a chart of curves is an SVG with a legend. All coordinates across
//! are percentages, so that text keeps its size at any width. [`target`] gives each target its colour.
//!
//! Nothing here measures or judges: what a figure is worth, and what is said of it, comes from `results`.

mod chart;
pub mod list;
pub mod live;
pub mod notice;
mod page;
pub mod report;
pub mod servers;
pub mod side_by_side;
mod target;

pub use page::OF_A_SERVER;
pub use report::report;
