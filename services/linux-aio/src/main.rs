//! The `linux-aio` service.

use std::process::ExitCode;

fn main() -> ExitCode {
    supervisor::main(linux_aio::MODEL)
}
