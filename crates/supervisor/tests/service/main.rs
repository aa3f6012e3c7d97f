//! Tests of whole services in real processes: the test starts its own program again, as one of the models in
//! `model.rs`.

mod account;
mod admin;
mod cpus;
mod crash;
mod harness;
mod model;
mod refusal;
mod running;
mod stop;

use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args: Vec<OsString> = std::env::args_os().collect();
    match args.get(1).and_then(|name| model::by_name(name)) {
        Some(model) => {
            args.remove(1);
            supervisor::main_from(model, args)
        }
        None => harness::run(&[account::TESTS, admin::TESTS, cpus::TESTS, crash::TESTS, refusal::TESTS, stop::TESTS]),
    }
}
