//! The figures: what is measured in each trial of a cell. Each figure is declared once, in one line, and all else follows
//! from that line: its place in results.json, its reason in `missing`, its columns in the CSV file, its series in
//! Prometheus, and its row in `FIGURES.md`.

use crate::statistics::Figure;
use crate::units::nine_digits;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The path of CPU time a request, the figure that does not depend on what the load generator can do.
pub const CPU: &str = "server.cpu_us_per_request";

/// The unit of a figure in results.json and in the CSV file. Prometheus gets base units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Microseconds; the name of the figure or of its group has the word `us`, which Prometheus has as `seconds`.
    Microseconds,
    /// Bytes; the name has the word `bytes`.
    Bytes,
    /// A number: of processes, of events a request, of CPUs.
    Number,
    /// A number a second.
    PerSecond,
    /// A share, 0 to 1.
    Share,
}

impl Unit {
    /// How the unit is called in the documentation.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Microseconds => "µs",
            Unit::Bytes => "bytes",
            Unit::Number => "number",
            Unit::PerSecond => "a second",
            Unit::Share => "0 to 1",
        }
    }

    /// What a value in base units (seconds, bytes) is multiplied with to give a value in this unit.
    fn in_base_unit(self) -> f64 {
        if self == Unit::Microseconds { 1e6 } else { 1.0 }
    }
}

/// The name of a figure, with all that its declaration says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    /// The group that has the figure, as `server`; empty for the figures that are in no group.
    pub group: &'static str,
    /// What the group is.
    pub group_about: &'static str,
    /// The figure within its group.
    pub field: &'static str,
    /// Its unit.
    pub unit: Unit,
    /// What it is.
    pub about: &'static str,
}

impl Name {
    /// The path within results.json, as `server.cpu_us_per_request`. `missing` has the same key.
    pub fn path(&self) -> String {
        if self.group.is_empty() { self.field.into() } else { format!("{}.{}", self.group, self.field) }
    }

    /// The column in the CSV file.
    pub fn column(&self) -> String {
        let field = self.field;
        match (self.group, self.group.strip_suffix("_us")) {
            (_, Some(times)) => format!("{times}_{field}_us"),
            ("client", _) => format!("client_{field}"),
            _ => field.into(),
        }
    }

    /// The series in Prometheus (without its prefix), which has base units, and its quantile where that is a label.
    pub fn series(&self) -> (String, Option<String>) {
        if let (Some(times), Some(quantile)) = (self.group.strip_suffix("_us"), self.quantile()) {
            return (format!("{times}_seconds"), Some(quantile));
        }
        let column = self.column();
        let words: Vec<&str> = column.split('_').map(|word| if word == "us" { "seconds" } else { word }).collect();
        (words.join("_"), None)
    }

    /// The quantile that the field is: `p999` is 0.999, and the maximum is 1.
    fn quantile(&self) -> Option<String> {
        match self.field.strip_prefix('p') {
            Some(digits) if digits.bytes().all(|digit| digit.is_ascii_digit()) => {
                Some(format!("0.{}", digits.trim_end_matches('0')))
            }
            _ => (self.field == "max").then(|| "1".into()),
        }
    }

    /// A value in base units, as Prometheus gets it.
    pub fn base_value(&self, value: f64) -> f64 {
        nine_digits(value / self.unit.in_base_unit())
    }
}

