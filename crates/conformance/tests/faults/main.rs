//! What goes wrong in a server's life, done to every model: signals, crashes, shortage, hostile peers, crowds.
//!
//! Each model runs as a whole service, a process tree of its own. Nothing here waits and hopes: what is to happen is
//! watched from outside (answers, /metrics, /proc) until it has happened, or [`PATIENCE`](service::PATIENCE) is over.

#[macro_use]
#[path = "../common/models.rs"]
mod list;

mod client;
mod counter;
mod crash;
mod crowd;
mod hostile;
mod late;
mod leak;
mod limit;
mod nod;
mod proc;
mod service;
mod shortage;
mod stop;
mod unsupported;

/// The tests of one model.
macro_rules! tests {
    ($model:literal: $($name:ident: $run:path),* $(,)?) => {
        $(#[test]
        fn $name() {
            $run($model);
        })*
    };
}

/// The tests that every model passes, those that are of its kind, and those that only it has.
macro_rules! faults_of_models {
    ($($module:ident: $model:literal, $kind:ident { $($own:tt)* })*) => {
        $(mod $module {
            use crate::*;

            tests! { $model:
                sigterm_under_load_loses_nothing: stop::under_load_loses_nothing,
                sigterm_answers_what_came_before_it: stop::answers_what_came_before_it,
                sigterm_serves_who_waits_in_the_queue: stop::serves_who_waits_in_the_queue,
                sigterm_ends_an_idle_server_at_once: stop::ends_an_idle_server_at_once,
                a_killed_model_is_back_at_once_and_nobody_is_refused: crash::is_back_at_once_and_nobody_is_refused,
                ten_thousand_connections_leave_nothing_behind: leak::nothing_is_left_behind,
                at_the_limit_connections_wait_their_turn: limit::connections_wait_their_turn,
                the_limit_is_never_exceeded: limit::is_never_exceeded,
                without_descriptors_it_pauses_and_recovers: shortage::of_descriptors,
                a_head_that_trickles_in_is_cut_off: hostile::a_head_that_trickles_in,
                a_peer_that_does_not_read_is_cut_off: hostile::a_peer_that_does_not_read,
                a_flood_of_pipelined_requests_delays_nobody: hostile::a_flood_of_pipelined_requests,
                heads_and_bodies_without_end_are_refused: hostile::heads_and_bodies_without_end,
                a_crowd_of_deaf_peers_holds_up_nobody: hostile::a_crowd_of_deaf_peers,
                files_reach_slow_readers_whole: hostile::files_reach_slow_readers_whole,
                sixty_four_clients_count_exactly: counter::is_exact,
                a_nod_is_saved_exactly_once: nod::is_saved_exactly_once,
                no_acknowledged_nod_is_lost_to_kill_9: nod::survives_kills,
                a_temporary_store_goes_with_the_service: nod::a_temporary_store_goes_with_the_service,
                a_locked_store_keeps_nobody_waiting: nod::a_lock_keeps_nobody_waiting,
                nobody_is_called_late_after_a_long_callback: late::nobody_is_called_late_after_a_long_callback,
                nobody_is_called_late_after_a_stop: late::nobody_is_called_late_after_a_stop,
            }
            kind! { $kind $model }
            tests! { $model: $($own)* }
        })*
    };
}

/// The tests of a kind of model.
macro_rules! kind {
    (event_driven $model:literal) => {
        tests! { $model:
            ten_thousand_connections_are_served: crowd::ten_thousand_connections,
            none_gets_lost_on_one_thread: counter::loses_none_on_one_thread,
        }
    };
    (blocking $model:literal) => {
        tests! { $model: updates_get_lost_when_racy: counter::loses_updates_when_racy, }
    };
}

for_each_model!(faults_of_models);
