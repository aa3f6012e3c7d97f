//! Tests of the cost figures with a target whose pages are scripted.

mod common;

use common::{OK, SingleTarget, request, run, server};
use cpu_list::CpuList;
use loadtest::cost::CostSource;
use loadtest::fleet::{Endpoint, Fleet, NotReady};
use nix::time::{ClockId, clock_gettime};
use results::{Cell, Load, Plan, Trial};
use std::fs::read_to_string;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

const MIB: f64 = 1024.0 * 1024.0;

/// A target, and the address of its pages.
struct TargetWithPages(SocketAddr, SocketAddr);

impl Fleet for TargetWithPages {
    fn ready(&mut self, target: &str, load: &results::Load) -> Result<Endpoint, NotReady> {
        let cost = CostSource::Metrics(format!("http://{}/metrics", self.1).parse().unwrap());
        Ok(Endpoint { cost, cpus: Some(1), ..SingleTarget(self.0).ready(target, load)? })
    }
}

/// One connection in a closed loop, for 700 ms.
fn plan() -> Plan {
    Plan {
        targets: vec!["x".into()],
        loads: vec![Load { concurrency: 1, ..Load::default() }],
        duration: Duration::from_millis(700),
        warmup: Duration::from_millis(100),
        ..Plan::default()
    }
}

/// Loads a target that answers `/account` with what `account` makes of its count of replies, or with 404. Each reading of
/// `/metrics` finds one mebibyte and one thread more than the one before.
fn measured(account: impl Fn(u64) -> Option<String> + Send + 'static) -> Cell {
    let replies = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&replies);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let pages = listener.local_addr().unwrap();
    thread::spawn(move || {
        let mut scrapes = 0_u64;
        for stream in listener.incoming().flatten() {
            let is_metrics = request(&stream).unwrap_or_default().starts_with("GET /metrics ");
            scrapes += u64::from(is_metrics);
            let count = counted.load(Relaxed);
            let metrics = || {
                format!(
                    "process_tree_cpu_seconds_total {}\nprocess_tree_memory_bytes {}\nprocess_tree_threads {scrapes}\n\
                     process_tree_page_faults_total{{kind=\"minor\"}} {}\nhttp_server_requests_total {count}\n",
                    count as f64 * 2e-6,
                    scrapes << 20,
                    count * 3
                )
            };
            // The count is that of the account's moment if it is still the same afterwards.
            let same_moment = || loop {
                let count = counted.load(Relaxed);
                let text = account(count);
                if counted.load(Relaxed) == count {
                    break text;
                }
            };
            let text = if is_metrics { Some(metrics()) } else { same_moment() };
            let (status, text) = text.map_or(("404 Not Found", String::new()), |text| ("200 OK", text));
            let _ = write!(&stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{text}", text.len());
        }
    });
    let address = server(move |stream, _| {
        while request(&stream).is_some() && (&stream).write_all(OK).is_ok() {
            replies.fetch_add(1, Relaxed);
        }
    });
    run(&plan(), &mut TargetWithPages(address, pages)).cells.remove(0)
}

/// An account of this moment, with this much CPU time, of a service that runs on CPU 0.
fn account(monotonic_ns: u64, cpu_ns: u64, replies: u64, boot_id: &str) -> Option<String> {
    Some(format!(
        "{{\"monotonic_ns\":{monotonic_ns},\"cpu_ns\":{cpu_ns},\"supervisor_cpu_ns\":0,\"replies_before\":{replies},\
         \"replies_after\":{replies},\"syscalls\":{},\"throttled_ns\":null,\"cpu_source\":\"a test\",\"cpus\":[0],\
         \"boot_id\":\"{boot_id}\"}}",
        2 * replies
    ))
}

/// The account of a guest at this moment of CLOCK_MONOTONIC, which does not count its replies.
fn account_of_guest(cpu_ns: u64, boot_id: &str, cpu_source: &str) -> String {
    let now = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap());
    format!(
        "{{\"monotonic_ns\":{},\"cpu_ns\":{cpu_ns},\"supervisor_cpu_ns\":0,\"throttled_ns\":null,\"cpu_source\":\"{cpu_source}\",\
         \"cpus\":[0],\"boot_id\":\"{boot_id}\"}}",
        now.as_nanos()
    )
}

