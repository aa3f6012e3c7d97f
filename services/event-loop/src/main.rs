//! The `event-loop` service.

use std::process::ExitCode;

fn main() -> ExitCode {
    supervisor::main(event_loop::MODEL)
}
