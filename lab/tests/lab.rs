//! Tests of the lab as a user runs it.

mod common;
#[path = "common/processes.rs"]
mod processes;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::{LIFETIME, lab, output, text};
use lab::MODELS;
use nix::sys::signal::{SigHandler, Signal, kill, signal};
use nix::unistd::Pid;
use processes::{children, ends, folder, interrupt};
use test_lifetime::limit_lifetime;

/// Measures every model with this duration. Returns the results, and what it has printed.
fn measured(duration: &str) -> (serde_json::Value, Output) {
    let out = folder(&format!("measures-{duration}"));
    let arguments = ["-d", duration, "-c", "4", "--trials", "1", "--workload", "/,POST /nod"];
    let times = ["--requests-per-connection", "unlimited,1", "--timeout", "5m", "--connect-timeout", "5m"];
    let run = output(&[&arguments[..], &times, &["--out", out.to_str().expect("UTF-8")]].concat());
    let results = fs::read(out.join("results.json")).expect("results.json");
    (serde_json::from_slice(&results).expect("JSON"), run)
}

#[test]
fn every_model_is_measured_and_the_results_are_saved() {
    let is_measured = |cell: &serde_json::Value| {
        let cost = cell["server"]["cpu_us_per_request"]["median"].as_f64();
        cell["verdict"] == "unsupported" || (cell["ok"].as_u64() > Some(0) && cost > Some(0.0))
    };
    // On a machine with much else to do, a model may get no CPU within a short time. Then all have more time.
    for duration in ["300ms", "2s", "5s"] {
        let (results, run) = measured(duration);
        let cells = results["cells"].as_array().expect("cells");
        assert_eq!(cells.len(), MODELS.len() * 2 * 2);
        let table = text(&run.stdout);
        assert!(MODELS.iter().all(|model| table.contains(model.name)), "{table}");
        if cells.iter().all(is_measured) {
            for cell in cells {
                assert_ne!(cell["verdict"], "errors", "{} {}: {}", cell["target"], cell["workload"], cell["reasons"]);
            }
            assert!(run.status.success(), "{table}\n{}", text(&run.stderr));
            return;
        }
        assert_ne!(duration, "5s", "a model answered nothing, or its cost is missing:\n{table}");
    }
}

#[test]
fn a_run_goes_on_when_the_program_is_replaced() {
    let here = folder("replaced");
    fs::create_dir(&here).expect("a folder");
    let program = here.join("lab");
    // cp(1) copies it: a child that another test forks just then would have a copy of our own open for writing (ETXTBSY).
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_lab")).arg(&program).status().expect("cp runs");
    assert!(copied.success(), "{copied}");
    let mut command = Command::new(&program);
    command.args(["--models", "epoll", "-c", "1", "--workload", "/", "-d", "700ms", "--trials", "4", "--json", "json"]);
    command.args(["--requests-per-connection", "1", "--timeout", "5m", "--connect-timeout", "5m"]);
    command.current_dir(&here).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    limit_lifetime(&mut command, LIFETIME);
    let mut run = command.spawn().expect("the lab runs");
    let mut progress = BufReader::new(run.stderr.take().expect("piped")).lines().map_while(Result::ok);
    assert!(progress.any(|line| line.starts_with("block 1 of ")), "it ended before its first trial");
    // As a compiler does it: the old file is removed, and a new one written.
    fs::remove_file(&program).expect("removed");
    fs::write(&program, "not a program").expect("written");
    let rest: Vec<String> = progress.collect();
    assert!(run.wait().expect("it ends").success(), "{rest:?}");
    let results: serde_json::Value =
        serde_json::from_slice(&fs::read(here.join("json")).expect("results")).expect("JSON");
    assert_eq!(results["cells"][0]["trials"].as_array().map(Vec::len), Some(4), "{}", results["cells"][0]["reasons"]);
}