/// Nanoseconds since then.
fn nanos(since: Instant) -> u64 {
    since.elapsed().as_nanos() as u64
}

fn boot_id() -> String {
    read_to_string("/proc/sys/kernel/random/boot_id").unwrap().trim().to_owned()
}

/// The trial's figure of this name, as a whole number of thousandths.
fn thousandths(figure: Option<f64>) -> Option<i64> {
    figure.map(|figure| (figure * 1e3).round() as i64)
}

/// How many readings of `/metrics` there were up to the one whose levels are told, which is the fourth of a trial: the first is
/// before the load, the second in the warm-up, and the last three are after the window. A trial that other programs disturbed
/// was repeated, and each had five.
fn readings_until_the_median(trial: &Trial) -> f64 {
    let readings = trial.figures.server.threads.expect("levels are known");
    assert_eq!(readings % 5.0, 4.0);
    readings
}

#[test]
fn cpu_is_from_the_account_and_levels_are_from_the_metrics_under_load() {
    let (since, boot) = (Instant::now(), boot_id());
    let cell = measured(move |replies| account(nanos(since), replies * 2_000, replies, &boot));
    let Trial { figures, sources, missing, .. } = &cell.trials[0];
    let server = &figures.server;
    assert_eq!(thousandths(server.cpu_us_per_request), Some(2_000), "{missing:?}");
    assert_eq!(thousandths(server.syscalls_per_request), Some(2_000));
    assert_eq!(thousandths(server.minor_faults_per_request), Some(3_000), "of the metrics' own replies");
    assert!(server.cpus_used.unwrap() > 0.0);
    let readings = readings_until_the_median(&cell.trials[0]);
    assert_eq!((server.memory_bytes, server.peak_memory_bytes), (Some(readings * MIB), Some((readings + 1.0) * MIB)));
    assert_eq!(server.user_memory_bytes_per_connection, Some(3.0 * MIB));
    assert_eq!(missing["server.kernel_memory_bytes"], "told only from 1000 connections on");
    assert_eq!(missing["server.processes"], "not among the target's metrics");
    assert_eq!(missing["machine.server_throttled"], "the target does not tell it");
    assert_eq!(sources["server.cpu_us_per_request"], "the service's account (a test)");
    assert!(figures.machine.steal.is_some(), "{missing:?}");
}

#[test]
fn a_service_without_an_account_is_measured_by_its_metrics() {
    let cell = measured(|_| None);
    let Trial { figures, sources, missing, .. } = &cell.trials[0];
    assert_eq!(thousandths(figures.server.cpu_us_per_request), Some(2_000), "{missing:?}");
    assert!(sources["server.cpu_us_per_request"].starts_with("the target's metrics, and its own count of replies"));
    assert_eq!(missing["machine.foreign_on_server_cpus"], "the target does not say whether it runs on this machine");
}

/// The target counts, too, and has used 2 µs for each reply: so the figure with the load generator's count is held against the
/// figure with the target's own.
#[test]
fn a_guest_is_charged_for_the_answers_that_the_load_generator_has_received() {
    let boot = boot_id();
    let cell = measured(move |replies| Some(account_of_guest(replies * 2_000, &boot, "a test")));
    let Trial { figures, sources, missing, .. } = &cell.trials[0];
    // At each end of the window the count is known to 1 %, or there is no figure; and a request is on its way. On a busy machine
    // the first reading comes late, so a part of the window's requests is before it.
    let uncertain = 0.02 + 20.0 / cell.outcomes.total() as f64;
    match figures.server.cpu_us_per_request {
        Some(cpu) => assert!((cpu / 2.0 - 1.0).abs() <= uncertain, "{cpu} µs instead of 2, ±{uncertain}"),
        None => {
            let why = missing.get("server.cpu_us_per_request");
            assert!(why.is_some_and(|why| why.contains("came while the CPU time was read")), "{missing:?}")
        }
    }
    let source = "its supervisor's account (a test), and the load generator's count of answers";
    assert!(sources.get("server.cpu_us_per_request").is_none_or(|found| found == source), "{sources:?}");
    assert_eq!(missing["server.syscalls_per_request"], "only the lab's models count their system calls");
    assert!(figures.server.cpus_used.unwrap() > 0.0 && figures.server.threads.is_some());
}

