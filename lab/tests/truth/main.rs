//! Truth tests: each compares a figure of the lab with an independent account of the same event: the kernel's account of a
//! control group, `/proc/meminfo`, or what the test itself has done to the machine.
//!
//! One of them runs at a time. Two accounts of one event agree on a busy machine, too; where a test needs a quiet
//! machine, it measures whether it has one, and is skipped with that reason if not.

mod cpu;
mod group;
mod machine;
mod memory;
mod service;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// These tests load the machine, so only one of them runs at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says that a test is skipped, and why.
fn skipped(why: &str) {
    println!("skipped: {why}");
}
