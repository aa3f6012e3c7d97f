//! The `posix-aio` service.

use std::process::ExitCode;

fn main() -> ExitCode {
    supervisor::main(posix_aio::MODEL)
}
