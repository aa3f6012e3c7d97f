//! Faults that every model must survive: signals, crashes, exhausted resources, hostile peers, very many connections.
//!
//! Each model runs as a whole service, a process tree of its own. No test relies on a fixed pause: it watches from
//! outside (answers, /metrics, /proc) until the expected thing has happened, and fails after
//! [`PATIENCE`](service::PATIENCE).

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
mod refused;
mod reset;
mod service;
mod share;
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

/// The tests of every model: those that all models pass, those of its kind, and those that it alone has.
macro_rules! faults_of_models {
    ($($module:ident: $model:literal, $kind:ident { $($own:tt)* })*) => {
        $(mod $module {
            use crate::*;

            tests! { $model:
                sigterm_under_load_loses_nothing: stop::under_load_loses_nothing,
                a_request_sent_before_sigterm_is_answered: stop::answers_requests_sent_before_it,
                a_request_that_idle_connections_bring_before_sigterm_is_answered: stop::looks_once_more_at_idle_connections,
                connections_in_the_backlog_are_served_after_sigterm: stop::serves_the_backlog,
                sigterm_ends_an_idle_server_at_once: stop::ends_an_idle_server_at_once,
                a_killed_model_is_restarted_at_once_and_no_connection_is_refused: crash::is_restarted_at_once,
                ten_thousand_connections_leave_nothing_behind: leak::nothing_is_left_behind,
                above_the_limit_connections_wait_for_a_permit: limit::connections_wait_for_a_permit,
                a_reset_frees_the_place_of_a_sleeping_request: reset::frees_the_place_of_a_sleeping_request,
                a_sleeping_request_takes_no_second_descriptor: reset::takes_no_second_descriptor,
                the_end_of_a_stream_ends_no_sleep: reset::not_by_the_end_of_the_stream,
                the_limit_is_never_exceeded: limit::is_never_exceeded,
                without_descriptors_it_pauses_and_recovers: shortage::of_descriptors,
                a_head_that_trickles_in_is_cut_off: hostile::a_head_that_trickles_in,
                a_peer_that_does_not_read_is_cut_off: hostile::a_peer_that_does_not_read,
                a_flood_of_pipelined_requests_does_not_delay_another_connection: hostile::a_flood_of_pipelined_requests,
                heads_and_bodies_without_end_are_refused: hostile::heads_and_bodies_without_end,
                peers_that_do_not_read_do_not_delay_another_connection: hostile::many_peers_that_do_not_read,
                files_reach_slow_readers_unchanged: hostile::files_reach_slow_readers_unchanged,
                sixty_four_clients_count_exactly: counter::is_exact,
                a_nod_is_saved_exactly_once: nod::is_saved_exactly_once,
                no_acknowledged_nod_is_lost_to_kill_9: nod::survives_kills,
                a_temporary_store_goes_with_the_service: nod::a_temporary_store_goes_with_the_service,
                a_locked_store_does_not_delay_other_requests: nod::a_lock_does_not_delay_other_requests,
                a_long_callback_times_out_no_other_connection: late::a_long_callback_times_out_no_other_connection,
                a_stopped_process_times_out_no_connection: late::a_stopped_process_times_out_no_connection,
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
            no_update_gets_lost_on_one_thread: counter::loses_none_on_one_thread,
        }
    };
    (blocking $model:literal) => {
        tests! { $model: updates_get_lost_when_racy: counter::loses_updates_when_racy, }
    };
}

for_each_model!(faults_of_models);
