//! Figures of a trial, and their medians and intervals over several trials.

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
    /// Summarises the values of the trials; `None` if there are none.
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
        Some(Figure { median: nine_digits(median), low: low.map(nine_digits), high: high.map(nine_digits) })
    }
}

/// Rounds to nine significant digits: more than any measurement has, and few enough to survive JSON unchanged.
pub(crate) fn nine_digits(value: f64) -> f64 {
    format!("{value:.8e}").parse().unwrap_or(value)
}

/// The number of sorted values to leave out at either end of the interval; `None` with fewer than five values.
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

/// Declares a group of figures that has the same fields for a trial (`T = Option<f64>`) and for a cell (`T =
/// Option<Figure>`).
macro_rules! figures {
    ($(#[$about:meta])* $name:ident { $($(#[$field_about:meta])* $field:ident),* $(,)? }) => {
        $(#[$about])*
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(bound(deserialize = "T: Default + Deserialize<'de>"), default)]
        pub struct $name<T> {
            $($(#[$field_about])* pub $field: T,)*
        }

        impl $name<Option<f64>> {
            /// Summarises the trials: `figure` gets the name of each figure and its values.
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
        /// The maximum.
        max,
    }
}

figures! {
    /// The target's cost in the window.
    ServerCost {
        /// CPU time per request, in microseconds, over the whole process tree.
        cpu_us_per_request,
        /// CPU time in user mode per request, in microseconds.
        user_us_per_request,
        /// CPU time in the kernel per request, in microseconds.
        system_us_per_request,
        /// CPUs in use on average: CPU time over the length of the window.
        cpus_used,
        /// Memory under load in bytes, at the end of the window.
        memory_bytes,
        /// The highest memory use so far, in bytes.
        peak_memory_bytes,
        /// Growth of memory under load, divided by the number of connections (background connections included), in
        /// bytes. Meaningful only for a target that was started for this trial.
        memory_bytes_per_connection,
        /// Processes at the end of the window.
        processes,
        /// Threads at the end of the window.
        threads,
        /// Open descriptors at the end of the window.
        open_fds,
        /// Voluntary context switches per request: a thread had to wait.
        voluntary_switches_per_request,
        /// Involuntary context switches per request: a thread's time slice was over.
        involuntary_switches_per_request,
        /// Minor page faults per request, which need no input from a disk.
        minor_faults_per_request,
        /// Major page faults per request, which need input from a disk.
        major_faults_per_request,
        /// System calls per request, as counted by the service's own code.
        syscalls_per_request,
    }
}

figures! {
    /// The load generator's own cost in the window.
    ClientCost {
        /// CPU time of all client threads per request, without fruitless polling, in microseconds.
        cpu_us_per_request,
        /// Share of the window that the busiest client thread was on a CPU, without fruitless polling, 0 to 1.
        busiest_thread,
        /// The largest share of the window that a client thread spent on fruitless polling, because its next request
        /// was due too soon for a sleep, 0 to 1.
        polling,
        /// The largest share of the window for which a client thread was ready to run but had no CPU, 0 to 1.
        longest_cpu_wait,
        /// Connections that were established at the end of the window.
        established,
    }
}

figures! {
    /// How well an open loop's schedule was kept. Empty in a closed loop.
    Pace {
        /// Requests a second that were due in the window.
        offered_per_second,
        /// Complete answers a second, as a share of the offered rate.
        achieved_share,
        /// Requests that were due in the window and still waited for a connection at its end; they are among the
        /// requests with the outcome `aborted_at_end`.
        unsent,
    }
}

#[cfg(test)]
mod coverage;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_has_the_median_and_its_order_statistics_interval() {
        assert_eq!(Figure::of(&[]), None);
        assert_eq!(Figure::of(&[4.0, 2.0]), Some(Figure { median: 3.0, low: None, high: None }));
        let five = Figure::of(&[5.0, 1.0, 4.0, 2.0, 3.0]).unwrap();
        assert_eq!((five.median, five.low, five.high), (3.0, Some(1.0), Some(5.0)));
        // According to the binomial tables, ranks 2 and 8 of 9 contain the median in 96.1 %, ranks 3 and 7 in 82 %.
        assert_eq!(interval(9), Some(1));
        assert_eq!(interval(20), Some(5));
    }
}
