//! What models have alike, since it is not what they are compared for.

use std::time::Duration;

/// Bytes of the one read buffer that all connections of a loop share.
pub const BUFFER: usize = 64 << 10;
/// Reads and writes of one connection before the others have their turn.
pub const TURN: usize = 16;
/// How long accepting rests when the machine has no descriptor or memory left, or the limit is reached.
pub const REST: Duration = Duration::from_millis(50);
/// Threads for the calls that block, as many as libuv starts (its documentation, "Thread pool work scheduling").
pub const HELPER_THREADS: usize = 4;
/// Bytes of a thread's stack. What it calls needs a third of that; what it does not touch costs no memory.
pub const STACK: usize = 256 << 10;
