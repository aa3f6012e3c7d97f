//! What a service costs: the model's process tree, and the control group that it lives in.

use std::time::Duration;

use process_tree::{Cgroup, Pressure, Sample, Stall};

use super::families::Families;
use crate::accounts::Figures;
use crate::say;
use crate::status::Status;

/// Where the CPU time is from: the CPU clocks of those who live, and wait4(2) for those who are gone.
pub(crate) const CPU_SOURCE: &str = "clocks+wait4";

pub(super) fn collect(status: &mut Status, families: &mut Families) {
    match status.accounts.figures() {
        Ok(figures) => {
            counters(&figures, families);
            if let Some(sample) = &figures.sample {
                levels(sample, families);
            }
        }
        Err(error) => say(status.service.model.name, format_args!("cannot measure the model's processes: {error}")),
    }
    match &status.service.cgroup {
        Some(cgroup) => of_cgroup(cgroup, families),
        None => pressure(&Pressure::of_machine(), families),
    }
}

fn counters(figures: &Figures, families: &mut Families) {
    let used = figures.used;
    families.counter(
        "process_tree_cpu_seconds_total",
        "CPU time of the model's processes, living and gone.",
        used.cpu_ns as f64 / 1e9,
    );
    families.counter(
        "process_tree_cpu_user_seconds_total",
        "The part of it in user mode, in clock ticks; absent where the kernel does not know it.",
        figures.split.map(|(user, _)| user.as_secs_f64()),
    );
    families.counter(
        "process_tree_cpu_system_seconds_total",
        "The part of it in the kernel, in clock ticks; absent where the kernel does not know it.",
        figures.split.map(|(_, system)| system.as_secs_f64()),
    );
    let mut switches = families.counters(
        "process_tree_context_switches_total",
        "Times that a thread gave up the CPU to wait (voluntary), or had to (involuntary).",
    );
    if figures.has_switches {
        switches.add(&[("kind", "voluntary")], used.voluntary_switches as f64);
        switches.add(&[("kind", "involuntary")], used.involuntary_switches as f64);
    }
    let mut faults = families
        .counters("process_tree_page_faults_total", "Page faults served without I/O (minor) and with it (major).");
    faults.add(&[("kind", "minor")], used.minor_faults as f64);
    faults.add(&[("kind", "major")], used.major_faults as f64);
    families.gauge(
        "process_tree_sample_seconds",
        "What it took to read these figures, which the model does not pay.",
        figures.took.as_secs_f64(),
    );
}

fn levels(sample: &Sample, families: &mut Families) {
    let number = |n: u64| n as f64;
    families.gauge(
        "process_tree_memory_bytes",
        "Memory of the model's processes; what several share is counted once (PSS).",
        sample.memory_bytes.map(number),
    );
    families.gauge(
        "process_tree_memory_peak_bytes",
        "The most that it has been, as far as that can be known: see process_tree_source.",
        sample.peak_memory_bytes.map(number),
    );
    families.gauge("process_tree_processes", "Processes of the model.", number(sample.processes));
    families.gauge("process_tree_threads", "Threads in these processes.", number(sample.threads));
    families.gauge(
        "process_tree_open_fds",
        "Open file descriptors; one that two processes hold counts twice.",
        sample.open_fds.map(number),
    );
    let mut sources = families.gauges("process_tree_source", "1; the labels say which figure is from where.");
    for (of, source) in
        [("cpu", CPU_SOURCE), ("memory", sample.memory_source), ("memory_peak", sample.peak_memory_source)]
    {
        sources.add(&[("of", of), ("source", source)], 1.0);
    }
}

fn of_cgroup(cgroup: &Cgroup, families: &mut Families) {
    pressure(&cgroup.pressure(), families);
    families.gauge(
        "cgroup_memory_peak_bytes",
        "The most memory that was charged to the control group, page cache and the kernel's own included.",
        cgroup.memory_peak().map(|n| n as f64),
    );
    families.gauge(
        "cgroup_pids",
        "Processes and threads in the control group, the supervisor's included.",
        cgroup.pids_current().map(|n| n as f64),
    );
}

/// Where the control group has no such figures, the machine's have a name of their own.
fn pressure(pressure: &Pressure, families: &mut Families) {
    let mut stalls = families.counters(
        if pressure.scope == "cgroup" { "cgroup_pressure_seconds_total" } else { "machine_pressure_seconds_total" },
        "Time for which some or all tasks waited for that resource (PSI).",
    );
    for (resource, stall) in [("cpu", pressure.cpu), ("memory", pressure.memory), ("io", pressure.io)] {
        let Some(Stall { some, full }) = stall else { continue };
        for (kind, time) in [("some", Some(some)), ("full", full)] {
            if let Some(time) = time.map(|time: Duration| time.as_secs_f64()) {
                stalls.add(&[("resource", resource), ("kind", kind)], time);
            }
        }
    }
}
