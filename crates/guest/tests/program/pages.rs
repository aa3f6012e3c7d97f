//! The admin endpoint of a guest: /healthz, /info, /metrics, /account.

use nix::sys::signal::{Signal, kill};

use crate::running::{HYPER, command, get, output, start, start_command, wait_for};

#[test]
fn a_guest_is_healthy_once_it_listens() {
    let guest = start(&["--guest", HYPER]);
    guest.wait_until_healthy();
    assert_eq!(get(guest.listen, "/").unwrap(), (200, "Hello World\n".into()));
    let admin = guest.admin.to_string();
    let asked = output(&["healthcheck", "--admin", &admin]);
    assert!(asked.status.success() && asked.stderr.is_empty());
    assert_eq!(guest.stop().code, Some(0));
    let asked = output(&["healthcheck", "--admin", &admin]);
    assert_eq!(asked.status.code(), Some(1));
    let line = String::from_utf8(asked.stderr).unwrap();
    assert!(line.starts_with("healthcheck: http://") && line.contains("refused"), "{line}");
}

#[test]
fn a_guest_that_never_listens_is_never_healthy_and_stops() {
    let guest = start(&["--guest", "silent=sleep 600 # {port}"]);
    guest.wait_for_guests(1);
    assert_eq!(guest.page("/healthz"), (503, "starting\n".into()));
    let ended = guest.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.starts_with("silent: stopping, with 10s to finish"), "{}", ended.stderr);
}

#[test]
fn a_guest_on_all_addresses_is_asked_by_loopback() {
    let guest = start(&["--guest", HYPER, "--listen", "0.0.0.0:0"]);
    guest.wait_until_healthy();
    assert_eq!(guest.stop().code, Some(0));
}

#[test]
fn a_guest_that_is_restarted_is_not_healthy_meanwhile() {
    let guest = start(&["--guest", "crashing=sh -c 'exit 3' {port}"]);
    wait_for("a delay", || guest.page("/healthz") == (503, "restarting\n".into()));
    wait_for("restarts", || guest.metric("server_restarts_total").is_some_and(|restarts| restarts >= 2.0));
    let ended = guest.stop();
    assert!(ended.stderr.contains("crashing: the guest's process exited with code 3; it is restarted now\n"));
    assert!(ended.stderr.contains("it is restarted in 100ms\n"), "{}", ended.stderr);
}

#[test]
fn info_says_what_the_guest_is_and_which_flags_change_its_figures() {
    let log = format!("{}/info.log", env!("CARGO_TARGET_TMPDIR"));
    let guest = start(&["hyper", "--threads", "3", "--grace", "5s", "--once", "--log", &log]);
    let info = guest.info();
    assert_eq!(info["name"], "hyper");
    assert_eq!(info["guest"]["command"], "{self} hyper {listen} {files} {threads}");
    assert_eq!(info["guest"]["version"], guest_hyper::VERSION);
    assert_eq!(info["given"], serde_json::json!({ "threads": "3" }));
    assert!(info.get("model").is_none() && info.get("limits").is_none(), "{info}");
    assert_eq!(info["listen"], guest.listen.to_string());
    assert_eq!(guest.wait_for_guests(1), [guest.main().unwrap()]);
    assert_eq!(guest.stop().code, Some(0));
}

#[test]
fn metrics_have_what_the_guest_costs_and_nothing_that_only_a_model_counts() {
    let guest = start(&["--guest", HYPER]);
    guest.wait_until_healthy();
    let (status, text) = guest.page("/metrics");
    assert_eq!(status, 200);
    for family in ["http_server_", "server_syscall", "server_facts"] {
        assert!(!text.contains(family), "{text}");
    }
    for (series, value) in [("server_supported", 1.0), ("server_restarts_total", 0.0), ("process_tree_processes", 1.0)]
    {
        assert_eq!(guest.metric(series), Some(value), "{text}");
    }
    for series in ["server_cpus ", "server_info{", "process_tree_cpu_seconds_total ", "process_tree_memory_bytes "] {
        assert!(text.lines().any(|line| line.starts_with(series)), "{series} is missing: {text}");
    }
    assert_eq!(guest.stop().code, Some(0));
}

