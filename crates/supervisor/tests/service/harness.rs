//! A small test harness without threads: runs the tests whose name matches, one after the other.

use std::panic::catch_unwind;
use std::process::ExitCode;

/// A test and its name.
pub type Test = (&'static str, fn());

/// Makes `TESTS`, the list of a module's tests, from its functions.
#[macro_export]
macro_rules! tests {
    ($($test:ident),* $(,)?) => {
        pub const TESTS: &[$crate::harness::Test] = &[$((concat!(module_path!(), "::", stringify!($test)), $test)),*];
    };
}

/// Runs the tests whose name contains the first argument that is no flag: `cargo test NAME`.
pub fn run(groups: &[&[Test]]) -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let tests = groups.concat();
    if args.iter().any(|arg| arg == "--list") {
        tests.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let filter = args.into_iter().find(|arg| !arg.starts_with('-')).unwrap_or_default();
    let mut failed = Vec::new();
    for (name, test) in tests.iter().filter(|(name, _)| name.contains(&filter)) {
        let passed = catch_unwind(test).is_ok();
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        if !passed {
            failed.push(*name);
        }
    }
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("failed: {}", failed.join(", "));
    ExitCode::FAILURE
}
