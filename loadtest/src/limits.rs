//! Raises the limits of this process, and checks that the connections of a run fit in.

use nix::sys::resource::{Resource, getrlimit};
use process_tree::raise_open_file_limit;

/// Descriptors that are needed besides the connections: epoll, files, metrics.
pub const SPARE: u64 = 64;

/// Raises the limit of open files as far as possible, and checks that `connections` fit in.
///
/// # Errors
/// One line that says how to raise the limit.
pub fn make_room(connections: usize) -> Result<(), String> {
    let _ = raise_open_file_limit();
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((u64::MAX, u64::MAX));
    let needed = connections as u64 + SPARE;
    if needed <= soft {
        return Ok(());
    }
    Err(format!(
        "{connections} connections need {needed} open files, and the limit is {hard}: raise it with 'ulimit -Hn {needed}' \
         as root (or LimitNOFILE=, or docker's --ulimit nofile={needed}), or ask for fewer (--concurrency, --idle and the like): {} fit",
        hard.saturating_sub(SPARE)
    ))
}
