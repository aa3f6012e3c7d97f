//! The `async-await` service.

use std::process::ExitCode;

fn main() -> ExitCode {
    supervisor::main(async_await::MODEL)
}
