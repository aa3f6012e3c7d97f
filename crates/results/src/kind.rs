//! The kinds of loads that questions are about.

use crate::load::{Load, PerConnection};
use crate::schedule::Schedule;
use crate::units::number;

/// What a load is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Connections that carry one request after the other.
    KeepAlive,
    /// A new connection for each request.
    OneRequest,
    /// Requests beside connections that stay idle.
    BesideIdle,
    /// Requests that wait, as for a slow backend: `/sleep/MS` in a closed loop.
    SlowBackend,
    /// Requests beside clients whose requests compute for long.
    BesideBusy,
    /// Something else.
    Other,
}

impl Kind {
    /// The kind of this load. A schedule that gives each target a rate of its own makes no kind.
    pub(crate) fn of(load: &Load) -> Kind {
        let background = &load.background;
        let is_unlimited = load.requests_per_connection == PerConnection::UNLIMITED;
        let total = background.total();
        match load.schedule {
            Schedule::Share(_) | Schedule::Knee(_) => Kind::Other,
            _ if total > 0 && background.idle == total => Kind::BesideIdle,
            _ if total > 0 && background.busy == total => Kind::BesideBusy,
            _ if total > 0 => Kind::Other,
            Schedule::Closed if is_unlimited && delay(load).is_some() => Kind::SlowBackend,
            _ if delay(load).is_some() => Kind::Other,
            _ if is_unlimited => Kind::KeepAlive,
            _ if load.requests_per_connection.0.is_some_and(|limit| limit.get() == 1) => Kind::OneRequest,
            _ => Kind::Other,
        }
    }
}

/// The seconds for which a request of this load sleeps; `None` if its workload is not `/sleep/MS`.
pub(crate) fn delay(load: &Load) -> Option<f64> {
    let millis: u32 = load.workload.strip_prefix("/sleep/")?.parse().ok()?;
    (millis > 0).then(|| f64::from(millis) / 1e3)
}

/// Names a load within a sentence, as in "with keep-alive", and in brackets what tells it from others of its kind.
pub(crate) fn phrase(load: &Load, of_its_kind: &[&Load]) -> String {
    let kind = Kind::of(load);
    let base = match kind {
        Kind::KeepAlive => "with keep-alive".into(),
        Kind::OneRequest => format!("with {}", load.requests_per_connection),
        Kind::BesideIdle => format!("beside {}", number(load.background.idle, "idle connection")),
        Kind::SlowBackend => format!("at {}", load.workload),
        Kind::BesideBusy => format!("beside {}", load.background),
        Kind::Other => return format!("at {load}"),
    };
    let differ = |same: fn(&Load, &Load) -> bool| of_its_kind.iter().any(|other| !same(load, other));
    let mut apart = Vec::new();
    if kind != Kind::SlowBackend && differ(|a, b| a.workload == b.workload) {
        apart.push(load.workload.clone());
    }
    if differ(|a, b| a.concurrency == b.concurrency) {
        apart.push(number(load.concurrency, "connection"));
    }
    if differ(|a, b| a.schedule == b.schedule) {
        apart.push(load.schedule.to_string());
    }
    if differ(|a, b| a.requests_per_connection == b.requests_per_connection) {
        apart.push(load.requests_per_connection.to_string());
    }
    if apart.is_empty() { base } else { format!("{base} ({})", apart.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::background::BackgroundLoad;

    #[test]
    fn a_load_is_of_a_kind() {
        let one = PerConnection("1".parse().ok());
        let ten = PerConnection("10".parse().ok());
        let sleep = Load { workload: "/sleep/20".into(), ..Load::default() };
        let beside = |idle, busy, resetters| {
            let background = BackgroundLoad { idle, busy, resetters, ..BackgroundLoad::default() };
            Load { background, schedule: Schedule::Rate(200.0), ..Load::default() }
        };
        for (load, kind) in [
            (Load::default(), Kind::KeepAlive),
            (Load { schedule: Schedule::Rate(500.0), ..Load::default() }, Kind::KeepAlive),
            (Load { schedule: Schedule::Knee(10.0), ..Load::default() }, Kind::Other),
            (Load { requests_per_connection: one, ..Load::default() }, Kind::OneRequest),
            (Load { requests_per_connection: ten, ..Load::default() }, Kind::Other),
            (sleep.clone(), Kind::SlowBackend),
            (Load { requests_per_connection: one, ..sleep.clone() }, Kind::Other),
            (Load { schedule: Schedule::Rate(9.0), ..sleep }, Kind::Other),
            (beside(1_000, 0, 0), Kind::BesideIdle),
            (beside(0, 2, 0), Kind::BesideBusy),
            (beside(1_000, 2, 0), Kind::Other),
            (beside(0, 0, 1), Kind::Other),
        ] {
            assert_eq!(Kind::of(&load), kind, "{load}");
        }
    }

    #[test]
    fn loads_of_one_kind_are_told_apart_by_what_differs() {
        let load = |workload: &str, concurrency| Load { workload: workload.into(), concurrency, ..Load::default() };
        let (a, b, c) = (load("/", 1), load("/", 64), load("/files/64k", 64));
        assert_eq!(phrase(&a, &[&a]), "with keep-alive");
        let one = Load { requests_per_connection: PerConnection("1".parse().ok()), ..load("/", 64) };
        assert_eq!(phrase(&one, &[&one]), "with 1 request a connection");
        assert_eq!(phrase(&a, &[&a, &b]), "with keep-alive (1 connection)");
        assert_eq!(phrase(&c, &[&a, &b, &c]), "with keep-alive (/files/64k, 64 connections)");
    }
}
