//! The resource usage of processes, in the form that the supervisor adds up.

use std::time::Duration;

use scoreboard::Totals;

/// The fields of getrusage(2) that the scoreboard keeps for dead processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// CPU time, user and system together, in nanoseconds; wait4(2) reports microseconds.
    pub cpu_ns: u64,
    pub voluntary_switches: u64,
    pub involuntary_switches: u64,
    pub minor_faults: u64,
    pub major_faults: u64,
}

impl Usage {
    /// The usage of all children that some process has counted as reaped.
    pub fn of_reaped(totals: &Totals) -> Usage {
        Usage {
            cpu_ns: totals.reaped_cpu_ns,
            voluntary_switches: totals.reaped_voluntary,
            involuntary_switches: totals.reaped_involuntary,
            minor_faults: totals.reaped_minor_faults,
            major_faults: totals.reaped_major_faults,
        }
    }

    /// Combines each figure of `self` with that of `other`.
    pub fn combined(self, other: Usage, combine: fn(u64, u64) -> u64) -> Usage {
        Usage {
            cpu_ns: combine(self.cpu_ns, other.cpu_ns),
            voluntary_switches: combine(self.voluntary_switches, other.voluntary_switches),
            involuntary_switches: combine(self.involuntary_switches, other.involuntary_switches),
            minor_faults: combine(self.minor_faults, other.minor_faults),
            major_faults: combine(self.major_faults, other.major_faults),
        }
    }

    /// Converts it to what wait4(2) would have reported, with all CPU time as user time: the scoreboard adds user and
    /// system time up.
    pub fn to_rusage(self) -> libc::rusage {
        let cpu = Duration::from_nanos(self.cpu_ns);
        // SAFETY: a `rusage` consists of numbers only, for which zero is valid.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        usage.ru_utime.tv_sec = cpu.as_secs() as libc::time_t;
        usage.ru_utime.tv_usec = cpu.subsec_micros() as libc::suseconds_t;
        usage.ru_nvcsw = self.voluntary_switches as libc::c_long;
        usage.ru_nivcsw = self.involuntary_switches as libc::c_long;
        usage.ru_minflt = self.minor_faults as libc::c_long;
        usage.ru_majflt = self.major_faults as libc::c_long;
        usage
    }
}

impl From<&libc::rusage> for Usage {
    fn from(usage: &libc::rusage) -> Usage {
        let ns = |t: libc::timeval| t.tv_sec as u64 * 1_000_000_000 + t.tv_usec as u64 * 1_000;
        Usage {
            cpu_ns: ns(usage.ru_utime) + ns(usage.ru_stime),
            voluntary_switches: usage.ru_nvcsw as u64,
            involuntary_switches: usage.ru_nivcsw as u64,
            minor_faults: usage.ru_minflt as u64,
            major_faults: usage.ru_majflt as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_survives_the_conversion_to_rusage_and_back() {
        let usage = Usage {
            cpu_ns: 3_000_002_000,
            voluntary_switches: 1,
            involuntary_switches: 2,
            minor_faults: 3,
            major_faults: 4,
        };
        assert_eq!(Usage::from(&usage.to_rusage()), usage);
    }
}
