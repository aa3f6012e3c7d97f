//! What a trial costs the target, and what other programs use of the machine meanwhile.
//!
//! The [`observer`] reads, in this order:
//! - before the load: a [`Snapshot`] of the idle target, and the kernel's memory;
//! - in the warm-up: a [`Snapshot`], with which those counters begin that are told in no other way;
//! - at the window's begin and at its end: a [`Moment`], which is cheap;
//! - after that, while the load is still on: three [`Snapshot`]s, and the kernel's memory.
//!
//! A snapshot takes up to 20 ms of a CPU. On a machine with two CPUs the load generator would miss them, so none is taken
//! in the window.

mod clock;
mod kernel_memory;
mod machine;
mod moment;
mod observer;
mod own_count;
mod own_ends;
mod readings;
mod sampler;
mod server;
mod snapshot;
mod source;
mod spent;

pub(crate) use machine::machine_use;
pub(crate) use observer::{CostObserver, Observed};
pub(crate) use readings::Costs;
pub(crate) use server::{Connections, server_cost, sources};
pub use source::CostSource;
