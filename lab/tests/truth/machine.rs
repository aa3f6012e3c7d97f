//! What else happened on the machine: other programs, and CPU quotas.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use results::{Cell, Plan, Verdict};
use test_lifetime::limit_lifetime;

use crate::group::Group;
use crate::service::{Service, only_cell, two_cpus};
use crate::{alone, skipped};

/// A program that computes for ever on one CPU; it is killed when this is dropped.
struct BusyLoop(Child);

impl BusyLoop {
    fn on(cpu: usize) -> BusyLoop {
        let mut command = Command::new("sh");
        command.args(["-c", "while :; do :; done"]).stdin(Stdio::null());
        limit_lifetime(&mut command, 120);
        let mut only = CpuSet::new();
        only.set(cpu).expect("a CPU of this machine");
        // SAFETY: between fork and exec there is one system call, and no memory is allocated.
        unsafe {
            command.pre_exec(move || Ok(sched_setaffinity(Pid::from_raw(0), &only)?));
        }
        BusyLoop(command.spawn().expect("sh"))
    }
}

impl Drop for BusyLoop {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn plan(load_cpu: usize) -> Plan {
    Plan {
        targets: vec!["epoll".into()],
        duration: Duration::from_millis(800),
        warmup: Duration::from_millis(100),
        cpus: vec![load_cpu],
        ..Plan::default()
    }
}

/// epoll on one CPU, the load on another one.
fn epoll(server_cpu: usize, load_cpu: usize, group: Option<&Group>) -> Cell {
    let (server, load) = (server_cpu.to_string(), load_cpu.to_string());
    let service = Service::start("epoll", &["--cpus", &server, "--supervisor-cpus", &load], group);
    only_cell(&plan(load_cpu), &mut service.fleet(&service.admin, 1))
}

/// The verdict on the throughput.
fn on_throughput(cell: &Cell) -> Verdict {
    let name = results::figures::names().find(|name| name.path() == "throughput").expect("a figure");
    println!("{}: {} {:?} {:?}", cell.key, cell.verdict.name(), cell.reasons, cell.trials[0].figures.machine);
    cell.flaw(&name).map_or(Verdict::Valid, |flaw| flaw.verdict)
}

#[test]
fn a_foreign_program_on_the_servers_cpu_disturbs_a_trial() {
    let _alone = alone();
    let Some((server_cpu, load_cpu)) = two_cpus() else { return skipped("it needs two CPUs") };
    let _busy = BusyLoop::on(server_cpu);
    let cell = epoll(server_cpu, load_cpu, None);
    // Other programs, too, may have run on the load's CPU, which then decides the verdict.
    assert!(matches!(on_throughput(&cell), Verdict::Disturbed | Verdict::ClientLimited), "{:?}", cell.flaws);
    let share = cell.trials[0].figures.machine.foreign_on_server_cpus;
    assert!(share.is_some_and(|share| share > 0.2), "the loop wants all of the CPU: {share:?}");
}

#[test]
fn a_foreign_program_on_the_generators_cpu_leaves_no_valid_throughput() {
    let _alone = alone();
    let Some((server_cpu, load_cpu)) = two_cpus() else { return skipped("it needs two CPUs") };
    let _busy = BusyLoop::on(load_cpu);
    let cell = epoll(server_cpu, load_cpu, None);
    assert_ne!(on_throughput(&cell), Verdict::Valid, "{:?}", cell.reasons);
    let waited = cell.trials[0].figures.client.longest_cpu_wait;
    assert!(waited.is_none_or(|waited| waited > 0.02), "{waited:?}");
}

#[test]
fn a_service_with_a_cpu_quota_is_seen() {
    let _alone = alone();
    let Some((server_cpu, load_cpu)) = two_cpus() else { return skipped("it needs two CPUs") };
    let group = match Group::make("quota").and_then(|group| group.limit(0.1).map(|()| group)) {
        Ok(group) => group,
        Err(why) => return skipped(&why),
    };
    let cell = epoll(server_cpu, load_cpu, Some(&group));
    if !used_its_quota(&group) {
        return;
    }
    let throttled = cell.trials[0].figures.machine.server_throttled;
    assert!(throttled.is_some_and(|share| share > 0.02), "{throttled:?} {:?}", cell.trials[0].missing);
    assert_ne!(on_throughput(&cell), Verdict::Valid, "{:?}", cell.reasons);
}

/// Whether the group was kept from the CPUs for a while. On a very busy machine it may get less than its quota anyway.
fn used_its_quota(group: &Group) -> bool {
    let throttled = group.throttled().unwrap_or_default();
    println!("the quota kept the group from the CPUs for {throttled:?}");
    if throttled < Duration::from_millis(500) {
        skipped("the group got less than its quota");
        return false;
    }
    true
}

/// The whole lab runs in a group with a quota: generator, supervisor and model.
#[test]
fn a_generator_with_a_cpu_quota_leaves_no_valid_throughput() {
    let _alone = alone();
    let group = match Group::make("lab").and_then(|group| group.limit(0.2).map(|()| group)) {
        Ok(group) => group,
        Err(why) => return skipped(&why),
    };
    let joins: String = group.procs().iter().map(|file| format!("echo $$ > {} && ", file.display())).collect();
    let out = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("quota");
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{joins}exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_lab")]);
    command.args(["--models", "epoll", "-c", "16", "-d", "800ms", "-q", "--timeout", "2m", "--out"]).arg(&out);
    limit_lifetime(&mut command, 600);
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status().expect("the lab runs");
    assert!(status.success(), "{status}");
    let results = results::Results::load(&out.join("results.json")).expect("results");
    let cell = &results.cells[0];
    if !used_its_quota(&group) {
        return;
    }
    let throttled = cell.trials[0].figures.machine.client_throttled;
    assert!(throttled.is_some_and(|share| share > 0.02), "{throttled:?} {:?}", cell.trials[0].missing);
    assert_ne!(on_throughput(cell), Verdict::Valid, "{:?}", cell.reasons);
}

/// A figure that could not be had is null, and says why; one that could says from where it comes.
#[test]
fn each_cost_has_a_source_or_a_reason() {
    let _alone = alone();
    let service = Service::start("epoll", &[], None);
    let cell = only_cell(&Plan { cpus: Vec::new(), ..plan(0) }, &mut service.fleet(&service.admin, 1));
    let trial = &cell.trials[0];
    for name in ["server.cpu_us_per_request", "server.memory_bytes", "server.kernel_memory_bytes"] {
        let group = name.split('.').next().unwrap_or_default();
        let reason = trial.missing.get(name).or_else(|| trial.missing.get(group));
        assert!(
            trial.sources.contains_key(name) || reason.is_some(),
            "{name}: {:?} {:?}",
            trial.sources,
            trial.missing
        );
    }
    assert!(trial.missing.contains_key("server.kernel_memory_bytes"), "64 connections are too few for it");
}
