//! Runs a server of others as a service: `guest nginx`, or `guest --guest 'mine=./server --port {port}'`.

use std::process::ExitCode;

fn main() -> ExitCode {
    guest::main_from(std::env::args_os())
}
