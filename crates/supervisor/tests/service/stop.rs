//! SIGTERM and SIGINT.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};

use crate::running::{Service, ask, get, is_there, read_answer, start, wait_for};

/// What it may take on a machine that is busy: far less than the grace of ten seconds.
const AT_ONCE: Duration = Duration::from_secs(8);

crate::tests![
    an_idle_service_stops_at_once,
    who_waits_in_the_queue_is_served,
    what_is_not_finished_within_the_grace_is_cut,
    a_second_signal_cuts_at_once,
    a_ctrl_c_leaves_the_decision_to_the_supervisor,
    it_says_that_it_stops,
];

/// A request that the model is busy with.
fn busy(service: &Service, path: &str) -> TcpStream {
    let socket = ask(service.listen, "GET", path).unwrap();
    wait_for("the request", || service.metric("http_server_active_connections") == Some(1.0));
    socket
}

fn an_idle_service_stops_at_once() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let service = start("plain", &[]);
        assert_eq!(get(service.listen, "/").unwrap().status, 200);
        let (model, listen, begun) = (service.model().unwrap(), service.listen, Instant::now());
        service.signal(signal);
        let (status, said) = service.ended();
        assert_eq!(status.code(), Some(0), "{said}");
        assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(!is_there(model));
        assert_eq!(TcpStream::connect(listen).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    }
}

fn who_waits_in_the_queue_is_served() {
    let service = start("plain", &[]);
    let first = busy(&service, "/sleep/3000");
    let queued: Vec<TcpStream> = (0..100).map(|_| ask(service.listen, "GET", "/").unwrap()).collect();
    service.signal(Signal::SIGTERM);
    assert_eq!(read_answer(first).unwrap().status, 200);
    for socket in queued {
        assert_eq!(read_answer(socket).unwrap().text, "Hello World\n");
    }
    let (status, said) = service.ended();
    assert_eq!(status.code(), Some(0), "{said}");
}

fn what_is_not_finished_within_the_grace_is_cut() {
    let service = start("plain", &["--grace", "300ms"]);
    let orphan = get(service.listen, "/orphan").unwrap().text.parse().unwrap();
    let hanging = busy(&service, "/sleep/60000");
    let begun = Instant::now();
    service.signal(Signal::SIGTERM);
    let (status, said) = service.ended();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert!(said.contains("the grace is over: 1 connection cut"), "{said}");
    assert!(read_answer(hanging).is_err());
    assert!(!is_there(nix::unistd::Pid::from_raw(orphan)));
}

fn a_second_signal_cuts_at_once() {
    let service = start("plain", &["--grace", "1m"]);
    let _hanging = busy(&service, "/sleep/60000");
    let begun = Instant::now();
    service.signal(Signal::SIGTERM);
    // Signals that are pending count once, and what comes at the same moment is one wish: so, until it has understood.
    let mut service = Some(service);
    wait_for("its end", || {
        let running = service.as_ref().unwrap();
        running.signal(Signal::SIGINT);
        std::fs::read_to_string(format!("/proc/{}/stat", running.pid())).is_ok_and(|stat| stat.contains(") Z "))
    });
    let (status, said) = service.take().unwrap().ended();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("told to stop again: 1 connection cut"), "{said}");
    assert!(begun.elapsed() < 2 * AT_ONCE, "the grace is a minute");
}

fn a_ctrl_c_leaves_the_decision_to_the_supervisor() {
    let service = start("plain", &[]);
    let hanging = busy(&service, "/sleep/3000");
    // A terminal sends it to both.
    kill(service.model().unwrap(), Signal::SIGINT).unwrap();
    service.signal(Signal::SIGINT);
    assert_eq!(read_answer(hanging).unwrap().status, 200);
    assert_eq!(service.ended().0.code(), Some(0));
}

fn it_says_that_it_stops() {
    let service = start("plain", &[]);
    let hanging = busy(&service, "/sleep/3000");
    service.signal(Signal::SIGTERM);
    wait_for("the admin endpoint to say so", || get(service.admin, "/healthz").unwrap().status == 503);
    assert_eq!(get(service.admin, "/healthz").unwrap().text, "stopping\n");
    assert_eq!(service.metric("http_server_active_connections"), Some(1.0), "metrics go on meanwhile");
    assert_eq!(read_answer(hanging).unwrap().status, 200);
    assert_eq!(service.ended().0.code(), Some(0));
}
