//! Tests of remote write: the program against a working, a failing and a hanging server, and against a real Prometheus.

mod common;

use common::{LIFETIME, program};
use loadtest::scrape;
use loadtest::target::Url;
use results::{OutcomeClass, Results};
use serde_json::Value;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// A temporary folder that is removed after the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("loadtest-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A server that sends `answer` for everything that it reads. With `close`, it closes the connection after the first
/// answer.
fn server(answer: &'static str, close: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serve = move |mut stream: TcpStream| {
        let mut buffer = [0; 64 * 1024];
        while matches!(stream.read(&mut buffer), Ok(1..)) {
            if stream.write_all(answer.as_bytes()).is_err() || close {
                return;
            }
        }
    };
    thread::spawn(move || listener.incoming().flatten().for_each(|stream| drop(thread::spawn(move || serve(stream)))));
    address
}

fn target() -> String {
    format!("x=http://{}", server("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", false))
}

fn loadtest(arguments: &[&str]) -> Output {
    program().args(arguments).output().unwrap()
}

/// Makes a short quiet run that writes to `url`, and returns its standard error.
#[track_caller]
fn messages(url: &str) -> String {
    let began = Instant::now();
    let output =
        loadtest(&["--target", &target(), "-d", "1s", "-c", "2", "--quiet", "--remote-write", url, "--trials", "2"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(began.elapsed() < Duration::from_secs(20), "it waited for its Prometheus");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn an_unreachable_prometheus_is_reported_in_one_line() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let messages = messages(&url);
    assert_eq!(messages.lines().count(), 1, "{messages}");
    assert!(messages.contains(&format!("{url}/api/v1/write: ")), "{messages}");
    assert!(messages.contains("samples were lost (") && messages.contains("refused"), "{messages}");
}

#[test]
fn a_refusal_is_quoted() {
    let refusing = server("HTTP/1.1 404 No\r\nContent-Length: 19\r\n\r\n404 page not found\n", true);
    let messages = messages(&format!("http://{refusing}/nowhere"));
    assert!(messages.contains("samples were refused (status 404: 404 page not found)"), "{messages}");
}

#[test]
fn a_prometheus_that_hangs_delays_only_the_end() {
    // The kernel accepts the connection, but no answer ever comes.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let messages = messages(&format!("http://{}", listener.local_addr().unwrap()));
    assert!(messages.contains("were lost (no complete answer in time)"), "{messages}");
}

#[test]
fn a_missing_last_sample_is_reported() {
    let messages = messages(&format!("http://{}", server("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", true)));
    assert!(messages.contains("samples, but the last one is missing there"), "{messages}");
}

#[test]
fn a_wrong_url_is_wrong_usage() {
    let output = loadtest(&["--target", "x=http://127.0.0.1:1", "--remote-write", "prometheus:9090"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("http://host:port"));
}

/// A real Prometheus without any data.
struct Prometheus {
    child: Child,
    url: Url,
    _folder: Folder,
}

impl Prometheus {
    /// Starts the program that `PROMETHEUS_BIN` names, or else `prometheus` on the path; `None` if there is none.
    fn start(flags: &[&str]) -> Option<Prometheus> {
        let named = std::env::var_os("PROMETHEUS_BIN");
        let program = named.clone().unwrap_or_else(|| OsString::from("prometheus"));
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let folder = Folder::new(&format!("prometheus-{}", STARTED.fetch_add(1, Ordering::Relaxed)));
        let config = folder.0.join("prometheus.yml");
        fs::write(&config, "global: {}\n").unwrap();
        let started = Command::new(&program)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.0.join("data").display()))
            .args(["--web.listen-address=127.0.0.1:0", "--web.enable-remote-write-receiver"])
            .args(flags)
            .stderr(Stdio::piped())
            .spawn();
        let mut child = match (started, named) {
            (Ok(child), _) => child,
            (Err(error), Some(named)) => panic!("PROMETHEUS_BIN={}: {error}", named.display()),
            (Err(_), None) => return None,
        };
        let log = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let (sender, listening) = mpsc::channel();
        // The log is read to its end, or Prometheus would block on a full pipe.
        thread::spawn(move || {
            log.filter(|line| line.contains("Listening on")).for_each(|line| drop(sender.send(line)));
        });
        // An alarm would not end it: a Go program ignores SIGALRM.
        let Ok(line) = listening.recv_timeout(LIFETIME) else {
            let _ = child.kill();
            panic!("Prometheus does not listen");
        };
        let address = line.split("address=").nth(1).unwrap().trim().trim_matches('"');
        let url: Url = format!("http://{address}").parse().unwrap();
        let ready = || scrape::get(&url.with_path("/-/ready"), Duration::from_secs(5)).is_ok_and(|got| got.0 == 200);
        let until = Instant::now() + Duration::from_secs(60);
        while !ready() {
            assert!(Instant::now() < until, "Prometheus is not ready after a minute");
            thread::sleep(Duration::from_millis(50));
        }
        Some(Prometheus { child, url, _folder: folder })
    }

    /// Whether its version is 3.8 or a later one, which keeps native histograms without a flag.
    fn keeps_histograms(&self) -> bool {
        let (_, body) = scrape::get(&self.url.with_path("/api/v1/status/buildinfo"), Duration::from_secs(20)).unwrap();
        let said: Value = serde_json::from_slice(&body).unwrap();
        let version = said["data"]["version"].as_str().unwrap();
        let mut numbers = version.split('.').map(|number| number.parse::<u64>().unwrap_or_default());
        numbers.next().zip(numbers.next()) >= Some((3, 8))
    }

    /// The result of an instant query, now or at a time in seconds.
    fn query(&self, query: &str, time: Option<f64>) -> Vec<Value> {
        let hex = |byte: u8| format!("%{byte:02X}");
        let time = time.map(|time| format!("&time={time:.3}")).unwrap_or_default();
        let path = format!("/api/v1/query?query={}{time}", query.bytes().map(hex).collect::<String>());
        let (status, body) = scrape::get(&self.url.with_path(&path), Duration::from_secs(20)).unwrap();
        assert_eq!(status, 200, "{query}: {}", String::from_utf8_lossy(&body));
        serde_json::from_slice::<Value>(&body).unwrap()["data"]["result"].as_array().unwrap().clone()
    }

    /// The value of a query with a single result.
    #[track_caller]
    fn value(&self, query: &str) -> f64 {
        let found = self.query(query, None);
        assert_eq!(found.len(), 1, "{query}: {found:?}");
        found[0]["value"][1].as_str().unwrap().parse().unwrap()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The dashboards show what the results have: figures, verdicts, bounds and reasons.
#[track_caller]
fn dashboards_show(prometheus: &Prometheus, results: &Path) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../grafana/check-results");
    match Command::new("python3").arg(script).arg(prometheus.url.to_string()).arg(results).output() {
        Ok(output) => assert!(output.status.success(), "{output:?}"),
        Err(error) => println!("skipped: no python3 for grafana/check-results: {error}"),
    }
}

#[test]
fn a_prometheus_without_histograms_gets_the_rest() {
    let Some(prometheus) = Prometheus::start(&[]) else {
        println!("skipped: no prometheus on the path, and no PROMETHEUS_BIN");
        return;
    };
    if prometheus.keeps_histograms() {
        println!("skipped: this Prometheus keeps histograms without being asked for it");
        return;
    }
    let url = prometheus.url.to_string();
    let folder = Folder::new("without-histograms");
    let json = folder.0.join("results.json");
    let mut run = program();
    run.args(["--target", &target(), "-d", "1s", "-c", "2", "--trials", "2", "--remote-write", &url, "--json"]);
    let output = run.arg(&json).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let messages = String::from_utf8(output.stderr).unwrap();
    let last = messages.lines().last().unwrap();
    assert!(last.contains(" samples, without histograms (status "), "{last}");
    assert_eq!(prometheus.value("loadtest_run_trials"), 2.0);
    assert_eq!(prometheus.query("loadtest_run_request_duration_seconds", None), Vec::<Value>::new());
    dashboards_show(&prometheus, &json);
}

#[test]
fn a_real_prometheus_has_what_the_results_have() {
    let Some(prometheus) = Prometheus::start(&["--enable-feature=native-histograms"]) else {
        println!("skipped: no prometheus on the path, and no PROMETHEUS_BIN");
        return;
    };
    let folder = Folder::new("remote-write");
    let json = folder.0.join("results.json");
    let output = loadtest(&[
        "--target",
        &target(),
        "--target-pid",
        &format!("x={}", std::process::id()),
        "--workload",
        "/,POST /counter",
        "-c",
        "4",
        "-d",
        "1500ms",
        "--trials",
        "2",
        "--json",
        json.to_str().unwrap(),
        "--remote-write",
        &prometheus.url.to_string(),
    ]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let results: Results = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    let run = &results.run_id;
    // The series of a trial that other programs have disturbed go on, from zero, when it is made again.
    let made_again = results.cells.iter().flat_map(|cell| &cell.reasons).any(|reason| reason.starts_with("made again"));

    // Prometheus has each figure of each cell as in the results.
    assert_eq!(results.cells.len(), 2);
    for cell in &results.cells {
        let (workload, concurrency) = (&cell.key.load.workload, cell.key.load.concurrency);
        let which = format!(
            "run_id=\"{run}\",target=\"x\",workload=\"{workload}\",concurrency=\"{concurrency}\",schedule=\"closed\",requests_per_connection=\"unlimited\""
        );
        let figure = |name: &str, more: &str| prometheus.value(&format!("loadtest_run_{name}{{{which}{more}}}"));
        // A busy machine may leave a cell without a figure; then there is no series of it.
        let has = |name: &str, more: &str, expected: Option<results::Figure>, base: f64| match expected {
            Some(expected) => {
                let value = figure(name, more);
                assert!((value / (expected.median * base) - 1.0).abs() < 1e-8, "{name}{more}: {value}, {expected:?}");
            }
            None => {
                let query = format!("loadtest_run_{name}{{{which}{more}}}");
                assert_eq!(prometheus.query(&query, None), Vec::<Value>::new(), "{query}");
            }
        };
        assert_eq!(figure("requests", ""), cell.outcomes.total() as f64);
        assert_eq!(figure("ok_requests", ""), cell.outcomes[OutcomeClass::Ok] as f64);
        assert_eq!(figure("aborted_requests", ""), cell.outcomes[OutcomeClass::AbortedAtEnd] as f64);
        assert_eq!(figure("trials", ""), 2.0);
        assert_eq!(figure("throughput", ""), cell.figures.throughput.unwrap().median);
        for (quantile, times) in [
            ("0.5", cell.figures.latency_us.p50),
            ("0.99", cell.figures.latency_us.p99),
            ("1", cell.figures.latency_us.max),
        ] {
            has("latency_seconds", &format!(",quantile=\"{quantile}\""), times, 1e-6);
        }
        has("cpu_seconds_per_request", "", cell.figures.server.cpu_us_per_request, 1e-6);
        has("peak_memory_bytes", "", cell.figures.server.peak_memory_bytes, 1.0);
        has("processes", "", cell.figures.server.processes, 1.0);
        let verdict = figure("verdict", &format!(",verdict=\"{}\"", cell.verdict.name()));
        assert_eq!(verdict == 0.0, cell.verdict.name() == "valid");

        // Its histogram gives the percentiles, to the width of a bucket, over all trials: where they are those of one trial, it does
        // so only about.
        let of_all = |q: f64| format!("histogram_quantile({q}, loadtest_run_request_duration_seconds{{{which}}})");
        let latencies = cell.trials.iter().map(|trial| trial.latency_histogram.as_str());
        let latencies = results::histogram::pooled(latencies).unwrap();
        // Which of two neighbours a percentile is depends on rounding.
        let at = |q: f64| latencies.value_at_quantile(q) as f64 / 1e9;
        for q in [0.5, 0.9, 0.99] {
            let (next, theirs) = (1.0 / latencies.len() as f64, prometheus.value(&of_all(q)));
            let (least, most) = (at(q - next) * 0.97, at(q + next) * 1.03);
            assert!((least..=most).contains(&theirs), "{q}: {theirs} instead of {least} to {most}");
        }
        let count = format!("histogram_count(loadtest_run_request_duration_seconds{{{which}}})");
        assert_eq!(prometheus.value(&count), latencies.len() as f64);

        // The live series of each trial end with exactly the counts of the results, and have a sample each second.
        for (number, trial) in cell.trials.iter().enumerate() {
            let live = format!("{which},trial=\"{}\"", number + 1);
            let last = format!("last_over_time(loadtest_requests_total{{{live}}}[10m])");
            assert_eq!(prometheus.value(&last), trial.outcomes.total() as f64);
            let count = format!("count_over_time(loadtest_requests_total{{{live}}}[10m])");
            let samples = prometheus.value(&count);
            assert!(samples >= 3.0 && (samples <= 4.0 || made_again), "1.5 s have samples at 0, 1 and 1.5");
        }
    }

    // Prometheus has all that was sent: the samples, and a stale marker for each series that ended.
    let messages = String::from_utf8(output.stderr).unwrap();
    let last = messages.lines().last().unwrap();
    let sent: f64 = last.strip_suffix(" samples").unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    let live = "__name__=~\"loadtest_(requests_total|errors_total|connections|latency_seconds|request_duration_seconds|running)\"";
    let series = prometheus.query(&format!("{{run_id=\"{run}\"}}[10m]"), None);
    let length = |of: &Value| of.as_array().map_or(0, Vec::len);
    let samples: usize = series.iter().map(|series| length(&series["values"]) + length(&series["histograms"])).sum();
    let ended = prometheus.value(&format!("count(last_over_time({{{live},run_id=\"{run}\"}}[10m]))"));
    let markers = sent - samples as f64;
    assert!(markers == ended || made_again && markers > ended, "{last}");

    // The live series end at once, not after the five minutes for which Prometheus looks back; the results stay.
    assert_eq!(prometheus.query(&format!("{{{live}}}"), None), Vec::<Value>::new());
    assert_eq!(prometheus.query("loadtest_run_verdict", None).len(), 2);
    // They end a millisecond after their last sample.
    let series = prometheus.query("loadtest_requests_total[10m]", None);
    assert_eq!(series.len(), 4);
    for series in series {
        let end = series["values"].as_array().unwrap().last().unwrap()[0].as_f64().unwrap();
        let labels = ["workload", "concurrency", "trial"].map(|name| format!("{name}={}", series["metric"][name]));
        let query = format!("loadtest_requests_total{{{}}}", labels.join(","));
        assert_eq!(prometheus.query(&query, Some(end)).len(), 1, "{query} at {end}");
        assert_eq!(prometheus.query(&query, Some(end + 0.001)).len(), 0, "{query} after {end}");
    }
    dashboards_show(&prometheus, &json);
    // The last sample of the run says that it is over.
    assert_eq!(prometheus.value(&format!("last_over_time(loadtest_running{{run_id=\"{run}\"}}[10m])")), 0.0);
}