#[test]
fn each_run_has_a_folder_in_results_unless_out_names_another() {
    let here = folder("results-folder");
    fs::create_dir(&here).expect("a folder");
    let run = |more: &[&str]| {
        let load = "/ -c 1 --requests-per-connection 1";
        let run = lab(&["--models", "epoll", "--load", load, "-d", "700ms", "--trials", "1"])
            .args(more)
            .current_dir(&here)
            .output()
            .expect("the lab runs");
        assert!(run.status.success(), "{}", text(&run.stderr));
        text(&run.stderr)
    };
    assert!(!run(&["--out", "out"]).contains("results/"));
    assert!(here.join("out/results.json").exists() && !here.join("results").exists());
    let messages = run(&[]);
    let named = |line| str::strip_prefix(line, "results: ")?.split_once(" (");
    let (saved, _) = messages.lines().find_map(named).expect("the file is named");
    assert!(saved.starts_with("results/") && here.join(saved).exists(), "{messages}");
    let shown = lab(&["show"]).current_dir(&here).output().expect("the lab runs");
    assert!(text(&shown.stderr).contains(saved) && text(&shown.stdout).contains("epoll"), "{}", text(&shown.stderr));
    run(&["--results", "others"]);
    assert_eq!(fs::read_dir(here.join("others")).expect("the folder").count(), 1);
}

#[test]
fn a_workload_that_no_model_has_exits_with_2() {
    let run = output(&["--models", "epoll", "--workload", "/file/64k", "--out", "/dev/shm/lab-workload"]);
    let why = text(&run.stderr);
    assert_eq!(run.status.code(), Some(2), "{why}");
    assert!(why.contains("no model has the workload /file/64k; the models serve /, /files/64k"), "{why}");
}

#[test]
fn ctrl_c_stops_everything_and_what_was_measured_is_reported() {
    let (out, temporary) = (folder("ctrl-c"), folder("ctrl-c-tmp"));
    fs::create_dir(&temporary).expect("a folder");
    let mut run = lab(&["--models", "epoll", "-c", "2", "--workload", "/", "-d", "200ms", "--trials", "1000"])
        .args(["--requests-per-connection", "unlimited", "--out", out.to_str().expect("UTF-8")])
        .env("TMPDIR", &temporary)
        .spawn()
        .expect("the lab runs");
    // When the third block has begun, there are results to report, and there is a service to stop.
    let mut progress = BufReader::new(run.stderr.take().expect("piped")).lines();
    let number = |line: String| line.strip_prefix("block ")?.split_once(" of ")?.0.parse::<u32>().ok();
    let mut numbers = progress.by_ref().map_while(Result::ok).filter_map(number);
    assert!(numbers.any(|number| number >= 3), "it ended before its third block");
    let services = children(run.id());
    interrupt(&run);
    let rest: Vec<String> = progress.map_while(Result::ok).collect();
    let ended = run.wait_with_output().expect("it ends");
    assert_eq!(ended.status.code(), Some(130), "{rest:?}");
    assert!(text(&ended.stdout).contains("epoll"), "{rest:?}");
    let results = fs::read_to_string(out.join("results.json")).expect("results.json");
    assert!(results.contains("\"interrupted\": true"));
    assert!(services.into_iter().all(ends));
    // The default files stay, for the next run; the store is removed.
    let left: Vec<_> =
        fs::read_dir(&temporary).expect("a folder").map(|entry| entry.expect("one").file_name()).collect();
    assert_eq!(left, [format!("io-models-{}", nix::unistd::geteuid()).as_str()]);
}

/// Waits until the lab has a service, and returns its services.
fn first_services(lab: &Child) -> Vec<u32> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let services = children(lab.id());
        if !services.is_empty() {
            return services;
        }
        assert!(Instant::now() < deadline, "the lab started no service");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_signal_while_the_models_are_checked_stops_everything() {
    for sent in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let temporary = folder(&format!("checks-{sent}"));
        fs::create_dir(&temporary).expect("a folder");
        let args = ["-c", "1", "--workload", "/", "-d", "60s", "--json", "/dev/null", "--results"];
        let mut run = lab(&args);
        // SAFETY: signal(2) is one system call, which is safe between fork and exec.
        unsafe {
            run.pre_exec(|| {
                signal(Signal::SIGHUP, SigHandler::SigDfl)?; // it is ignored if the tests run under nohup(1)
                Ok(())
            })
        };
        let run = run.arg(temporary.join("results")).env("TMPDIR", &temporary).spawn().expect("the lab runs");
        let services = first_services(&run);
        kill(Pid::from_raw(run.id() as i32), sent).expect("the lab is still there");
        let ended = run.wait_with_output().expect("it ends");
        assert_eq!(ended.status.code(), Some(130), "{sent}: {}", text(&ended.stderr));
        assert!(services.into_iter().all(ends));
        let is_store = |name: &str| name.starts_with("io-models-store");
        let left = fs::read_dir(&temporary).expect("a folder").flatten();
        assert!(left.into_iter().all(|entry| !is_store(&entry.file_name().to_string_lossy())), "{sent}");
    }
}

