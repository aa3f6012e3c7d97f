//! Compares the samples of trees of real processes with what these processes are known to cost.
//!
//! The tests fork without exec, which is sound only in a process with one thread, and clocks are read best on a quiet
//! machine. So the tests run one after another, in a harness of their own.

mod child;
mod counts;
mod cpu;
mod group;
mod memory;

use std::process::ExitCode;

macro_rules! tests {
    ($($module:ident :: $test:ident),* $(,)?) => { &[$((concat!(stringify!($module), "::", stringify!($test)), $module::$test as fn())),*] };
}

const TESTS: &[(&str, fn())] = tests![
    cpu::grandchildren_that_have_been_reaped_are_charged,
    cpu::live_children_are_charged_to_the_nanosecond,
    cpu::the_clocks_of_many_processes_are_read_without_their_other_figures,
    cpu::a_zombie_is_charged_before_and_after_it_is_reaped,
    cpu::a_child_that_is_reaped_during_a_sample_is_never_charged_twice,
    memory::private_memory_counts_in_full,
    memory::shared_memory_counts_once,
    memory::a_peak_between_two_samples_of_a_single_process_is_seen,
    memory::of_many_alike_processes_some_stand_for_all,
    counts::processes_threads_and_descriptors_are_counted,
    counts::the_cpus_are_those_of_all_threads,
    counts::a_root_that_has_exited_is_not_found,
    counts::switches_of_all_threads_count_and_are_kept,
    counts::faults_of_reaped_children_count,
    group::a_group_with_only_the_tree_accounts_for_children_that_were_never_waited_for,
    group::a_group_with_other_processes_is_not_used,
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
