//! The list of models, from which `models.rs` and `faults/main.rs` make the tests of each model.
//!
//! `house.rs` compares it with the folders in `services/`.

/// Hands the list of models to another macro: `for_each_model!(tests_of)`.
///
/// A model has the name of its folder in `services/`, a kind, and the fault tests that it alone has, each with the
/// function in `faults/` that runs it. The kinds are:
/// - `event_driven`: one thread serves many connections, and no call of it waits for one of them;
/// - `blocking`: each open connection occupies a process or a thread, whose calls wait for the peer.
macro_rules! for_each_model {
    ($tests_of:ident) => {
        $tests_of! {
            async_await: "async-await", event_driven {}
            callback: "callback", event_driven {}
            epoll: "epoll", event_driven {
                two_loops_share_the_connections: share::two_loops_share_the_connections,
                updates_get_lost_when_racy: counter::loses_updates_when_racy,
            }
            event_loop: "event-loop", event_driven {
                without_threads_the_loop_makes_the_calls: shortage::of_helpers,
                a_file_may_wait_for_a_helper_thread: late::a_file_may_wait_for_a_helper_thread,
            }
            framework: "framework", event_driven {}
            linux_aio: "linux-aio", event_driven {
                two_loops_share_the_connections: share::two_loops_share_the_connections,
                where_io_setup_is_forbidden_the_service_says_so: unsupported::io_setup_is_forbidden,
                where_io_setup_has_no_room_the_service_says_so: unsupported::io_setup_has_no_room,
            }
            poll: "poll", event_driven {}
            posix_aio: "posix-aio", event_driven {
                two_loops_share_the_connections: share::two_loops_share_the_connections,
                without_signals_files_are_sent_all_the_same: shortage::of_signals,
            }
            process_per_connection: "process-per-connection", blocking {
                two_thousand_processes_are_served: crowd::two_thousand_processes,
                without_processes_it_pauses_and_recovers: shortage::of_processes,
            }
            process_pool: "process-pool", blocking {}
            select: "select", event_driven {}
            thread_per_connection: "thread-per-connection", blocking {
                two_thousand_threads_are_served: crowd::two_thousand_threads,
                without_threads_it_pauses_and_recovers: shortage::of_processes,
            }
            thread_pool: "thread-pool", blocking {}
            uring: "uring", event_driven {
                updates_get_lost_when_racy: counter::loses_updates_when_racy,
                where_io_uring_is_forbidden_the_service_says_so: unsupported::io_uring_is_forbidden,
                where_io_uring_has_no_memory_the_service_says_so: unsupported::io_uring_has_no_memory,
            }
        }
    };
}
