//! What the state of the machine, as results.json has it, does to the figures.

use std::collections::BTreeMap;

use super::finding::Finding;

/// Open files that the default run needs, with room to spare.
const OPEN_FILES: u64 = 4096;
/// Processes and threads likewise.
const PROCESSES: u64 = 4096;
/// The backlog that the services ask for.
const BACKLOG: u64 = 4096;
/// Ports that are enough for one request a connection, since the kernel uses a port again after a second or less.
const PORTS: u64 = 20_000;
/// Connections that all trials of the default run open within the two minutes for which conntrack remembers them.
const TRACKED: u64 = 1 << 20;
/// Clock sources that a program reads without a system call: vdso(7).
const FAST_CLOCKS: [&str; 4] = ["tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter"];

/// A finding for each fact that is known.
pub fn findings(facts: &BTreeMap<String, String>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = facts.iter().map(|(name, value)| finding(name, value, facts)).collect();
    if !facts.contains_key("governor") {
        let effect = "the hypervisor or the firmware chooses the frequency of the CPUs, and may change it at any time";
        findings.push(Finding::note("governor: none to be seen", effect));
    }
    findings
}

fn finding(name: &str, value: &str, facts: &BTreeMap<String, String>) -> Finding {
    let what = format!("{}: {value}", name.replace('_', " "));
    let number = || value.split([' ', '-']).next().and_then(|number| number.parse::<u64>().ok());
    let below = |least: u64| number().is_some_and(|number| number < least);
    match name {
        "build" if !value.starts_with("release") => {
            Finding::mend(what, "a program that is not optimised uses several times the CPU", "cargo build --release")
        }
        "governor" if value != "performance" => {
            let effect = "the frequency of the CPUs changes with their load, and CPU time per request with it";
            Finding::mend(what, effect, "cpupower frequency-set -g performance")
        }
        "turbo" if value == "on" => {
            let effect = "the frequency of a CPU depends on its temperature and on what the others do, and CPU time \
                          per request with it; for the least noise, turn it off";
            let command = match facts.get("frequency_driver").map(String::as_str) {
                Some("intel_pstate" | "intel_cpufreq") => "echo 1 > /sys/devices/system/cpu/intel_pstate/no_turbo",
                _ => "echo 0 > /sys/devices/system/cpu/cpufreq/boost",
            };
            Finding { command: command.into(), ..Finding::note(what, effect) }
        }
        "smt" if value.ends_with(", active") => Finding::note(
            what,
            "the CPUs of a core slow each other down: the lab gives all of a core to one side, but a program beside it \
             may run on the other CPU of a core",
        ),
        "mitigations" if value != "none needed" => {
            let effect = "some make system calls and switches between processes dearer; compare only with machines \
                          that have the same";
            Finding::note(format!("mitigations of faults of the processor: {value}"), effect)
        }
        "hypervisor" if value != "none" => {
            let effect = "this is a virtual machine: others may use the same host, and switches between processes and \
                          interrupts cost more than on hardware";
            Finding::note(what, effect)
        }
        "clock_source" if !FAST_CLOCKS.contains(&value) => {
            let effect = "each look at the clock is a system call, which the event loops and the load generator make for \
                          each request";
            Finding::mend(what, effect, "cat /sys/devices/system/clocksource/clocksource0/available_clocksource")
        }
        "irq_accounting" if value == "off" => Finding::note(
            what,
            "the kernel counts the time of an interrupt as CPU time of the process that it interrupts; on loopback \
             most of it is the network's",
        ),
        "cpu_quota" if value != "none" => {
            let effect = format!(
                "the kernel stops every process of the control group when {value} CPUs are used up, which shows as \
                 latency; run the lab where there is no quota"
            );
            Finding::mend(what, effect, "")
        }
        "transparent_huge_pages" if value == "always" => {
            let effect = "a stack of a thread may take 2 MiB at once, which shows as memory per connection";
            Finding::mend(what, effect, "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled")
        }
        "open_files" if below(OPEN_FILES) => {
            Finding::mend(what, "few connections fit, in the load and in the services", "ulimit -Hn 65536")
        }
        "processes" if below(PROCESSES) => {
            Finding::mend(what, "the models with a process or a thread for each connection take few connections", "")
        }
        "somaxconn" if below(BACKLOG) => {
            let effect = "a short backlog loses connections when many come at once, and they come again after 1 s";
            Finding::mend(what, effect, format!("sysctl -w net.core.somaxconn={BACKLOG}"))
        }
        "port_range" if ports(value).is_some_and(|ports| ports < PORTS) => {
            let effect = "with one request a connection, the client may run out of ports";
            Finding::mend(what, effect, "sysctl -w net.ipv4.ip_local_port_range='10000 65000'")
        }
        "tracked_connections" if below(TRACKED) => {
            let effect = "the kernel keeps each connection in this table for two minutes after its end. With one \
                          request a connection the table becomes full, and the lab waits before a trial until it has \
                          room";
            Finding::mend(what, effect, format!("sysctl -w net.netfilter.nf_conntrack_max={TRACKED}"))
        }
        "swap_bytes" if value != "0" => Finding::note(what, "memory that is swapped out is missing from the figures"),
        _ => Finding::ok(what),
    }
}

