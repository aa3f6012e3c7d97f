//! The `uring` service.

use std::process::ExitCode;

fn main() -> ExitCode {
    supervisor::main(uring::MODEL)
}
