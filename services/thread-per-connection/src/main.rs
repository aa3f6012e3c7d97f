//! The `thread-per-connection` service.

use std::process::ExitCode;

fn main() -> ExitCode {
    supervisor::main(thread_per_connection::MODEL)
}