#[test]
fn a_guest_without_a_control_group_has_lower_bounds_of_its_cpu_time() {
    let boot = boot_id();
    let cell = measured(move |replies| Some(account_of_guest(replies * 2_000, &boot, "clocks+wait4")));
    let trial = &cell.trials[0];
    let why = trial.undercounted.as_deref().expect("children that have ended are not charged");
    assert!(why.starts_with("its supervisor could not make a control group"), "{why}");
    assert!(cell.reasons.iter().any(|reason| reason == why), "{:?}", cell.reasons);
    assert!(trial.missing["machine.foreign_on_server_cpus"].starts_with("children of the target that have ended"));

    let (since, boot) = (Instant::now(), boot_id());
    let model = measured(move |replies| account(nanos(since), replies * 2_000, replies, &boot));
    assert_eq!(model.trials[0].undercounted, None);
}

#[test]
fn a_target_of_another_machine_has_no_figures_of_this_one() {
    let since = Instant::now();
    let cell = measured(move |replies| account(nanos(since), replies, replies, "another boot"));
    let Trial { figures, missing, .. } = &cell.trials[0];
    assert_eq!(missing["machine.foreign_on_server_cpus"], "the target runs on another machine");
    assert_eq!(missing["server.kernel_memory_bytes"], "the target runs on another machine");
    assert!(figures.machine.foreign_on_client_cpus.is_some(), "{missing:?}");
}

#[test]
fn a_target_that_seems_to_use_more_than_its_cpus_has_no_cpu_figures() {
    let (since, boot) = (Instant::now(), boot_id());
    let cell = measured(move |replies| {
        let now = nanos(since);
        account(now, 3 * now, replies, &boot)
    });
    let Trial { figures, missing, .. } = &cell.trials[0];
    assert_eq!((figures.server.cpu_us_per_request, figures.server.cpus_used), (None, None));
    let why = "used 3.00 of 1 CPU: the two readings do not belong together";
    assert_eq!((&*missing["server.cpu_us_per_request"], &*missing["server.cpus_used"]), (why, why));
    assert_eq!(thousandths(figures.server.syscalls_per_request), Some(2_000));
}

#[test]
fn an_account_that_cannot_be_read_leaves_only_the_metrics() {
    let cell = measured(|_| Some("[]".into()));
    let Trial { missing, .. } = &cell.trials[0];
    assert!(missing["server.cpu_us_per_request"].contains("/account: status 200, no account: "), "{missing:?}");
    readings_until_the_median(&cell.trials[0]);
}

/// A fleet of one target, whose cost is that of this test's process.
struct ThisProcess(SocketAddr);

impl Fleet for ThisProcess {
    fn ready(&mut self, target: &str, load: &results::Load) -> Result<Endpoint, NotReady> {
        Ok(Endpoint {
            cost: CostSource::ProcessTree(std::process::id() as i32),
            ..SingleTarget(self.0).ready(target, load)?
        })
    }
}

#[test]
fn the_cost_of_a_process_is_read_together_with_the_load_generators_count() {
    let address = server(|stream, _| while request(&stream).is_some() && (&stream).write_all(OK).is_ok() {});
    let cell = run(&plan(), &mut ThisProcess(address)).cells.remove(0);
    let Trial { figures, sources, missing, .. } = &cell.trials[0];
    // On a busy machine many answers may come while the clocks are read.
    match figures.server.cpu_us_per_request {
        Some(cpu) => assert!(cpu > 0.0, "{cpu}"),
        None => {
            let why = missing.get("server.cpu_us_per_request");
            assert!(why.is_some_and(|why| why.contains("came while the CPU time was read")), "{missing:?}")
        }
    }
    assert!(figures.server.cpus_used.unwrap() > 0.0 && figures.server.threads.unwrap() >= 2.0);
    let source = sources.get("server.cpu_us_per_request"); // a figure that is missing has none
    let is_own = |source: &String| source.ends_with("and the load generator's count of answers");
    assert!(source.is_none_or(is_own), "{sources:?}");
    assert_eq!(figures.server.syscalls_per_request, None);
    // The verdict judges by the CPUs that the process may use.
    assert_eq!(cell.server_cpus, Some(CpuList::allowed().unwrap().cpus().len()));
    // Target and load generator are the same process here, on the same CPUs.
    assert_eq!(figures.machine.foreign_on_server_cpus, figures.machine.foreign_on_client_cpus);
}