/// The number of ports in a range.
fn ports(range: &str) -> Option<u64> {
    let (first, last) = range.split_once('-')?;
    last.parse::<u64>().ok()?.checked_sub(first.parse().ok()?).map(|difference| difference + 1)
}

#[cfg(test)]
mod tests {
    use super::super::finding::Grade;
    use super::*;

    fn found(facts: &[(&str, &str)]) -> Vec<Finding> {
        findings(&facts.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    fn only(name: &str, value: &str) -> Finding {
        found(&[(name, value)]).remove(0)
    }

    #[test]
    fn what_is_as_it_should_be_is_ok() {
        for (name, value) in [
            ("build", "release, opt-level 3, x86_64-unknown-linux-gnu"),
            ("governor", "performance"),
            ("turbo", "off"),
            ("smt", "notsupported, not active"),
            ("hypervisor", "none"),
            ("clock_source", "tsc"),
            ("irq_accounting", "on"),
            ("cpu_quota", "none"),
            ("transparent_huge_pages", "madvise"),
            ("open_files", "1048576"),
            ("processes", "4194304 (kernel.pid_max)"),
            ("somaxconn", "4096"),
            ("port_range", "32768-60999"),
            ("tracked_connections", "1048576"),
            ("swap_bytes", "0"),
            ("commit", "1a3a38f"),
        ] {
            let finding = only(name, value);
            assert_eq!((finding.grade, finding.effect.as_str()), (Grade::Ok, ""), "{finding:?}");
            assert_eq!(finding.what, format!("{}: {value}", name.replace('_', " ")));
        }
    }

    #[test]
    fn what_can_be_mended_says_its_effect_and_a_command() {
        for (name, value, effect, command) in [
            ("governor", "powersave, performance", "frequency of the CPUs changes", "cpupower "),
            ("tracked_connections", "262144", "becomes full", "nf_conntrack_max=1048576"),
            ("port_range", "60000-60999", "run out of ports", "ip_local_port_range"),
            ("cpu_quota", "1.50", "when 1.50 CPUs are used up", ""),
            ("somaxconn", "128", "loses connections", "somaxconn=4096"),
            ("build", "debug, opt-level 0, x86_64-unknown-linux-gnu", "not optimised", "cargo build --release"),
            ("clock_source", "hpet", "system call", "available_clocksource"),
            ("processes", "1024 (cgroup pids.max)", "take few connections", ""),
        ] {
            let finding = only(name, value);
            assert_eq!(finding.grade, Grade::Mend, "{finding:?}");
            assert!(finding.effect.contains(effect) && finding.command.contains(command), "{finding:?}");
        }
    }

    #[test]
    fn what_is_good_to_know_is_a_note() {
        for (name, value) in [("smt", "on, active"), ("hypervisor", "yes"), ("irq_accounting", "off"), ("turbo", "on")]
        {
            assert_eq!(only(name, value).grade, Grade::Note, "{name}");
        }
        assert_eq!(found(&[])[0].what, "governor: none to be seen");
        let intel = found(&[("frequency_driver", "intel_pstate"), ("turbo", "on")]);
        assert!(intel[1].command.contains("no_turbo"), "{intel:?}");
        assert!(only("turbo", "on").command.contains("boost"));
    }
}
