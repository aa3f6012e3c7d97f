//! Ends a build for another system than Linux with one line, instead of hundreds of errors. The crates that need Linux and
//! use none of our crates depend on this one, and so it comes before all of them.

#[cfg(not(target_os = "linux"))]
compile_error!(
    "the I/O models lab runs on Linux only (epoll, io_uring, /proc); elsewhere, `docker compose up` runs it"
);
