//! Tests of stopping by SIGTERM and SIGINT.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};

use crate::running::{RunningService, exists, get, read_response, send_request, start, wait_for};

/// The longest that "at once" may take on a busy machine. It is less than the ten seconds of the default `--grace`.
const AT_ONCE: Duration = Duration::from_secs(8);

crate::tests![
    an_idle_service_stops_at_once,
    connections_in_the_backlog_are_served,
    connections_not_finished_within_the_grace_period_are_cut_off,
    a_second_signal_cuts_connections_off_at_once,
    the_model_ignores_a_ctrl_c_and_only_the_supervisor_stops_it,
    the_admin_endpoint_reports_that_the_service_stops,
];

/// Sends a request, and waits until the model serves it.
fn start_request(service: &RunningService, path: &str) -> TcpStream {
    let socket = send_request(service.listen, "GET", path).unwrap();
    wait_for("the connection to be accepted", || service.metric("http_server_active_connections") == Some(1.0));
    socket
}

fn an_idle_service_stops_at_once() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let service = start("plain", &[]);
        assert_eq!(get(service.listen, "/").unwrap().status, 200);
        let (model, listen, begun) = (service.model().unwrap(), service.listen, Instant::now());
        service.signal(signal);
        let (status, stderr) = service.wait_for_exit();
        assert_eq!(status.code(), Some(0), "{stderr}");
        assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(!exists(model));
        assert_eq!(TcpStream::connect(listen).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    }
}

fn connections_in_the_backlog_are_served() {
    let service = start("plain", &[]);
    let first = start_request(&service, "/sleep/3000");
    let queued: Vec<TcpStream> = (0..100).map(|_| send_request(service.listen, "GET", "/").unwrap()).collect();
    service.signal(Signal::SIGTERM);
    assert_eq!(read_response(first).unwrap().status, 200);
    for socket in queued {
        assert_eq!(read_response(socket).unwrap().text, "Hello World\n");
    }
    let (status, stderr) = service.wait_for_exit();
    assert_eq!(status.code(), Some(0), "{stderr}");
}

fn connections_not_finished_within_the_grace_period_are_cut_off() {
    let service = start("plain", &["--grace", "300ms"]);
    let orphan = get(service.listen, "/orphan").unwrap().text.parse().unwrap();
    let hanging = start_request(&service, "/sleep/60000");
    let begun = Instant::now();
    service.signal(Signal::SIGTERM);
    let (status, stderr) = service.wait_for_exit();
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert!(stderr.contains("the grace period is over: 1 connection cut off"), "{stderr}");
    assert!(read_response(hanging).is_err());
    assert!(!exists(nix::unistd::Pid::from_raw(orphan)));
}

fn a_second_signal_cuts_connections_off_at_once() {
    let service = start("plain", &["--grace", "1m"]);
    let _hanging = start_request(&service, "/sleep/60000");
    let begun = Instant::now();
    service.signal(Signal::SIGTERM);
    // Signals are merged while they are pending, and the supervisor takes signals in quick succession for one request.
    // So the signal is sent again and again until the supervisor has exited.
    let mut service = Some(service);
    wait_for("the supervisor to exit", || {
        let running = service.as_ref().unwrap();
        running.signal(Signal::SIGINT);
        std::fs::read_to_string(format!("/proc/{}/stat", running.pid())).is_ok_and(|stat| stat.contains(") Z "))
    });
    let (status, stderr) = service.take().unwrap().wait_for_exit();
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("told to stop again: 1 connection cut off"), "{stderr}");
    assert!(begun.elapsed() < 2 * AT_ONCE, "the grace period is a minute");
}

fn the_model_ignores_a_ctrl_c_and_only_the_supervisor_stops_it() {
    let service = start("plain", &[]);
    let hanging = start_request(&service, "/sleep/3000");
    // A terminal sends the signal to both processes.
    kill(service.model().unwrap(), Signal::SIGINT).unwrap();
    service.signal(Signal::SIGINT);
    assert_eq!(read_response(hanging).unwrap().status, 200);
    assert_eq!(service.wait_for_exit().0.code(), Some(0));
}

fn the_admin_endpoint_reports_that_the_service_stops() {
    let service = start("plain", &[]);
    let hanging = start_request(&service, "/sleep/3000");
    service.signal(Signal::SIGTERM);
    wait_for("the admin endpoint to say so", || get(service.admin, "/healthz").unwrap().status == 503);
    assert_eq!(get(service.admin, "/healthz").unwrap().text, "stopping\n");
    assert_eq!(service.metric("http_server_active_connections"), Some(1.0), "metrics are still served");
    assert_eq!(read_response(hanging).unwrap().status, 200);
    assert_eq!(service.wait_for_exit().0.code(), Some(0));
}
