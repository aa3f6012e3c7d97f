//! The `process-per-connection` service.

use std::process::ExitCode;

fn main() -> ExitCode {
    supervisor::main(process_per_connection::MODEL)
}
