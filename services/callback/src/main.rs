//! The `callback` service.

use std::process::ExitCode;

fn main() -> ExitCode {
    supervisor::main(callback::MODEL)
}