#[test]
fn a_crashed_guest_is_restarted_and_its_counters_go_on() {
    let guest = start(&["--guest", HYPER]);
    guest.wait_until_healthy();
    let (first, before) = (guest.main().unwrap(), guest.account());
    assert!(before.served.is_none(), "a guest counts for itself");
    kill(first, Signal::SIGKILL).unwrap();
    wait_for("another process", || guest.main().is_some_and(|pid| pid != first));
    guest.wait_until_healthy();
    assert_eq!(guest.metric("server_restarts_total"), Some(1.0));
    assert_eq!(guest.info()["restarts"], 1);
    let after = guest.account();
    assert!(before.cpu_ns > 0 && after.cpu_ns > before.cpu_ns, "{} then {}", before.cpu_ns, after.cpu_ns);
    let ended = guest.stop();
    assert_eq!(ended.code, Some(0));
    assert!(ended.stderr.contains("tiny: the guest's process was killed by SIGKILL; it is restarted now\n"));
}

#[test]
fn the_variables_of_the_service_are_not_the_guests() {
    let (mut command, traces) = command(&["--guest", "env=sh -c 'env; exec sleep 600' {port}"]);
    command.env("THREADS", "2").env("GRACE", "7s").env("CPUS", "0").env("OTHER", "stays");
    let log = format!("{}/variables-{}.log", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    command.args(["--log", &log]);
    let guest = start_command(command, traces);
    wait_for("the variables", || std::fs::read_to_string(&log).is_ok_and(|text| text.contains("OTHER=stays\n")));
    wait_for("the last line", || guest.wait_for_guests(1).iter().all(|pid| comm(*pid) == "sleep"));
    let text = std::fs::read_to_string(&log).unwrap();
    for name in ["LISTEN", "ADMIN", "FILES", "CPUS", "THREADS", "GRACE"] {
        assert!(!text.lines().any(|line| line.starts_with(&format!("{name}="))), "{text}");
    }
    assert_eq!(guest.info()["given"], serde_json::json!({ "threads": "2" }));
    assert_eq!(guest.stop().code, Some(0));
    std::fs::remove_file(log).unwrap();
}

fn comm(pid: nix::unistd::Pid) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}

#[test]
fn the_folder_of_the_only_guest_in_a_file_has_an_absolute_path() {
    for tmpdir in [".", ""] {
        let (mut command, traces) = command(&[]);
        let file = format!("{}/only-{}.toml", env!("CARGO_TARGET_TMPDIR"), std::process::id());
        std::fs::write(&file, "[only]\ncommand = \"sh -c 'echo $0; exec sleep 600' {folder} {port}\"\n").unwrap();
        let log = format!("{file}.log");
        command.args(["--guests-file", &file, "--log", &log]).env("TMPDIR", tmpdir).current_dir(&traces.folder);
        let beneath = if tmpdir.is_empty() { "/tmp".into() } else { traces.folder.clone() };
        let guest = start_command(command, traces);
        wait_for("the folder", || std::fs::read_to_string(&log).is_ok_and(|text| text.ends_with('\n')));
        let folder = std::path::PathBuf::from(std::fs::read_to_string(&log).unwrap().trim_end());
        assert_eq!(folder.parent(), Some(&*beneath), "TMPDIR={tmpdir}");
        assert!(folder.is_dir());
        assert_eq!(guest.stop().code, Some(0));
        assert!(!folder.exists());
        [file, log].iter().for_each(|path| std::fs::remove_file(path).unwrap());
    }
}

#[test]
fn guests_that_do_not_listen_yet_have_different_ports() {
    let guests = [(); 3].map(|()| start(&["--guest", "silent=sleep 600 # {port}"]));
    let mut ports = guests.each_ref().map(|guest| guest.listen.port());
    ports.sort();
    assert!(ports[0] < ports[1] && ports[1] < ports[2], "{ports:?}");
    guests.into_iter().for_each(|guest| assert_eq!(guest.stop().code, Some(0)));
}
