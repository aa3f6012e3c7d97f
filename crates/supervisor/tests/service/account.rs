//! Tests of the page /account: CPU time and replies, read at the same moment.

use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::time::{ClockId, clock_gettime};
use process_tree::{Account, Served};

use crate::running::{RunningService, command, get, start, start_command, wait_for};

crate::tests![
    an_account_has_what_was_served_and_what_it_has_cost,
    the_counters_of_an_account_never_go_backwards,
    the_cpu_time_of_an_account_is_what_the_kernel_has_counted,
    a_service_leaves_no_control_group_behind,
];

/// What the model has served.
fn served(account: &Account) -> Served {
    account.served.expect("a model writes to the scoreboard")
}

/// The replies before and after the CPU time was read.
fn replies(account: &Account) -> (u64, u64) {
    (served(account).replies_before, served(account).replies_after)
}

fn an_account_has_what_was_served_and_what_it_has_cost() {
    let service = start("plain", &[]);
    let before = service.account();
    assert_eq!(replies(&before), (0, 0));
    for _ in 0..3 {
        get(service.listen, "/burn/50").unwrap();
    }
    // The service counts a reply after the client has received it.
    wait_for("the third reply to be counted", || replies(&service.account()) == (3, 3));
    let after = service.account();
    assert_eq!(replies(&after), (3, 3));
    let cpu = Duration::from_nanos(after.cpu_ns - before.cpu_ns);
    assert!((150..300).contains(&cpu.as_millis()), "3 × 50 ms were burnt, {cpu:?} are reported");
    assert!(after.supervisor_cpu_ns > before.supervisor_cpu_ns);
    let now = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap()).as_nanos() as u64;
    assert!(before.monotonic_ns < after.monotonic_ns && after.monotonic_ns < now, "it is the clock of all processes");
    get(service.listen, "/take/1").unwrap();
    assert_eq!(served(&service.account()).syscalls, served(&after).syscalls + 1);
    assert_eq!(after.boot_id.as_deref(), service.info()["boot_id"].as_str());
    assert!(["cgroup", "clocks+wait4"].contains(&&*after.cpu_source), "{}", after.cpu_source);
}

fn the_counters_of_an_account_never_go_backwards() {
    let service = start("plain", &[]);
    let mut last = service.account();
    let mut next = |service: &RunningService| {
        let now = service.account();
        let counters = |account: &Account| {
            let Served { replies_before, syscalls, .. } = served(account);
            [account.monotonic_ns, account.cpu_ns, account.supervisor_cpu_ns, replies_before, syscalls]
        };
        assert!(counters(&last).iter().zip(counters(&now)).all(|(last, now)| *last <= now), "{last:?} then {now:?}");
        let (before, after) = replies(&now);
        assert!(replies(&last).1 <= before && before <= after, "{now:?}");
        last = now;
    };
    for _ in 0..3 {
        get(service.listen, "/burn/20").unwrap();
        get(service.listen, "/orphan").unwrap();
        next(&service);
        let model = service.model().unwrap();
        kill(model, Signal::SIGKILL).unwrap();
        wait_for("a new model process", || {
            next(&service); // also while there is none
            service.model().is_some_and(|now| now != model)
        });
    }
}

/// A control group in which a service is started. `drop` removes it.
struct Group(PathBuf);

impl Group {
    /// `None`, and a line that says why, if this process may not make one.
    fn make() -> Option<Group> {
        let at = Path::new("/sys/fs/cgroup");
        let parent = if at.join("cgroup.controllers").exists() { at.to_owned() } else { at.join("cpuacct") };
        let group = parent.join(format!("supervisor-test-{}", std::process::id()));
        match std::fs::create_dir(&group) {
            Ok(()) => Some(Group(group)),
            Err(error) => {
                println!("skipped: no writable cgroup ({}: {error})", group.display());
                None
            }
        }
    }

    fn add(&self, process: u32) {
        std::fs::write(self.0.join("cgroup.procs"), process.to_string()).unwrap();
    }

    /// The CPU time of the processes in it and in the groups below it.
    fn cpu(&self) -> Duration {
        match std::fs::read_to_string(self.0.join("cpuacct.usage")) {
            Ok(usage) => Duration::from_nanos(usage.trim().parse().unwrap()),
            Err(_) => {
                let stat = std::fs::read_to_string(self.0.join("cpu.stat")).unwrap();
                let usage = stat.lines().find_map(|line| line.strip_prefix("usage_usec ")).unwrap();
                Duration::from_micros(usage.parse().unwrap())
            }
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let is_busy = || std::fs::remove_dir(&self.0).is_err_and(|error| error.kind() == ErrorKind::ResourceBusy);
        // It stays busy for a moment after its last process has been reaped, and until the model has ended.
        for _ in 0..10_000 {
            if !is_busy() {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn the_cpu_time_of_an_account_is_what_the_kernel_has_counted() {
    let Some(group) = Group::make() else { return };
    // A second process in the group, so that the service cannot take it for its own.
    let mut other = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    group.add(other.id());
    let mut command = command("plain", &[]);
    let procs = group.0.join("cgroup.procs");
    // SAFETY: this process has one thread, so the child may do everything that its parent may.
    unsafe { command.pre_exec(move || std::fs::write(&procs, "0")) };
    let service = start_command("plain", command);
    let read = || (service.account(), group.cpu());
    let (before, counted_before) = read();
    for _ in 0..4 {
        get(service.listen, "/burn/100").unwrap();
    }
    let (after, counted_after) = read();
    let supervisor = Duration::from_nanos(after.supervisor_cpu_ns - before.supervisor_cpu_ns);
    let counted = counted_after - counted_before - supervisor;
    let reported = Duration::from_nanos(after.cpu_ns - before.cpu_ns);
    assert!(counted.abs_diff(reported) < counted / 20, "{counted:?} are counted, {reported:?} reported: {after:?}");
    service.signal(Signal::SIGTERM);
    assert!(service.wait_for_exit().0.success());
    drop(other.stdin.take());
    other.wait().unwrap();
}

fn a_service_leaves_no_control_group_behind() {
    let service = start("plain", &[]);
    let groups = std::fs::read_to_string(format!("/proc/{}/cgroup", service.pid())).unwrap();
    let name = format!("/io-models-{}", service.pid());
    let Some(group) = groups.lines().find_map(|line| line.strip_prefix("0::").filter(|group| group.ends_with(&name)))
    else {
        println!("skipped: the service may not make a cgroup");
        return;
    };
    assert_eq!(service.account().cpu_source, "cgroup");
    let paths = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(|mount| PathBuf::from(format!("{mount}{group}")));
    assert!(paths.iter().any(|path| path.exists()), "{paths:?}");
    service.signal(Signal::SIGTERM);
    assert!(service.wait_for_exit().0.success());
    assert!(!paths.iter().any(|path| path.exists()), "{paths:?}");
}
