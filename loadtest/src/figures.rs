//! Figures of a trial, and what several trials make of them.

use serde::{Deserialize, Serialize};

/// A measured figure over the trials of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Median over the trials.
    pub median: f64,
    /// Lower end of the interval for the median; null with fewer than five trials.
    pub low: Option<f64>,
    /// Upper end of the interval for the median; null with fewer than five trials.
    pub high: Option<f64>,
}

impl Figure {
    /// Sums up the values of the trials; `None` if there are none.
    ///
    /// The interval is the narrowest pair of order statistics that holds the true median with a probability of at least
    /// 93 %, whatever the distribution: with five trials the lowest and the highest value (1 - 2 × 0.5^5 = 93.75 %).
    pub fn of(values: &[f64]) -> Option<Figure> {
        let mut values = values.to_vec();
        values.sort_unstable_by(f64::total_cmp);
        let count = values.len();
        let median = match count {
            0 => return None,
            _ if count % 2 == 1 => values[count / 2],
            _ => (values[count / 2 - 1] + values[count / 2]) / 2.0,
        };
        let cut = interval(count);
        let (low, high) = (cut.map(|cut| values[cut]), cut.map(|cut| values[count - 1 - cut]));
        Some(Figure { median: tidy(median), low: low.map(tidy), high: high.map(tidy) })
    }
}

/// Nine significant digits: more than any measurement has, and few enough to survive JSON unchanged.
pub(crate) fn tidy(value: f64) -> f64 {
    format!("{value:.8e}").parse().unwrap_or(value)
}

/// How many values to leave out at either end.
fn interval(count: usize) -> Option<usize> {
    if count < 5 {
        return None;
    }
    let mut cut = 0;
    let mut probability = 0.5f64.powi(count as i32);
    let mut tail = probability;
    loop {
        probability *= (count - cut) as f64 / (cut + 1) as f64;
        tail += probability;
        if 2.0 * tail > 0.07 {
            return Some(cut);
        }
        cut += 1;
    }
}

/// Declares a group of figures that is the same for a trial (`T = Option<f64>`) and for a cell (`T = Option<Figure>`).
macro_rules! figures {
    ($(#[$about:meta])* $name:ident { $($(#[$field_about:meta])* $field:ident),* $(,)? }) => {
        $(#[$about])*
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(bound(deserialize = "T: Default + Deserialize<'de>"), default)]
        pub struct $name<T> {
            $($(#[$field_about])* pub $field: T,)*
        }

        impl $name<Option<f64>> {
            /// Sums up the trials, each figure by `figure`, which is given its name.
            pub fn combine(
                trials: &[&Self],
                mut figure: impl FnMut(&str, Vec<Option<f64>>) -> Option<Figure>,
            ) -> $name<Option<Figure>> {
                $name { $($field: figure(stringify!($field), trials.iter().map(|trial| trial.$field).collect()),)* }
            }
        }
    };
}

figures! {
    /// A distribution of times in microseconds.
    Times {
        /// Arithmetic mean.
        mean,
        /// Median.
        p50,
        /// 90th percentile.
        p90,
        /// 99th percentile.
        p99,
        /// 99.9th percentile.
        p999,
        /// The longest.
        max,
    }
}

figures! {
    /// What the target cost in the window.
    ServerCost {
        /// CPU time a request, in microseconds, over the whole process tree.
        cpu_us_per_request,
        /// CPU time in user mode a request, in microseconds.
        user_us_per_request,
        /// CPU time in the kernel a request, in microseconds.
        system_us_per_request,
        /// CPUs in use on average: CPU time over the length of the window.
        cpus_used,
        /// Memory under load in bytes, at the end of the window.
        memory_bytes,
        /// The highest memory so far in bytes.
        peak_memory_bytes,
        /// Memory that came with the load, divided by the connections, those beside the measured ones included, in bytes.
        /// Means something for a target that was started for this trial.
        memory_bytes_per_connection,
        /// Processes at the end of the window.
        processes,
        /// Threads at the end of the window.
        threads,
        /// Open descriptors at the end of the window.
        open_fds,
        /// Context switches a request because a thread waited.
        voluntary_switches_per_request,
        /// Context switches a request because a thread's time was up.
        involuntary_switches_per_request,
        /// Page faults a request without input.
        minor_faults_per_request,
        /// Page faults a request with input.
        major_faults_per_request,
        /// System calls a request, as counted by the service's own code.
        syscalls_per_request,
    }
}

figures! {
    /// What the load generator itself cost in the window.
    ClientCost {
        /// CPU time a request of all client threads, polling in vain left out, in microseconds.
        cpu_us_per_request,
        /// Share of the window that the busiest client thread was on a CPU, polling in vain left out, 0 to 1.
        busiest_thread,
        /// Share of the window that a client thread polled in vain, its next request being due too soon for a sleep, 0 to 1;
        /// of the one that polled the most.
        polling,
        /// Share of the window that a client thread was ready to run and was kept from a CPU, 0 to 1; of the one that
        /// waited the longest.
        longest_cpu_wait,
        /// Connections that were established at the end of the window.
        established,
    }
}

figures! {
    /// How an open loop's schedule was kept. Nothing in a closed loop.
    Pace {
        /// Requests a second that were due in the window.
        offered_per_second,
        /// Complete answers a second, as a share of that.
        achieved_share,
        /// Requests that were due in the window and still waited for a connection at its end; they are among those that
        /// ended as `aborted_at_end`.
        unsent,
    }
}

#[cfg(test)]
mod coverage;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_intervals() {
        assert_eq!(Figure::of(&[]), None);
        assert_eq!(Figure::of(&[4.0, 2.0]), Some(Figure { median: 3.0, low: None, high: None }));
        let five = Figure::of(&[5.0, 1.0, 4.0, 2.0, 3.0]).unwrap();
        assert_eq!((five.median, five.low, five.high), (3.0, Some(1.0), Some(5.0)));
        // The binomial tables say: ranks 2 and 8 of 9 hold the median in 96.1 %, ranks 3 and 7 in 82 %.
        assert_eq!(interval(9), Some(1));
        assert_eq!(interval(20), Some(5));
    }
}
