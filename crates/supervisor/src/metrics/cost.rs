//! The metrics of what a service costs: the figures of the process tree of the model, or of the guest, and of its control group.

use std::time::Duration;

use process_tree::{Cgroup, Pressure, Sample, Stall};

use super::families::Families;
use crate::accounts::Figures;
use crate::log;
use crate::status::Status;

pub(super) fn collect(status: &mut Status, families: &mut Families) {
    match status.accounts.figures() {
        Ok(figures) => {
            counters(&figures, families);
            if let Some(sample) = &figures.sample {
                gauges(sample, status.cpu_source(), families);
            }
        }
        Err(error) => log(status.service.name, format_args!("cannot measure the processes: {error}")),
    }
    match &status.service.cgroup {
        Some(cgroup) => cgroup_metrics(cgroup, families),
        None => pressure(&Pressure::of_machine(), families),
    }
}

fn counters(figures: &Figures, families: &mut Families) {
    let used = figures.used;
    families.counter(
        "process_tree_cpu_seconds_total",
        "CPU time of the processes of the model, or of the guest, live and dead.",
        used.cpu_ns as f64 / 1e9,
    );
    families.counter(
        "process_tree_cpu_user_seconds_total",
        "The part of it in user mode, by clock ticks; absent where the kernel does not know it.",
        figures.split.map(|(user, _)| user.as_secs_f64()),
    );
    families.counter(
        "process_tree_cpu_system_seconds_total",
        "The part of it in the kernel, by clock ticks; absent where the kernel does not know it.",
        figures.split.map(|(_, system)| system.as_secs_f64()),
    );
    let mut switches = families.counters(
        "process_tree_context_switches_total",
        "How often a thread gave up the CPU to wait (voluntary), or the kernel took it away (involuntary).",
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
        "How long the supervisor took to read these figures; their CPU time does not contain it.",
        figures.took.as_secs_f64(),
    );
}

fn gauges(sample: &Sample, cpu_source: &str, families: &mut Families) {
    let number = |n: u64| n as f64;
    families.gauge(
        "process_tree_memory_bytes",
        "Memory of these processes; pages that several of them share are counted once (PSS).",
        sample.memory_bytes.map(number),
    );
    families.gauge(
        "process_tree_memory_peak_bytes",
        "The most memory that these processes have used, as far as it is known: see process_tree_source.",
        sample.peak_memory_bytes.map(number),
    );
    families.gauge("process_tree_processes", "Processes of the model, or of the guest.", number(sample.processes));
    families.gauge("process_tree_threads", "Threads in these processes.", number(sample.threads));
    families.gauge(
        "process_tree_open_fds",
        "Open file descriptors; one that two processes share counts twice.",
        sample.open_fds.map(number),
    );
    let mut sources = families.gauges("process_tree_source", "1; the labels give the source of each figure.");
    for (of, source) in
        [("cpu", cpu_source), ("memory", sample.memory_source), ("memory_peak", sample.peak_memory_source)]
    {
        sources.add(&[("of", of), ("source", source)], 1.0);
    }
}

fn cgroup_metrics(cgroup: &Cgroup, families: &mut Families) {
    pressure(&cgroup.pressure(), families);
    families.gauge(
        "cgroup_memory_peak_bytes",
        "The most memory that was charged to the control group, page cache and kernel memory included.",
        cgroup.memory_peak().map(|n| n as f64),
    );
    families.gauge(
        "cgroup_pids",
        "Processes and threads in the control group, the supervisor's included.",
        cgroup.pids_current().map(|n| n as f64),
    );
}

/// Where the control group has no pressure figures, those of the machine are given, under another name.
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
