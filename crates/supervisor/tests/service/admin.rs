//! Tests of the admin endpoint.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::TcpStream;

use nix::sys::signal::Signal;

use crate::running::{TIMEOUT, command, get, metric, read_response, send_request, start, wait_for};

crate::tests![
    a_service_starts_and_serves_in_one_thread,
    metrics_have_names_types_and_right_values,
    info_shows_the_flags,
    facts_of_the_model_are_shown_and_outlive_its_process,
    unknown_pages_are_answered_404_and_other_methods_405,
    a_healthcheck_succeeds_while_the_service_runs,
    a_service_whose_model_is_unsupported_stays_up_and_gives_the_reason,
    a_model_whose_second_loop_lacks_memory_is_unsupported_after_a_few_tries,
    slow_scrapers_do_not_block_the_endpoint,
];

fn a_service_starts_and_serves_in_one_thread() {
    let service = start("plain", &[]);
    let response = get(service.listen, "/").unwrap();
    assert_eq!((response.status, response.text.as_str()), (200, "Hello World\n"));
    let health = get(service.admin, "/healthz").unwrap();
    assert_eq!((health.status, health.text.as_str()), (200, "ok\n"));
    let threads = std::fs::read_dir(format!("/proc/{}/task", service.pid())).unwrap().count();
    assert_eq!(threads, 1, "the supervisor has one thread, so it may fork at any time");
    assert!(health.head.contains("\r\nDate: ") && health.head.contains(" GMT\r\n"), "{}", health.head);
}

