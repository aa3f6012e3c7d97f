//! Everything that a target tells of its cost: [`Snapshot`]. To read it may take 20 ms.

use crate::prometheus_text;
use process_tree::Sample;
use std::time::Duration;

/// Totals and states of the target at one point in time. `None` means that the figure is missing.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Snapshot {
    /// Complete answers, as counted in the same reading.
    pub replies: Option<f64>,
    /// CPU seconds, user and system.
    pub cpu: Option<f64>,
    /// CPU seconds in user mode.
    pub user: Option<f64>,
    /// CPU seconds in the kernel.
    pub system: Option<f64>,
    /// Memory in bytes.
    pub memory: Option<f64>,
    /// The source of `memory`, as [`Sample::memory_source`].
    pub memory_source: Option<String>,
    /// The highest memory use so far, in bytes.
    pub peak_memory: Option<f64>,
    /// Living processes.
    pub processes: Option<f64>,
    /// Living threads.
    pub threads: Option<f64>,
    /// Open descriptors.
    pub open_fds: Option<f64>,
    /// Voluntary context switches: a thread had to wait.
    pub voluntary_switches: Option<f64>,
    /// Involuntary context switches: a thread's time slice was over.
    pub involuntary_switches: Option<f64>,
    /// Minor page faults, which need no input from a disk.
    pub minor_faults: Option<f64>,
    /// Major page faults, which need input from a disk.
    pub major_faults: Option<f64>,
    /// System calls that the service's own code counted.
    pub syscalls: Option<f64>,
}

impl Snapshot {
    /// Reads the metrics of one of the lab's services.
    pub fn of_metrics(text: &str) -> Snapshot {
        let total = |name: &str, label: &str| prometheus_text::total(text, name, label);
        let source = prometheus_text::label(text, "process_tree_source", "of=\"memory\"", "source");
        Snapshot {
            replies: total("http_server_requests_total", ""),
            cpu: total("process_tree_cpu_seconds_total", ""),
            user: total("process_tree_cpu_user_seconds_total", ""),
            system: total("process_tree_cpu_system_seconds_total", ""),
            memory: total("process_tree_memory_bytes", ""),
            memory_source: source.map(str::to_owned),
            peak_memory: total("process_tree_memory_peak_bytes", ""),
            processes: total("process_tree_processes", ""),
            threads: total("process_tree_threads", ""),
            open_fds: total("process_tree_open_fds", ""),
            voluntary_switches: total("process_tree_context_switches_total", "kind=\"voluntary\""),
            involuntary_switches: total("process_tree_context_switches_total", "kind=\"involuntary\""),
            minor_faults: total("process_tree_page_faults_total", "kind=\"minor\""),
            major_faults: total("process_tree_page_faults_total", "kind=\"major\""),
            syscalls: total("server_syscalls_total", ""),
        }
    }

    /// Converts the sample of a process tree, which knows neither replies nor system calls.
    pub fn of_tree(sample: &Sample) -> Snapshot {
        let float = |n: Option<u64>| n.map(|n| n as f64);
        let seconds = |time: Duration| time.as_secs_f64();
        Snapshot {
            replies: None,
            cpu: Some(seconds(sample.cpu)),
            user: sample.user.map(seconds),
            system: sample.system.map(seconds),
            memory: float(sample.memory_bytes),
            memory_source: Some(sample.memory_source.into()),
            peak_memory: float(sample.peak_memory_bytes),
            processes: Some(sample.processes as f64),
            threads: Some(sample.threads as f64),
            open_fds: float(sample.open_fds),
            voluntary_switches: float(sample.voluntary_switches),
            involuntary_switches: float(sample.involuntary_switches),
            minor_faults: float(sample.minor_faults),
            major_faults: float(sample.major_faults),
            syscalls: None,
        }
    }

    /// Whether the counters have begun anew before `later`: one of them is lower there.
    pub fn is_older_life_than(&self, later: &Snapshot) -> bool {
        let counters = |snapshot: &Snapshot| {
            let Snapshot { cpu, voluntary_switches, involuntary_switches, .. } = *snapshot;
            let Snapshot { user, system, minor_faults, major_faults, syscalls, .. } = *snapshot;
            [cpu, user, system, voluntary_switches, involuntary_switches, minor_faults, major_faults, syscalls]
        };
        let pairs = counters(self).into_iter().zip(counters(later));
        pairs.into_iter().any(|(before, after)| before.zip(after).is_some_and(|(before, after)| after < before))
    }
}

/// The median of a figure over the snapshots; `None` if one lacks it.
pub(super) fn median(snapshots: &[Snapshot], figure: impl Fn(&Snapshot) -> Option<f64>) -> Option<f64> {
    let mut values = snapshots.iter().map(figure).collect::<Option<Vec<f64>>>()?;
    values.sort_by(f64::total_cmp);
    let (below, above) = (values.get(values.len().checked_sub(1)? / 2)?, values.get(values.len() / 2)?);
    Some(below.midpoint(*above))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_read_with_their_replies_and_the_source_of_the_memory() {
        let text = "http_server_requests_total{route=\"/\",status=\"200\"} 5\n\
            http_server_requests_total{route=\"/\",status=\"404\"} 2\nprocess_tree_memory_bytes 7\n\
            process_tree_source{of=\"cpu\",source=\"clocks\"} 1\nprocess_tree_source{of=\"memory\",source=\"pss\"} 1\n";
        let snapshot = Snapshot::of_metrics(text);
        assert_eq!((snapshot.replies, snapshot.memory), (Some(7.0), Some(7.0)));
        assert_eq!(snapshot.memory_source.as_deref(), Some("pss"));
        assert_eq!(snapshot.threads, None);
    }

    #[test]
    fn a_level_is_the_median_and_needs_a_value_in_each_snapshot() {
        let with = |memory| Snapshot { memory, ..Snapshot::default() };
        let memory = |snapshot: &Snapshot| snapshot.memory;
        assert_eq!(median(&[with(Some(9.0)), with(Some(1.0)), with(Some(2.0))], memory), Some(2.0));
        assert_eq!(median(&[with(Some(9.0)), with(Some(1.0))], memory), Some(5.0));
        assert_eq!(median(&[with(Some(9.0)), with(None)], memory), None);
        assert_eq!(median(&[], memory), None);
    }
}
