//! How the kernel was built, and how it is configured.

use super::files::{Fact, Files};
use flate2::read::GzDecoder;
use std::io::Read;

pub fn facts(root: &Files) -> Vec<Fact> {
    vec![
        ("clock_source", root.text("sys/devices/system/clocksource/clocksource0/current_clocksource")),
        ("irq_accounting", irq_accounting(root)),
        ("cgroups", cgroups(root)),
        ("cpu_quota", cpu_quota()),
        ("transparent_huge_pages", chosen(root.text("sys/kernel/mm/transparent_hugepage/enabled"))),
    ]
}

/// `on` or `off`, from the options that the kernel was built with.
fn irq_accounting(root: &Files) -> Option<String> {
    let config = match root.bytes("proc/config.gz") {
        Some(packed) => {
            let mut config = String::new();
            GzDecoder::new(&packed[..]).read_to_string(&mut config).ok()?;
            config
        }
        None => root.text(&format!("boot/config-{}", root.text("proc/sys/kernel/osrelease")?))?,
    };
    let is_on = config.lines().any(|line| line == "CONFIG_IRQ_TIME_ACCOUNTING=y");
    Some(if is_on { "on" } else { "off" }.into())
}

/// The versions of control groups that are in use. Version 1 has a numbered line for each hierarchy: cgroups(7)
fn cgroups(root: &Files) -> Option<String> {
    let groups = root.text("proc/self/cgroup")?;
    let (second, first): (Vec<&str>, Vec<&str>) = groups.lines().partition(|line| line.starts_with("0::"));
    Some(
        match (first.is_empty(), second.is_empty()) {
            (true, _) => "version 2",
            (false, true) => "version 1",
            (false, false) => "version 1, and 2 beside it",
        }
        .into(),
    )
}

/// The CPUs that a quota allows to this process, or `none`; not known where no control group can be read.
fn cpu_quota() -> Option<String> {
    let group = process_tree::own_cgroup()?;
    Some(group.cpu_quota().map_or("none".into(), |cpus| format!("{cpus:.2}")))
}

/// The word in brackets.
fn chosen(text: Option<String>) -> Option<String> {
    Some(text?.split_once('[')?.1.split_once(']')?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::files::MadeFiles;
    use super::*;

    #[test]
    fn the_facts_of_a_kernel_are_read() {
        let made = MadeFiles::new(
            "kernel",
            &[
                ("proc/sys/kernel/osrelease", "6.1\n"),
                ("boot/config-6.1", "# CONFIG_A is not set\nCONFIG_IRQ_TIME_ACCOUNTING=y\n"),
                ("proc/self/cgroup", "4:memory:/a\n0::/\n"),
                ("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n"),
            ],
        );
        let facts = facts(&made.files());
        let fact = |name: &str| facts.iter().find(|(known, _)| *known == name).unwrap().1.as_deref();
        assert_eq!(fact("clock_source"), None);
        assert_eq!(fact("irq_accounting"), Some("on"));
        assert_eq!(fact("cgroups"), Some("version 1, and 2 beside it"));
        assert_eq!(fact("transparent_huge_pages"), Some("madvise"));
    }
}
