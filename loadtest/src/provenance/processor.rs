//! The processor: Documentation/admin-guide/pm/cpufreq.rst, Documentation/ABI/testing/sysfs-devices-system-cpu

use super::files::{Fact, Files};
use results::lists::each_once;

const CPUS: &str = "sys/devices/system/cpu";

pub fn facts(root: &Files) -> Vec<Fact> {
    vec![
        ("governor", governor(root)),
        ("frequency_driver", root.text(&format!("{CPUS}/cpu0/cpufreq/scaling_driver"))),
        ("turbo", turbo(root)),
        ("smt", smt(root)),
        ("mitigations", mitigations(root)),
        ("hypervisor", hypervisor(root)),
        ("hardware", hardware(root)),
    ]
}

/// The governors of all CPUs, each once.
fn governor(root: &Files) -> Option<String> {
    let governor = |name: String| root.text(&format!("{CPUS}/{name}/cpufreq/scaling_governor"));
    let governors: Vec<String> = root.names(CPUS).into_iter().filter_map(governor).collect();
    (!governors.is_empty()).then(|| each_once(governors).join(", "))
}

/// Whether a CPU may be clocked higher than its nominal frequency: `on` or `off`.
fn turbo(root: &Files) -> Option<String> {
    let is_off = root.text(&format!("{CPUS}/intel_pstate/no_turbo")).map(|no| no == "1");
    let is_off = is_off.or_else(|| root.text(&format!("{CPUS}/cpufreq/boost")).map(|boost| boost == "0"));
    is_off.map(|is_off| if is_off { "off" } else { "on" }.into())
}

fn smt(root: &Files) -> Option<String> {
    let control = root.text(&format!("{CPUS}/smt/control"))?;
    let is_active = root.text(&format!("{CPUS}/smt/active"))? == "1";
    Some(format!("{control}, {}", if is_active { "active" } else { "not active" }))
}

/// What the kernel does, or fails to do, against the faults that this processor has.
fn mitigations(root: &Files) -> Option<String> {
    let folder = format!("{CPUS}/vulnerabilities");
    let names = root.names(&folder);
    let state = |name: &String| Some((name.clone(), root.text(&format!("{folder}/{name}"))?));
    let states: Vec<String> = names
        .iter()
        .filter_map(state)
        .filter(|(_, state)| state != "Not affected")
        .map(|(name, state)| format!("{name}: {}", state.trim_start_matches("Mitigation: ")))
        .collect();
    match names.is_empty() {
        true => None,
        false if states.is_empty() => Some("none needed".into()),
        false => Some(states.join("; ")),
    }
}

/// `none` is only said where the processor says it: those of x86 have a flag for it.
fn hypervisor(root: &Files) -> Option<String> {
    if let Some(kind) = root.text("sys/hypervisor/type") {
        return Some(kind);
    }
    let cpuinfo = root.text("proc/cpuinfo")?;
    let flags = cpuinfo.lines().find(|line| line.starts_with("flags"))?;
    Some(if flags.split(' ').any(|flag| flag == "hypervisor") { "yes" } else { "none" }.into())
}

fn hardware(root: &Files) -> Option<String> {
    let names = ["sys_vendor", "product_name"].into_iter();
    let names: Vec<String> = names.filter_map(|name| root.text(&format!("sys/class/dmi/id/{name}"))).collect();
    (!names.is_empty()).then(|| names.join(" "))
}

#[cfg(test)]
mod tests {
    use super::super::files::MadeFiles;
    use super::*;

    #[test]
    fn the_facts_of_a_processor_are_read() {
        let cpu = |name: &str| format!("{CPUS}/{name}");
        let made = MadeFiles::new(
            "processor",
            &[
                (&cpu("cpu0/cpufreq/scaling_governor"), "powersave\n"),
                (&cpu("cpu1/cpufreq/scaling_governor"), "performance\n"),
                (&cpu("cpu2/cpufreq/scaling_governor"), "powersave\n"),
                (&cpu("cpu0/cpufreq/scaling_driver"), "intel_pstate\n"),
                (&cpu("intel_pstate/no_turbo"), "1\n"),
                (&cpu("smt/control"), "on\n"),
                (&cpu("smt/active"), "0\n"),
                (&cpu("vulnerabilities/meltdown"), "Not affected\n"),
                (&cpu("vulnerabilities/spectre_v1"), "Mitigation: usercopy\n"),
                (&cpu("vulnerabilities/spectre_v2"), "Vulnerable\n"),
                ("proc/cpuinfo", "processor : 0\nflags\t\t: fpu hypervisor sse\n"),
                ("sys/class/dmi/id/sys_vendor", "QEMU\n"),
            ],
        );
        let facts: Vec<String> = facts(&made.files()).into_iter().map(|(_, value)| value.unwrap_or_default()).collect();
        let mitigations = "spectre_v1: usercopy; spectre_v2: Vulnerable";
        let expected = ["powersave, performance", "intel_pstate", "off", "on, not active", mitigations, "yes", "QEMU"];
        assert_eq!(facts, expected);
    }

    #[test]
    fn what_a_machine_does_not_say_is_not_known() {
        let made = MadeFiles::new("no-processor", &[("proc/cpuinfo", "processor : 0\nFeatures : fp asimd\n")]);
        assert!(facts(&made.files()).iter().all(|(_, value)| value.is_none()));
    }
}
