//! The `select` service.

use std::process::ExitCode;

fn main() -> ExitCode {
    supervisor::main(select::MODEL)
}