#[test]
fn a_signal_before_anything_has_begun_ends_the_lab_as_later_ones_do() {
    let temporary = folder("begins");
    fs::create_dir(&temporary).expect("a folder");
    let pipe = temporary.join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    let mut run = lab(&["--workload", "POST /nod", "--body-file"]).arg(&pipe).spawn().expect("the lab runs");
    let deadline = Instant::now() + Duration::from_secs(60);
    let writer = loop {
        // This fails as long as the pipe has no reader. fifo(7)
        match fs::OpenOptions::new().write(true).custom_flags(nix::libc::O_NONBLOCK).open(&pipe) {
            Ok(writer) => break writer,
            Err(why) => assert!(Instant::now() < deadline, "the lab does not read its flags: {why}"),
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    interrupt(&run); // the lab waits for the end of the body
    assert_eq!(run.wait().expect("it ends").code(), Some(130));
    drop(writer);
}

/// Starts `lab serve` with epoll on free ports.
fn serve() -> Command {
    lab(&["serve", "--models", "epoll", "--port", "0", "--admin-port", "0"])
}

#[test]
fn serve_starts_the_models_and_stops_them() {
    let mut serve = serve().spawn().expect("runs");
    let mut lines = BufReader::new(serve.stdout.take().expect("piped")).lines().map_while(Result::ok);
    let started = lines.next().expect("a line for the model");
    assert!(lines.any(|line| line.contains("Ctrl-C")));
    let address = started.split("http://").nth(1).and_then(|rest| rest.split(' ').next()).expect("an address");
    let mut client = TcpStream::connect(address).expect("it listens");
    client.set_read_timeout(Some(Duration::from_secs(60))).expect("a time-out");
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").expect("written");
    let mut response = String::new();
    client.read_to_string(&mut response).expect("a response");
    assert!(response.ends_with("Hello World\n"), "{response}");
    let services = children(serve.id());
    assert!(!services.is_empty());
    interrupt(&serve);
    assert_eq!(serve.wait().expect("it ends").code(), Some(0));
    assert!(services.into_iter().all(ends));
}

#[test]
fn serve_passes_on_what_its_services_say() {
    let mut serve = serve().spawn().expect("runs");
    let mut errors = BufReader::new(serve.stderr.take().expect("piped")).lines().map_while(Result::ok);
    let mut lines = BufReader::new(serve.stdout.take().expect("piped")).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("Ctrl-C")));
    let service = first_services(&serve)[0];
    let model = children(service)[0];
    kill(Pid::from_raw(model as i32), Signal::SIGKILL).expect("the model is still there");
    assert_eq!(errors.next().as_deref(), Some("epoll: the model's process was killed by SIGKILL; it is restarted now"));
    // A service that ends takes the lab with it, which says so after the service's last line.
    kill(Pid::from_raw(service as i32), Signal::SIGTERM).expect("the service is still there");
    let rest: Vec<String> = errors.collect();
    assert_eq!(serve.wait().expect("it ends").code(), Some(1), "{rest:?}");
    // Its exit status depends on whether there was a new model already.
    assert!(rest.last().is_some_and(|line| line.starts_with("lab: epoll has ended (exit status: ")), "{rest:?}");
}

#[test]
fn serve_does_not_need_anybody_to_read_its_output() {
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
    let (reader, closed) = std::io::pipe().expect("a pipe");
    drop(reader);
    for stdout in [Stdio::from(full()), closed.into()] {
        let serve = serve().stdout(stdout).spawn().expect("runs");
        let services = first_services(&serve);
        interrupt(&serve);
        let ended = serve.wait_with_output().expect("it ends");
        assert_eq!(ended.status.code(), Some(0), "{}", text(&ended.stderr));
        assert!(services.into_iter().all(ends));
    }
    let serve = serve().stdout(full()).stderr(full()).spawn().expect("runs");
    first_services(&serve);
    interrupt(&serve);
    assert_eq!(serve.wait_with_output().expect("it ends").status.code(), Some(0));
}

