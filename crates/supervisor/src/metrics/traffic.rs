//! The metrics of what a service does: requests, connections and system calls from the scoreboard, and its state. A guest
//! writes to no scoreboard.

use scoreboard::{BUCKETS, ROUTES, Route, STATUSES, Scoreboard, Syscall};

use super::families::Families;
use crate::status::{ModelProgram, Phase, Program, Status};

const NS_PER_SECOND: f64 = 1e9;

pub(super) fn collect(status: &Status, families: &mut Families) {
    let service = &status.service;
    if let Program::Model(program) = &service.program {
        served(program, service.board, families);
    }
    families.gauge(
        "server_cpus",
        "CPUs that the model, or the guest, may use, by its affinity and the quota of its control group.",
        service.cpus.count as f64,
    );
    let supported = !matches!(status.phase, Phase::Unsupported(_));
    families.gauge(
        "server_supported",
        "1 if this machine permits the I/O model, else 0; 1 for a guest.",
        f64::from(u8::from(supported)),
    );
    families.counter(
        "server_restarts_total",
        "How often the model, or the guest, was started again after a crash.",
        status.restarts as f64,
    );
    families
        .gauges("server_info", "1; the labels are the version of the service and of the kernel.")
        .add(&[("version", env!("CARGO_PKG_VERSION")), ("kernel", &service.kernel)], 1.0);
}

/// What the model has written to the scoreboard.
fn served(program: &ModelProgram, board: Scoreboard, families: &mut Families) {
    let totals = board.totals();

    let mut requests = families.counters("http_server_requests_total", "Replies sent completely, by route and status.");
    for (route, (kind, label)) in ROUTES.iter().enumerate() {
        for (slot, &status) in STATUSES.iter().enumerate() {
            let count = totals.requests[route][slot];
            // One series exists from the start, so that a rate over it has a first value.
            if count > 0 || (*kind, status) == (Route::Root, 200) {
                let status = if status == 0 { "other".to_owned() } else { status.to_string() };
                requests.add(&[("route", label), ("status", &status)], count as f64);
            }
        }
    }

    let bounds = BUCKETS.map(|ns| ns as f64 / NS_PER_SECOND);
    let mut durations = families.histograms(
        "http_server_request_duration_seconds",
        "Time from the bytes that completed a request to the last byte of its reply.",
    );
    for (route, (kind, label)) in ROUTES.iter().enumerate() {
        let counts = &totals.durations[route];
        if *kind == Route::Root || counts.iter().any(|&count| count > 0) {
            let sum = totals.duration_ns[route] as f64 / NS_PER_SECOND;
            durations.add_histogram(&[("route", label)], &bounds, counts, sum);
        }
    }

    families.gauge("http_server_active_connections", "Connections open now.", totals.active as f64);
    families.gauge(
        "http_server_max_connections",
        "The most connections that may be open; at this limit, accepting pauses.",
        program.settings.max_connections as f64,
    );
    families.counter(
        "http_server_accepted_connections_total",
        "Connections accepted since the start.",
        totals.accepted as f64,
    );
    families.counter(
        "http_server_accept_paused_total",
        "How often accepting had to pause: at the connection limit, or because descriptors or processes ran out.",
        totals.accept_paused as f64,
    );
    families.gauge(
        "http_server_queue_depth",
        "Connections that are accepted and wait for a worker or a permit.",
        totals.queued as f64,
    );

    let mut calls = families.counters("server_syscalls_total", "System calls that the service's own code has made.");
    for ((_, label), count) in Syscall::ALL.iter().zip(totals.syscalls) {
        if count > 0 {
            calls.add(&[("call", label)], count as f64);
        }
    }
    let mut times =
        families.counters("server_syscall_seconds_total", "The time in these calls, for the calls that are timed.");
    for ((_, label), ns) in Syscall::ALL.iter().zip(totals.syscall_ns) {
        if ns > 0 {
            times.add(&[("call", label)], ns as f64 / NS_PER_SECOND);
        }
    }

    let mut facts = families.gauges("server_facts", "1; the labels are facts that the model states about itself.");
    for (fact, value) in board.facts() {
        facts.add(&[("fact", &fact), ("value", &value)], 1.0);
    }
}
