//! The list of all I/O models in the lab.

use supervisor::Model;

/// All models, in the order of the lecture: blocking, readiness, completion.
pub const MODELS: &[Model] = &[
    process_per_connection::MODEL,
    process_pool::MODEL,
    thread_per_connection::MODEL,
    thread_pool::MODEL,
    select::MODEL,
    poll::MODEL,
    epoll::MODEL,
    posix_aio::MODEL,
    linux_aio::MODEL,
    uring::MODEL,
    callback::MODEL,
    event_loop::MODEL,
    async_await::MODEL,
    framework::MODEL,
];
