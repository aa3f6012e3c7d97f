//! Describes this machine, and names a run by its time.

use crate::cpus::{allowed_cpus, online_cpus};
use crate::provenance;
use results::Machine;
use std::fs::read_to_string;
use std::time::SystemTime;

/// The value in the line of `file` that begins with `name`.
fn line(file: &str, name: &str) -> Option<String> {
    let text = read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// A number of bytes from /proc/meminfo, which has it in KiB. proc_meminfo(5)
fn memory(name: &str) -> Option<u64> {
    Some(line("/proc/meminfo", name)?.split(' ').next()?.parse::<u64>().ok()? * 1024)
}

/// The bytes of memory that programs can have without swapping.
pub fn available_memory() -> Option<u64> {
    memory("MemAvailable")
}

/// Describes this machine.
pub fn here() -> Machine {
    let word = |file: &str| read_to_string(file).ok().map(|text| text.trim().to_owned());
    Machine {
        host: word("/proc/sys/kernel/hostname"),
        boot_id: process_tree::boot_id().map(str::to_owned),
        kernel: word("/proc/sys/kernel/osrelease").map(|release| format!("Linux {release}")),
        cpu: line("/proc/cpuinfo", "model name"),
        cpus: online_cpus(),
        cpus_allowed: allowed_cpus(),
        memory_bytes: memory("MemTotal"),
        provenance: provenance::here(),
    }
}

/// Formats the time as in RFC 3339, in UTC.
pub fn rfc3339(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

/// Formats the time as in RFC 3339, in UTC, with milliseconds.
pub fn rfc3339_millis(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}

/// The name of a run that begins at `time`: `20261123-194500-1a2b`. The last digits are random.
pub fn run_id(time: SystemTime) -> String {
    let time = rfc3339(time).replace(['-', ':', 'Z'], "").replace('T', "-");
    format!("{time}-{:04x}", fastrand::u16(..))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_run_has_the_name_of_its_time() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(951_782_400);
        assert_eq!(rfc3339(time), "2000-02-29T00:00:00Z");
        let name = run_id(time);
        assert!(name.starts_with("20000229-000000-") && name.len() == 20, "{name}");
    }
}
