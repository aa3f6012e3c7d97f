//! The `process-pool` service.

use std::process::ExitCode;

fn main() -> ExitCode {
    supervisor::main(process_pool::MODEL)
}
