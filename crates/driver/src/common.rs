//! Numbers that are the same in every model, because the models are not compared for them.

use std::time::Duration;

/// Bytes of the one read buffer that all connections of a loop share.
pub const READ_BUFFER: usize = 64 << 10;
/// Reads and writes that a loop makes for one connection before the other connections have their turn.
pub const MAX_STEPS: usize = 16;
/// How long a model stops accepting when the machine has no descriptor or memory left, or the limit is reached.
pub const BACK_OFF: Duration = Duration::from_millis(50);
/// Threads for the calls that block, as many as libuv starts (its documentation, "Thread pool work scheduling").
pub const HELPER_THREADS: usize = 4;
/// Bytes of a thread's stack. What a worker calls needs a third of that; pages that it does not touch cost no memory.
pub const THREAD_STACK: usize = 256 << 10;
