//! The `framework` service.

use std::process::ExitCode;

fn main() -> ExitCode {
    supervisor::main(framework::MODEL)
}
