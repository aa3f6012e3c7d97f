//! Raises the limits of this process, and checks that the connections of a run fit in.

use nix::sys::resource::{Resource, getrlimit};
use process_tree::raise_open_file_limit;
use results::units::plural;

/// Descriptors that are needed besides the connections: epoll, files, metrics.
pub const SPARE: u64 = 64;
/// Bytes that a connection takes on this machine: its socket in the kernel, and what the generator knows of it.
pub const CONNECTION: u64 = 4096;

/// Raises the limit of open files as far as possible, and checks that `connections` fit in, and into the free memory.
///
/// # Errors
/// One line that says how to raise the limit, or how many connections fit.
pub fn make_room(connections: usize) -> Result<(), String> {
    let _ = raise_open_file_limit();
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((u64::MAX, u64::MAX));
    has_room(connections as u64, soft, hard, crate::machine::available_memory())
}

/// `soft` and `hard` are the limits of open files, `memory` is the number of free bytes, if it is known.
fn has_room(connections: u64, soft: u64, hard: u64, memory: Option<u64>) -> Result<(), String> {
    let needed = connections.saturating_add(SPARE);
    let fewer = "ask for fewer (--concurrency, --idle and the like)";
    if let Some(memory) = memory.filter(|&memory| connections.saturating_mul(CONNECTION) > memory) {
        let fit = (memory / CONNECTION).min(hard.saturating_sub(SPARE));
        return Err(format!(
            "{connections} connections need more than the {memory} bytes of memory that are free here: {fewer}: {fit} fit"
        ));
    }
    if needed > soft {
        return Err(format!(
            "{} need {needed} open files, and the limit is {hard}: raise it with 'ulimit -Hn {needed}' \
             as root (or LimitNOFILE=, or docker's --ulimit nofile={needed}), or {fewer}: {} fit",
            plural(connections as usize, "connection"),
            hard.saturating_sub(SPARE)
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_have_to_fit_into_memory_and_open_files() {
        assert_eq!(has_room(1000, 1064, 1064, Some(4_096_000)), Ok(()));
        assert_eq!(has_room(1000, 1064, 1064, None), Ok(()));
        let why = |connections, memory| has_room(connections, 1064, 2064, Some(memory)).unwrap_err();
        assert!(why(1001, 5_000_000).contains("need 1065 open files, and the limit is 2064: raise it with"));
        assert!(why(1001, 4_096_000).contains("of memory that are free here"));
        assert!(why(1001, 4_096_000).ends_with(": 1000 fit"));
        assert!(why(u64::MAX, u64::MAX / 2).ends_with(": 2000 fit"));
    }
}
