//! The `poll` service.

use std::process::ExitCode;

fn main() -> ExitCode {
    supervisor::main(poll::MODEL)
}
