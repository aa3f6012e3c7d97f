//! Describes the machine that a run took place on, and formats the time of day.

use crate::engine::allowed_cpus;
use serde::{Deserialize, Serialize};
use std::fs::read_to_string;
use std::time::{Duration, SystemTime};

/// The machine that the load generator ran on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Host name.
    pub host: Option<String>,
    /// Kernel name and release.
    pub kernel: Option<String>,
    /// Model of the first CPU.
    pub cpu: Option<String>,
    /// Number of CPUs that are online.
    pub cpus: usize,
    /// CPUs that the generator may use.
    pub cpus_allowed: Vec<usize>,
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
}

impl Machine {
    /// Describes this machine.
    pub fn here() -> Machine {
        let line = |file: &str, name: &str| {
            let text = read_to_string(file).ok()?;
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let word = |file: &str| read_to_string(file).ok().map(|text| text.trim().to_owned());
        let memory = line("/proc/meminfo", "MemTotal");
        Machine {
            host: word("/proc/sys/kernel/hostname"),
            kernel: word("/proc/sys/kernel/osrelease").map(|release| format!("Linux {release}")),
            cpu: line("/proc/cpuinfo", "model name"),
            cpus: online_cpus(),
            cpus_allowed: allowed_cpus(),
            memory_bytes: memory.and_then(|text| Some(text.split(' ').next()?.parse::<u64>().ok()? * 1024)),
        }
    }
}

/// Number of CPUs that are online on this machine.
pub fn online_cpus() -> usize {
    use nix::unistd::{SysconfVar, sysconf};
    let online = sysconf(SysconfVar::_NPROCESSORS_ONLN).ok().flatten();
    online.map_or(1, |count| count.max(1) as usize)
}

/// Year, month, day, hour, minute, second in UTC.
fn civil(time: SystemTime) -> [u64; 6] {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days: years begin in March.
    let z = days + 719_468;
    let era = z / 146_097;
    let day_of_era = z % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    [year, month, day, rest / 3600, rest / 60 % 60, rest % 60]
}

/// Formats the time as in RFC 3339, in UTC.
pub fn rfc3339(time: SystemTime) -> String {
    let [year, month, day, hour, minute, second] = civil(time);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The name of a run that begins at `time`: `20261123-194500-1a2b`. The last digits are derived from the nanoseconds.
pub fn run_id(time: SystemTime) -> String {
    let [year, month, day, hour, minute, second] = civil(time);
    let mut nanos = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_nanos() as u64;
    let random = crate::plan::splitmix(&mut nanos) & 0xffff;
    format!("{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}-{random:04x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_follow_the_gregorian_calendar() {
        let at = |seconds| rfc3339(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(at(1_709_164_799), "2024-02-28T23:59:59Z");
        assert_eq!(at(4_102_444_799), "2099-12-31T23:59:59Z");
    }
}