#[test]
fn a_run_writes_its_files_when_nobody_reads_its_output() {
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
    let (reader, closed) = std::io::pipe().expect("a pipe");
    drop(reader);
    // A reader that has gone away wants no table; one that could not be written is missing.
    for (stdout, code) in [(Stdio::from(closed), 0), (full().into(), 2)] {
        let out = folder("unread");
        let mut run = lab(&["--models", "epoll", "-c", "1", "--workload", "/", "-d", "700ms", "--timeout", "5m"]);
        run.args(["--requests-per-connection", "1", "--trials", "1", "--out"]).arg(&out).stdout(stdout).stderr(full());
        assert_eq!(run.status().expect("the lab runs").code(), Some(code));
        assert!(fs::metadata(out.join("results.json")).expect("results.json").len() > 0);
    }
}

#[test]
fn a_service_that_does_not_stop_is_killed_and_named() {
    let mut serve = serve().spawn().expect("runs");
    let mut lines = BufReader::new(serve.stdout.take().expect("piped")).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("Ctrl-C")));
    let service = first_services(&serve)[0];
    let model = children(service)[0];
    kill(Pid::from_raw(service as i32), Signal::SIGSTOP).expect("the service is still there");
    interrupt(&serve);
    let ended = serve.wait_with_output().expect("it ends");
    let errors = text(&ended.stderr);
    assert!(errors.contains("lab: epoll did not stop within 20 s, and is killed"), "{errors}");
    assert!(errors.ends_with("lab: epoll has ended (signal: 9 (SIGKILL))\n"), "{errors}");
    assert!(ends(service) && ends(model));
}

#[test]
fn the_services_end_when_the_lab_is_killed() {
    let mut run = lab(&["--models", "process-pool", "-c", "1", "--workload", "/", "-d", "60s", "--json", "/dev/null"]);
    let mut run = run
        .args(["--requests-per-connection", "unlimited", "--out"])
        .arg(std::env::temp_dir().join("lab-killed"))
        .spawn()
        .expect("the lab runs");
    let mut progress = BufReader::new(run.stderr.take().expect("piped")).lines().map_while(Result::ok);
    assert!(progress.any(|line| line.starts_with("block 1 of ")), "it ended before its first trial");
    let mut processes = first_services(&run);
    // A trial has begun, so there are also the model's process and its workers.
    let deadline = Instant::now() + Duration::from_secs(60);
    while processes.len() < 3 {
        assert!(Instant::now() < deadline, "there are no workers");
        processes = first_services(&run);
        let models: Vec<u32> = processes.iter().copied().flat_map(children).collect();
        processes.extend(models.iter().copied().flat_map(children));
        processes.extend(models);
    }
    run.kill().expect("killed");
    run.wait().expect("it has ended");
    assert!(processes.into_iter().all(ends));
}

#[test]
fn wrong_usage_is_one_line_that_says_what_to_do() {
    for (args, expected) in [
        (&["--models", "apache"][..], "there are process-per-connection, "),
        (&["--workload", "nonsense"], "is no path"),
        (&["-c", "0"], "--concurrency must be at least 1"),
        (&["--out", "/proc/nowhere"], "name a place that you may write to"),
        (&["--files", "/nowhere", "-d", "1s"], "/nowhere"),
        (&["--target", "a=http://127.0.0.1:80"], "--models and --guests choose them"),
        (&["http://127.0.0.1:80"], "--models and --guests choose them"),
        (&["epoll"], "choose models with --models epoll"),
        (&["serve", "poll"], "choose models with --models poll"),
        (&["--aa"], "'lab aa' does that"),
        (&["compare", "a", "b"], "lab: a: No such file"),
        (&["--load", "/ -c 64 --idel 10"], "--load '/ -c 64 --idel 10': unexpected argument '--idel'"),
        (&["--load", "/", "--idle", "10"], "cannot be used with '--idle"),
        (&["--budget", "500ms"], "--budget 500ms: the longest trial and the end of the run take"),
        (&["--workload", "/", "--precision", "5%"], "as in --budget 5m"),
        (&["--port", "80"], "'lab serve --port' chooses ports"),
    ] {
        let run = output(args);
        assert_eq!(run.status.code(), Some(2), "{args:?}");
        assert!(text(&run.stderr).contains(expected), "{args:?}: {}", text(&run.stderr));
    }
}

#[test]
fn help_shows_the_models_and_the_defaults() {
    let help = text(&output(&["--help"]).stdout);
    for part in ["process-per-connection, ", ", epoll", "--load '/ -R 500 --idle 1000'", "lab serve", "Exit codes"] {
        assert!(help.contains(part), "{help}");
    }
}
