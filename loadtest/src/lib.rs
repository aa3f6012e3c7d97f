//! Generates HTTP load and measures throughput, latency and the server's cost; the library behind the program
//! `loadtest` and the lab.
//!
//! [`run()`](run::run) takes a [`Plan`](results::Plan), a [`Fleet`](fleet::Fleet) that makes targets ready, and an
//! [`Observer`](events::Observer), and returns [`Results`](results::Results). For each trial the `engine` loads the
//! target and returns what its threads have measured, and `measure` makes a [`Trial`](results::Trial) of that. A program
//! that makes a run does so through [`front`], which has the flags, the progress, the table and the files.

pub mod aa;
mod again;
mod agenda;
mod budget;
mod command;
mod conclude;
mod conntrack;
pub mod cost;
mod costs;
pub mod cpus;
mod engine;
pub mod events;
pub mod every_path;
pub mod fleet;
pub mod front;
mod further;
mod knee;
mod lateness;
pub mod limits;
mod machine;
mod measure;
pub mod neighbours;
mod privileges;
pub mod probe;
mod prometheus_text;
pub mod provenance;
mod rates;
pub mod remote_write;
pub mod run;
pub mod scrape;
mod signals;
mod stop;
pub mod target;
mod trial;
mod widths;
mod windows;

pub use engine::LiveSnapshot;
pub use machine::available_memory;
pub use run::run;
pub use signals::{end_on_signals, stop_on_signals, unless_stopped};
pub use stop::Stop;
