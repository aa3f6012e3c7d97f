//! What can be measured here, and what else the machine does now.

use std::path::Path;

use app::{default_files_dir, is_tmpfs};
use loadtest::neighbours;
use process_tree::OwnGroup;

use super::activity::Activity;
use super::finding::Finding;
use crate::division::Division;

/// CPUs that may be busy on a machine that is idle, as a share of all.
const IDLE: f64 = 0.03;
/// Bytes by which memory of the kernel may change within a second on a machine that is idle.
const STILL: u64 = 256 << 10;

/// Looks at this machine.
pub fn findings(activity: &Activity) -> Vec<Finding> {
    let mut findings = vec![division(Division::of_this_machine().ok().as_ref())];
    findings.extend(busy(activity));
    findings.extend(stolen(activity));
    findings.extend(activity.source.map(|(source, resolution)| {
        let what = format!("busy times of CPUs: {source}, to {resolution:?}");
        match source {
            source if source.starts_with("stat") => {
                Finding::note(what, "what other programs use is only seen in long trials: 2 s or more")
            }
            _ => Finding::ok(what),
        }
    }));
    findings.extend(memory(activity));
    findings.push(others(&neighbours::running()));
    findings.push(readable(
        "user memory (PSS)",
        Path::new("/proc/self/smaps_rollup").exists(),
        "the memory of a model counts shared pages in each of its processes",
    ));
    findings.push(readable(
        "CPU time from a control group of each service",
        OwnGroup::find_or_make("io-models").is_ok(),
        "a service adds up the clocks of its processes, and about 2 µs of each ended thread are missing",
    ));
    if !nix::unistd::geteuid().is_root() {
        let effect = "the load test reads all of the lab's own services, but of another user's servers \
                      (loadtest --target-pid) neither memory nor descriptors";
        findings.push(Finding::note("you are not root", effect));
    }
    findings.push(match default_files_dir() {
        Ok(folder) => files(&folder, is_tmpfs(&folder)),
        Err(why) => Finding::mend("default files", format!("{why}, or name a folder with --files"), ""),
    });
    findings
}

fn division(division: Option<&Division>) -> Finding {
    match division {
        Some(division) if division.is_fair() => Finding::ok(division.describe()),
        Some(division) => Finding::mend("CPUs", format!("{} More cores would help.", division.describe()), ""),
        None => Finding::mend("CPUs", "the kernel does not say which CPUs this process may use", ""),
    }
}

fn busy(activity: &Activity) -> Option<Finding> {
    let busy = activity.busy?;
    let what = format!("busy now: {busy:.2} of {} CPUs", activity.cpus);
    if busy <= IDLE * activity.cpus as f64 {
        return Some(Finding::ok(what));
    }
    let programs: Vec<String> = activity.programs.iter().map(|(name, cpus)| format!("{name} {cpus:.2}")).collect();
    let by = match programs.is_empty() {
        true => "no program that can be seen here uses that much".into(),
        false => format!("stop {}", programs.join(", ")),
    };
    Some(Finding::mend(what, format!("what others use is missing from the servers and from the load: {by}"), ""))
}

fn stolen(activity: &Activity) -> Option<Finding> {
    let stolen = activity.stolen.filter(|&stolen| stolen > 0.0)?;
    let effect = "the hypervisor gives CPU time to other machines, which shows as latency";
    Some(Finding::note(format!("stolen now: {stolen:.2} of {} CPUs", activity.cpus), effect))
}

fn memory(activity: &Activity) -> Option<Finding> {
    let (kernel, anonymous) = activity.kernel_memory_moved?;
    let (of_kernel, of_processes) = (kernel >> 10, anonymous >> 10);
    let moved = format!("memory moves by {of_kernel} KiB (kernel) and {of_processes} KiB (processes) a second");
    Some(match kernel.max(anonymous) <= STILL {
        true => Finding::ok(moved),
        false => Finding::note(moved, "kernel memory per connection is only told where it grows by much more"),
    })
}

fn others(pids: &[u32]) -> Finding {
    match pids {
        [] => Finding::ok("no other load test runs"),
        pids => Finding::mend(neighbours::named(pids), "each disturbs the other: wait for its end", ""),
    }
}

fn readable(what: &str, is_readable: bool, effect: &str) -> Finding {
    match is_readable {
        true => Finding::ok(format!("{what}: can be read")),
        false => Finding::note(format!("{what}: cannot be read"), effect),
    }
}

fn files(folder: &Path, is_in_memory: bool) -> Finding {
    let what = format!("default files: {}", folder.display());
    match is_in_memory {
        true => Finding::ok(format!("{what}, in memory (tmpfs)")),
        false => Finding::note(what, "not on a tmpfs: the cost of /files/ is that of this file system, too"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Grade;
    use super::*;

    #[test]
    fn a_busy_machine_names_who_uses_it() {
        let idle = Activity { cpus: 4, busy: Some(0.1), ..Activity::default() };
        assert_eq!(busy(&idle).map(|finding| finding.grade), Some(Grade::Ok));
        let programs = vec![("rustc (7)".to_owned(), 1.5)];
        let found = busy(&Activity { busy: Some(1.6), programs, ..idle.clone() }).unwrap();
        assert_eq!((found.grade, found.what.as_str()), (Grade::Mend, "busy now: 1.60 of 4 CPUs"));
        assert!(found.effect.ends_with("stop rustc (7) 1.50"), "{found:?}");
        assert!(busy(&Activity { busy: Some(1.0), ..idle }).unwrap().effect.contains("no program that can be seen"));
        assert_eq!(busy(&Activity::default()), None);
    }

    #[test]
    fn moving_memory_stolen_time_and_other_load_tests_are_told() {
        let still = Activity { kernel_memory_moved: Some((4096, 0)), stolen: Some(0.0), ..Activity::default() };
        assert_eq!(memory(&still).map(|finding| finding.grade), Some(Grade::Ok));
        assert_eq!(stolen(&still), None);
        let moving = Activity { kernel_memory_moved: Some((0, 9 << 20)), stolen: Some(0.5), ..Activity::default() };
        assert_eq!(memory(&moving).map(|finding| finding.grade), Some(Grade::Note));
        assert_eq!(stolen(&moving).map(|finding| finding.grade), Some(Grade::Note));
        assert_eq!(others(&[]).grade, Grade::Ok);
        assert!(others(&[12]).what.contains("pid 12"));
    }

    #[test]
    fn files_on_a_disk_are_a_note() {
        assert_eq!(files(Path::new("/tmp/x"), true).grade, Grade::Ok);
        assert_eq!(files(Path::new("/tmp/x"), false).grade, Grade::Note);
    }
}
