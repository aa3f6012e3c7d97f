//! Trees of real processes, whose cost is known, against what is told of them.
//!
//! The tests fork without exec. That is sound only in a process with one thread, and a clock is best read on a quiet
//! machine: so they run one after another, in a harness of their own.

mod counts;
mod cpu;
mod family;
mod group;
mod memory;

use std::process::ExitCode;

macro_rules! tests {
    ($($module:ident :: $test:ident),* $(,)?) => { &[$((concat!(stringify!($module), "::", stringify!($test)), $module::$test as fn())),*] };
}

const TESTS: &[(&str, fn())] = tests![
    cpu::grandchildren_that_have_been_reaped_are_charged,
    cpu::live_children_are_charged_to_the_nanosecond,
    cpu::a_zombie_is_charged_before_and_after_it_is_reaped,
    cpu::a_child_that_is_reaped_meanwhile_is_never_charged_twice,
    memory::private_memory_counts_in_full,
    memory::shared_memory_counts_once,
    memory::a_lone_process_shows_its_peak_between_samples,
    memory::a_crowd_is_sampled,
    counts::processes_threads_and_descriptors,
    counts::a_root_that_is_gone_is_not_found,
    counts::switches_of_all_threads_count_and_are_kept,
    counts::faults_of_reaped_children_count,
    group::a_group_of_its_own_tells_what_nobody_waited_for,
    group::a_group_that_is_shared_is_not_charged,
];

fn main() -> ExitCode {
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let mut failed = 0;
    for (name, test) in TESTS.iter().filter(|(name, _)| name.contains(&filter)) {
        let passed = std::panic::catch_unwind(test).is_ok();
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        failed += u32::from(!passed);
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
