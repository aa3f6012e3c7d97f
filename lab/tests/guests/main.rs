//! Tests of guests: servers of others that the lab measures beside the models.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/processes.rs"]
mod processes;

mod failing;
mod measured;
mod named;
mod run;
mod stopped;