fn metrics_have_names_types_and_right_values() {
    let service = start("plain", &["--max-connections", "77"]);
    let none = service.metric(r#"http_server_requests_total{route="/",status="200"}"#);
    assert_eq!(none, Some(0.0), "the series exists before the first request");
    for _ in 0..3 {
        get(service.listen, "/").unwrap();
    }
    // The service counts a reply after the client has received it.
    wait_for("the third reply to be counted", || {
        service.metric(r#"http_server_requests_total{route="/",status="200"}"#) == Some(3.0)
    });
    wait_for("the last connection to be closed", || service.metric("http_server_active_connections") == Some(0.0));
    let page = get(service.admin, "/metrics").unwrap();
    assert!(page.head.contains("Content-Type: text/plain; version=0.0.4"), "{}", page.head);
    let page = page.text;
    let value = |series| metric(&page, series).unwrap_or_else(|| panic!("no {series} in\n{page}"));
    assert_eq!(value("http_server_accepted_connections_total"), 3.0);
    assert_eq!(value("http_server_max_connections"), 77.0);
    assert_eq!(value("http_server_active_connections"), 0.0);
    assert_eq!(value(r#"http_server_request_duration_seconds_bucket{route="/",le="+Inf"}"#), 3.0);
    assert_eq!(value(r#"http_server_request_duration_seconds_bucket{route="/",le="10"}"#), 3.0);
    assert_eq!(value(r#"http_server_request_duration_seconds_bucket{route="/",le="0.000001"}"#), 0.0);
    assert_eq!(value(r#"http_server_request_duration_seconds_count{route="/"}"#), 3.0);
    assert!(value(r#"http_server_request_duration_seconds_sum{route="/"}"#) > 0.0);
    assert_eq!(value("server_supported"), 1.0);
    assert_eq!(value("server_cpus"), std::thread::available_parallelism().unwrap().get() as f64);
    assert_eq!(value("server_restarts_total"), 0.0);
    assert_eq!((value("process_tree_processes"), value("process_tree_threads")), (1.0, 1.0));
    assert!(value("process_tree_cpu_seconds_total") > 0.0);
    assert!(value("process_tree_memory_bytes") > 4096.0);
    assert!(value("process_tree_memory_peak_bytes") > 4096.0);
    assert!(value("process_tree_open_fds") >= 5.0);
    assert!(value(r#"process_tree_context_switches_total{kind="voluntary"}"#) > 0.0);
    assert!(value(r#"process_tree_page_faults_total{kind="minor"}"#) > 0.0);
    assert!(value("process_tree_sample_seconds") > 0.0);
    assert!(page.contains("\nprocess_tree_source{of=\"memory\",source=\""), "{page}");
    assert!(page.contains("\nserver_info{version=\""), "{page}");
    let mut seen = HashSet::new();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok_and(|value| value >= 0.0), "{line}");
        assert!(seen.insert(series), "the series is there twice: {series}");
        let name = series.split('{').next().unwrap().trim_end_matches("_bucket");
        let name = name.trim_end_matches("_sum").trim_end_matches("_count");
        assert!(page.contains(&format!("# HELP {name} ")) && page.contains(&format!("# TYPE {name} ")), "{name}");
    }
}

fn info_shows_the_flags() {
    let flags =
        ["--threads", "3", "--max-connections", "99", "--head-timeout", "1500ms", "--max-body", "2m", "--grace", "9s"];
    let service = start("plain", &flags);
    let info = service.info();
    assert_eq!(info["name"], "plain");
    assert_eq!(info["supervisor_pid"], service.pid().as_raw());
    assert_ne!(info["model_pid"], info["supervisor_pid"]);
    assert_eq!(info["listen"], service.listen.to_string());
    assert_eq!(info["admin"], service.admin.to_string());
    assert_eq!((&info["threads"], &info["max_connections"]), (&3.into(), &99.into()));
    assert_eq!(info["max_connections_set_by"], "--max-connections");
    assert_eq!(info["limits"]["head_seconds"], 1.5);
    assert_eq!(info["limits"]["body_bytes"], 2 << 20);
    let given = ["threads", "max-connections", "head-timeout", "max-body"].map(|flag| info["given"][flag].as_str());
    assert_eq!(given, ["3", "99", "1500ms", "2m"].map(Some));
    assert_eq!(info["given"].as_object().unwrap().len(), 4, "only what changes figures: {}", info["given"]);
    assert_eq!(info["boot_id"].as_str().map(str::len), Some(36));
    assert_eq!(info["unsupported"], serde_json::Value::Null);
    assert!(info["files"].as_str().is_some_and(|files| files.starts_with('/')));
    assert!(info["memory_source"].is_string() && info["cpu_source"].is_string());
}

fn facts_of_the_model_are_shown_and_outlive_its_process() {
    let service = start("plain", &[]);
    assert_eq!(service.info()["model"], serde_json::json!({}));
    assert_eq!(service.metric(r#"server_syscall_seconds_total{call="read"}"#), None);
    get(service.listen, "/take/2500").unwrap();
    assert_eq!(service.metric(r#"server_syscall_seconds_total{call="read"}"#), Some(0.0025));
    get(service.listen, "/state/file_system/ext4").unwrap();
    let fact = |value| service.metric(&format!(r#"server_facts{{fact="file_system",value="{value}"}}"#));
    assert_eq!((fact("ext4"), fact("xfs")), (Some(1.0), None));
    service.kill_model();
    assert_eq!(service.info()["model"], serde_json::json!({ "file_system": "ext4" }));
    get(service.listen, "/state/file_system/xfs").unwrap(); // the next model process states it
    assert_eq!((fact("ext4"), fact("xfs")), (None, Some(1.0)));
    assert_eq!(service.info()["model"], serde_json::json!({ "file_system": "xfs" }));
}

fn unknown_pages_are_answered_404_and_other_methods_405() {
    let service = start("plain", &[]);
    let index = get(service.admin, "/").unwrap();
    assert_eq!(index.status, 200);
    for page in ["/metrics", "/info", "/account", "/healthz"] {
        assert!(index.text.contains(&format!("href=\"{page}\"")), "{page}");
    }
    assert_eq!(get(service.admin, "/nothing").unwrap().status, 404);
    let post = read_response(send_request(service.admin, "POST", "/metrics").unwrap()).unwrap();
    assert_eq!(post.status, 405);
    assert!(post.head.contains("Allow: GET, HEAD"), "{}", post.head);
    let head = read_response(send_request(service.admin, "HEAD", "/metrics").unwrap()).unwrap();
    assert_eq!((head.status, head.text.as_str()), (200, ""));
}

fn a_healthcheck_succeeds_while_the_service_runs() {
    let service = start("plain", &[]);
    let port = service.admin.port();
    let check = |admin: &str| command("plain", &["healthcheck", "--admin", admin]).output().unwrap().status.code();
    assert_eq!(check(&format!("127.0.0.1:{port}")), Some(0));
    assert_eq!(check(&format!("0.0.0.0:{port}")), Some(0));
    drop(service);
    assert_eq!(check(&format!("127.0.0.1:{port}")), Some(1));
}

fn a_service_whose_model_is_unsupported_stays_up_and_gives_the_reason() {
    let service = start("unsupported", &[]);
    wait_for("the reason", || service.info()["unsupported"] == "not permitted here");
    assert_eq!(get(service.admin, "/healthz").unwrap().status, 200);
    assert_eq!(service.metric("server_supported"), Some(0.0));
    assert_eq!(service.metric("server_restarts_total"), Some(0.0));
    assert_eq!(service.metric("process_tree_processes"), None, "there is no model process to measure");
    let refused = TcpStream::connect(service.listen).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    service.signal(Signal::SIGTERM);
    let (status, stderr) = service.wait_for_exit();
    assert_eq!(status.code(), Some(0));
    assert_eq!(stderr, "unsupported: not supported on this machine: not permitted here\n");
}

fn a_model_whose_second_loop_lacks_memory_is_unsupported_after_a_few_tries() {
    let service = start("short", &[]);
    wait_for("the reason", || service.info()["unsupported"] == "no memory for another loop");
    assert_eq!(get(service.admin, "/healthz").unwrap().status, 200);
    assert!(service.metric("server_restarts_total") > Some(1.0), "it may pass by itself");
    service.signal(Signal::SIGTERM);
    let (status, stderr) = service.wait_for_exit();
    assert_eq!(status.code(), Some(0));
    assert_eq!(stderr, "short: not supported on this machine: no memory for another loop\n");
}

fn slow_scrapers_do_not_block_the_endpoint() {
    let service = start("plain", &[]);
    let mut slow = Vec::new();
    for _ in 0..200 {
        let mut socket = TcpStream::connect(service.admin).unwrap();
        socket.write_all(b"GET /metrics HTT").unwrap();
        slow.push(socket);
    }
    // A client that sends requests and never reads the responses.
    let mut never_reads = TcpStream::connect(service.admin).unwrap();
    never_reads.set_nonblocking(true).unwrap();
    let requests = b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1000);
    wait_for("the endpoint to read no more requests", || never_reads.write(&requests).is_err());
    assert_eq!(get(service.admin, "/healthz").unwrap().status, 200);
    service.kill_model();
    assert_eq!(get(service.listen, "/").unwrap().status, 200);
    // The oldest connections were closed to make room for others.
    let mut first = slow.swap_remove(0);
    first.set_read_timeout(Some(TIMEOUT)).unwrap();
    assert!(matches!(first.read(&mut [0; 9]), Ok(0) | Err(_)));
}
