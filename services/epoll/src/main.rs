//! The `epoll` service.

use std::process::ExitCode;

fn main() -> ExitCode {
    supervisor::main(epoll::MODEL)
}
