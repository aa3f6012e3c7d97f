//! The `thread-pool` service.

use std::process::ExitCode;

fn main() -> ExitCode {
    supervisor::main(thread_pool::MODEL)
}