/// Declares the groups of figures. `T` is what stands for a figure: a value, a summary over trials, or a reason.
macro_rules! figures {
    ($(
        $(#[$about:meta])*
        $group:ident {
            $($field:ident: $unit:ident = $text:literal,)*
            $(.. $inner:ident: $inner_group:ident = $inner_text:literal,)*
        }
    )*) => {$(
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(bound(deserialize = "T: Default + Deserialize<'de>"), default)]
        pub struct $group<T> {
            $(#[doc = $text] pub $field: T,)*
            $(#[doc = $inner_text] pub $inner: $inner_group<T>,)*
        }

        impl<T> $group<T> {
            /// The same value for each figure.
            pub fn all(value: T) -> Self where T: Clone {
                $group {
                    $($field: value.clone(),)*
                    $($inner: $inner_group::all(value.clone()),)*
                }
            }

            fn map_group<'t, U>(
                &'t self,
                (group, group_about): (&'static str, &'static str),
                map: &mut dyn FnMut(Name, &'t T) -> U,
            ) -> $group<U> {
                $group {
                    $($field: map(
                        Name { group, group_about, field: stringify!($field), unit: Unit::$unit, about: $text },
                        &self.$field,
                    ),)*
                    $($inner: self.$inner.map_group((stringify!($inner), $inner_text), map),)*
                }
            }
        }
    )*};
}

figures! {
    /// All figures. A line is a figure: its name, its unit and what it is. `..` begins a group of figures.
    Figures {
        throughput: PerSecond = "Requests answered with success; in an open loop those that were due in the window, whenever the answer came",
        bytes_per_second: PerSecond = "Bytes received, heads included",
        .. latency_us: Times = "Latency of successful requests, to the last byte received: in a closed loop from the first byte sent, in an open loop from when the request was due. A closed loop's maximum is at least the time for which a request in flight at the end of the window had waited",
        .. service_time_us: Times = "Service time, from the first byte sent to the last byte received; in a closed loop the same as latency",
        .. connect_us: Times = "Time to establish a connection, over the connections established within the window; not part of a closed loop's latency",
        .. schedule_lag_us: Times = "Schedule lag: how late requests were sent although a connection was free; open loop only",
        .. pace: Pace = "How well the schedule was kept; open loop only",
        .. server: ServerCost = "The target's cost in the window, over its whole process tree",
        .. client: ClientCost = "The load generator's own cost in the window",
        .. machine: MachineUse = "What else happened on this machine in the window; a CPU's time is the length of the window",
    }

    /// A distribution of times. A percentile q needs 10/(1-q) samples, so that ten lie beyond it; the load generator
    /// computes it.
    Times {
        mean: Microseconds = "Arithmetic mean",
        p50: Microseconds = "Median",
        p90: Microseconds = "90th percentile",
        p99: Microseconds = "99th percentile",
        p999: Microseconds = "99.9th percentile",
        max: Microseconds = "Maximum",
    }

    /// How well an open loop's schedule was kept.
    Pace {
        offered_per_second: PerSecond = "Requests that were due in the window",
        achieved_share: Share = "Complete answers that came in the window, to whichever requests, as a share of the requests that were due in it: about 1 if the target keeps up, more or less by the requests that cross the ends of the window",
        largest_burst: Number = "The most complete answers that came within a twentieth of the window, to whichever requests",
        unsent: Number = "Requests that were due in the window and still waited for a connection at its end; they were sent or given up after it",
    }

    /// The target's cost in the window.
    ServerCost {
        cpu_us_per_request: Microseconds = "CPU time a request",
        user_us_per_request: Microseconds = "CPU time in user mode a request",
        system_us_per_request: Microseconds = "CPU time in the kernel a request",
        cpus_used: Number = "CPUs in use on average: CPU time over the length of the window",
        memory_bytes: Bytes = "User memory while the load is on: the median of several samples",
        peak_memory_bytes: Bytes = "The highest user memory of the trial",
        kernel_memory_bytes: Bytes = "Growth of the kernel's memory for the target while the load is on: stacks, page tables, sockets and other structures",
        memory_bytes_per_connection: Bytes = "User and kernel memory a connection, the sum of the next two",
        user_memory_bytes_per_connection: Bytes = "Growth of user memory while the load is on, divided by the number of connections that the target has answered, background connections included; null if more than 1 % of the established ones wait for their first answer, or if the target had a process or a thread for each before; meaningful only for a target that was started for this trial, and with many connections: with few it is mostly what the target itself takes as it warms up; 0 where the memory shrank by at most 64 KiB, which is noise",
        kernel_memory_bytes_per_connection: Bytes = "Growth of the kernel's memory for the target, divided by the same number",
        processes: Number = "Processes while the load is on: the median of several samples",
        threads: Number = "Threads while the load is on: the median of several samples",
        open_fds: Number = "Open descriptors while the load is on: the median of several samples",
        voluntary_switches_per_request: Number = "Voluntary context switches a request: a thread had to wait",
        involuntary_switches_per_request: Number = "Involuntary context switches a request: a thread's time slice was over",
        minor_faults_per_request: Number = "Minor page faults a request, which need no input from a disk",
        major_faults_per_request: Number = "Major page faults a request, which need input from a disk",
        syscalls_per_request: Number = "System calls a request, as counted by the service's own code",
        supervisor_cpus_used: Number = "CPUs that the service's supervisor used on average, which are not part of the target's cost",
    }

    /// The load generator's own cost in the window.
    ClientCost {
        cpu_us_per_request: Microseconds = "CPU time of all client threads a request, without fruitless polling",
        busiest_thread: Share = "Share of the window that the busiest client thread was on a CPU, without fruitless polling",
        polling: Share = "The largest share of the window that a client thread spent on fruitless polling, because its next request was due too soon for a sleep",
        longest_cpu_wait: Share = "The largest share of the window for which a client thread was ready to run but had no CPU",
        established: Number = "Connections that were established at the end of the window, those that wait in the target's backlog included",
    }

    /// What else happened on this machine in the window.
    MachineUse {
        foreign_on_server_cpus: Share = "Share of the time of the target's CPUs that other programs used, neither the target nor the load generator: at least this, as what clock ticks may hide is not counted",
        foreign_on_client_cpus: Share = "The same, of the load generator's CPUs",
        steal: Share = "Share of its time that the hypervisor gave to other machines, of the CPU that lost most among all these",
        cpu_pressure: Share = "Share of the window in which a thread that was ready to run, of any program, waited for a CPU (PSI, some)",
        server_throttled: Share = "Share of the window for which a CPU quota kept the target from its CPUs",
        client_throttled: Share = "Share of the window for which a CPU quota kept the load generator from its CPUs",
        server_cpus_idle: Share = "Share of the time of the target's CPUs in which they had nothing to do, without that in which a program waited for a disk (idle of /proc/stat)",
        server_cpus_iowait: Share = "Share of the time of the target's CPUs in which they had nothing to do while a program waited for a disk (iowait of /proc/stat)",
        disk_bytes_per_second: PerSecond = "Bytes that the disks of this machine read, for whichever program",
    }
}

/// Why a figure of a trial has no value.
pub type Reason = String;

impl<T> Figures<T> {
    /// Maps each figure, in the order of the declaration.
    pub fn map<'t, U>(&'t self, mut map: impl FnMut(Name, &'t T) -> U) -> Figures<U> {
        self.map_group(("", ""), &mut map)
    }

    /// Each figure with its name, in the order of the declaration.
    pub fn iter(&self) -> impl Iterator<Item = (Name, &T)> {
        let mut all = Vec::new();
        self.map(|name, figure| all.push((name, figure)));
        all.into_iter()
    }

    /// The figure with this path, as `latency_us.p99`, and its name.
    ///
    /// # Panics
    /// There is no such figure.
    pub fn at(&self, path: &str) -> (Name, &T) {
        self.iter().find(|(name, _)| name.path() == path).unwrap_or_else(|| panic!("there is no figure {path}"))
    }
}

/// The names of all figures, in the order of the declaration.
pub fn names() -> impl Iterator<Item = Name> {
    Figures::all(()).iter().map(|(name, ())| name).collect::<Vec<_>>().into_iter()
}

impl Figures<Result<f64, Reason>> {
    /// The values, rounded to nine digits, and the reasons of those that could not be had. A reason that holds for all
    /// figures of a group stands there once, under the name of the group.
    pub fn values_and_missing(&self) -> (Figures<Option<f64>>, BTreeMap<String, Reason>) {
        let mut missing = BTreeMap::new();
        let mut groups: BTreeMap<&str, Vec<Option<&Reason>>> = BTreeMap::new();
        let values = self.map(|name, figure| {
            let reason = figure.as_ref().err();
            groups.entry(name.group).or_default().push(reason);
            missing.extend(reason.map(|reason| (name.path(), reason.clone())));
            figure.as_ref().ok().copied().map(nine_digits)
        });
        for (group, reasons) in groups {
            if let [Some(first), ..] = reasons[..]
                && !group.is_empty()
                && reasons.iter().all(|reason| *reason == Some(first))
            {
                missing.retain(|path, _| !path.starts_with(&format!("{group}.")));
                missing.insert(group.into(), first.clone());
            }
        }
        (values, missing)
    }
}

impl Figures<Option<Figure>> {
    /// Summarises trials. A figure needs a value in every trial, because trials that lack one (too few samples, for
    /// example) are not comparable with the others.
    pub fn summarise<'t>(trials: impl Iterator<Item = &'t Figures<Option<f64>>>) -> Figures<Option<Figure>> {
        let trials: Vec<Vec<Option<f64>>> =
            trials.map(|trial| trial.iter().map(|(_, value)| *value).collect()).collect();
        let mut figures = 0..;
        Figures::all(()).map(|_, ()| {
            let at = figures.next()?;
            Figure::of(&trials.iter().map(|values| values[at]).collect::<Option<Vec<f64>>>()?)
        })
    }
}

/// The table of all figures in Markdown, as `FIGURES.md` has it.
pub fn documentation() -> String {
    let mut text = String::from(
        "# Figures\n\n\
         What results.json has of each cell, and of each trial. `crates/results/src/figures.rs` declares each figure in one\n\
         line; this file follows from it (`cargo run -p results --example figures > crates/results/FIGURES.md`). A figure\n\
         that could not be had is null, and `missing` says why, under the figure's name or that of its group. One that may\n\
         not be compared has its reason under the same name in the cell's `flaws`. A CSV file has two more columns of each\n\
         figure, `…_low` and `…_high`.\n",
    );
    let mut group = None;
    for name in names() {
        if group.replace(name.group) != Some(name.group) {
            let about = if name.group.is_empty() {
                String::new()
            } else {
                format!("\n`{}`: {}.\n", name.group, name.group_about)
            };
            text += &format!(
                "{about}\n| results.json | unit | what it is | CSV | Prometheus: `loadtest_run_…` |\n|---|---|---|---|---|\n"
            );
        }
        let (series, quantile) = name.series();
        let label = quantile.map_or(String::new(), |quantile| format!("{{quantile=\"{quantile}\"}}"));
        text += &format!(
            "| `{}` | {} | {} | `{}` | `{series}{label}` |\n",
            name.path(),
            name.unit.name(),
            name.about,
            name.column()
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_figure_has_a_name_of_its_own_everywhere() {
        let unique = |name: fn(&Name) -> String| names().map(|n| name(&n)).collect::<BTreeSet<_>>().len();
        let count = names().count();
        assert!(count > 40, "{count}");
        assert_eq!(unique(Name::path), count);
        assert_eq!(unique(Name::column), count);
        assert_eq!(unique(|name| format!("{:?}", name.series())), count);
    }

    #[test]
    fn a_figures_name_has_its_unit() {
        for name in names() {
            let path = name.path();
            let has = |word: &str| path.split(['_', '.']).any(|part| part == word);
            assert_eq!(has("us"), name.unit == Unit::Microseconds, "{path}");
            assert_eq!(name.series().0.contains("seconds"), name.unit == Unit::Microseconds, "{path}");
            assert_eq!(has("bytes") && !has("second"), name.unit == Unit::Bytes, "{path}");
        }
    }

    #[test]
    fn the_documentation_has_every_figure() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/FIGURES.md");
        let written = std::fs::read_to_string(path).unwrap_or_default();
        let how = "cargo run -p results --example figures > crates/results/FIGURES.md";
        assert!(written == documentation(), "a figure has changed; write its documentation again: {how}");
    }

    #[test]
    fn names_follow_from_the_declaration() {
        let name = |path: &str| names().find(|name| name.path() == path).unwrap();
        for (path, column, series, quantile) in [
            ("throughput", "throughput", "throughput", None),
            ("latency_us.p999", "latency_p999_us", "latency_seconds", Some("0.999")),
            ("latency_us.p50", "latency_p50_us", "latency_seconds", Some("0.5")),
            ("latency_us.max", "latency_max_us", "latency_seconds", Some("1")),
            ("connect_us.mean", "connect_mean_us", "connect_mean_seconds", None),
            ("server.cpu_us_per_request", "cpu_us_per_request", "cpu_seconds_per_request", None),
            ("client.busiest_thread", "client_busiest_thread", "client_busiest_thread", None),
            ("server.cpus_used", "cpus_used", "cpus_used", None),
        ] {
            assert_eq!(name(path).column(), column);
            assert_eq!(name(path).series(), (series.into(), quantile.map(str::to_owned)));
        }
        assert_eq!(name("server.cpu_us_per_request").base_value(4.2), 4.2e-6);
        assert_eq!(name("server.memory_bytes").base_value(4.0), 4.0);
    }

    #[test]
    fn a_figure_without_a_value_has_its_reason_once() {
        let mut figures = Figures::all(Ok(1.0));
        figures.pace = Pace::all(Err("a closed loop".into()));
        figures.latency_us.p99 = Err("few".into());
        figures.throughput = Err("none".into());
        let (values, missing) = figures.values_and_missing();
        assert_eq!((values.pace.unsent, values.latency_us.p99, values.latency_us.p50), (None, None, Some(1.0)));
        let reasons = [("latency_us.p99", "few"), ("pace", "a closed loop"), ("throughput", "none")];
        assert_eq!(missing, reasons.map(|(name, why)| (name.to_owned(), why.to_owned())).into());
    }
}
