//! The targets of a run: what makes them ready for a trial, and whether they are.

use crate::cost::CostSource;
use crate::target::Url;
use crate::{prometheus_text, scrape};
use results::lacks::{Lack, why};
use results::{Load, Target};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// The server that a trial loads, and the source of its cost.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Where the target listens; the path does not matter.
    pub url: Url,
    /// The source of its cost.
    pub cost: CostSource,
    /// CPUs that the target may run on, as far as they are known before the load. In a trial the target's affinity is read,
    /// and the lesser number counts; if neither is known, all CPUs of this machine. The verdict needs it to tell whether the
    /// target was saturated.
    pub cpus: Option<usize>,
    /// What the target says of itself.
    pub says: Target,
}

/// Why a target cannot be measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotReady {
    /// It cannot work on this machine; its cells read "unsupported".
    Unsupported(String),
    /// It does not answer, or it could not be started.
    Unreachable(String),
}

/// The targets of a run.
pub trait Fleet {
    /// Makes a target ready for a trial under this load: starts it, or does nothing. Called before each trial of each of its
    /// cells.
    ///
    /// # Errors
    /// Why the target cannot be measured; the run continues with the next cell.
    fn ready(&mut self, target: &str, load: &Load) -> Result<Endpoint, NotReady>;

    /// A trial of the target is over, whether or not it could be measured.
    fn finished(&mut self, _target: &str) {}
}

/// The workloads that single targets do not have, as the check before the run has found: their loads are not measured.
#[derive(Clone, Debug, Default)]
pub struct Lacks(BTreeMap<String, BTreeMap<String, Lack>>);

/// What an answer with this status shows of a server of others: that it does not have what was requested. `None` for a status
/// that does not show that, be it of a success or of a failure.
pub fn lacks(status: u16) -> Option<Lack> {
    matches!(status, 403 | 404 | 405 | 501).then_some(Lack::Status(status))
}

impl Lacks {
    /// The target does not have this workload: its answer has shown it, as [`lacks`] says.
    pub fn add(&mut self, target: &str, workload: &str, lack: impl Into<Lack>) {
        self.0.entry(target.into()).or_default().insert(workload.into(), lack.into());
    }

    /// Why the target cannot be measured under this load, if it lacks one of its workloads.
    pub fn why_not(&self, target: &str, load: &Load) -> Option<NotReady> {
        let lacks = self.0.get(target)?;
        let (workload, lack) = load.requested().find_map(|workload| lacks.get_key_value(workload))?;
        Some(NotReady::Unsupported(why(workload, *lack)))
    }
}

/// What one of the lab's services says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Supported {
    /// The number of CPUs that the service may run on, if its metrics have it.
    pub cpus: Option<usize>,
    /// Its flags and its facts.
    pub says: Target,
}

/// Asks one of the lab's services, by the URL of its metrics, whether its I/O model works on its machine, and how it is
/// configured.
///
/// # Errors
/// `Unsupported` with the reason that the service gives, or `Unreachable`.
pub fn supported(metrics: &Url, timeout: Duration) -> Result<Supported, NotReady> {
    let unreachable = |error| NotReady::Unreachable(format!("its metrics at {metrics}: {error}"));
    let (_, text) = scrape::get(metrics, timeout).map_err(unreachable)?;
    let figure = |name| prometheus_text::total(&String::from_utf8_lossy(&text), name, "");
    let supported = figure("server_supported").ok_or_else(|| {
        let why =
            format!("{metrics} has no metrics of one of the lab's services; for another server, give --target-pid");
        NotReady::Unreachable(why)
    })?;
    let info = scrape::get(&metrics.with_path("/info"), timeout).map(|(_, body)| body);
    let info: Value = serde_json::from_slice(&info.unwrap_or_default()).unwrap_or_default();
    if supported != 0.0 {
        let cpus = figure("server_cpus").map(|cpus| cpus as usize);
        return Ok(Supported { cpus, says: says(&info) });
    }
    let reason = info["unsupported"].as_str().unwrap_or("it says so, without a reason");
    Err(NotReady::Unsupported(reason.into()))
}

/// What a page /info says of the flags, the facts of the model, the limits, and the sources of the figures.
fn says(info: &Value) -> Target {
    let mut target = Target { is_guest: info["guest"].is_object(), ..Target::default() };
    collect(&info["given"], &mut target.given);
    for group in ["model", "limits"] {
        collect(&info[group], &mut target.facts);
    }
    let single = ["version", "threads", "max_connections", "max_connections_set_by", "backlog"];
    for name in single.into_iter().chain(["cpu_source", "memory_source", "peak_memory_source"]) {
        target.facts.extend(text(&info[name]).map(|value| (name.to_owned(), value)));
    }
    if target.is_guest {
        target.facts.remove("version"); // the supervisor's
    }
    collect(&info["guest"], &mut target.facts);
    target
}

/// Adds the members of an object.
fn collect(object: &Value, to: &mut BTreeMap<String, String>) {
    let members = object.as_object().into_iter().flatten();
    to.extend(members.filter_map(|(name, value)| Some((name.clone(), text(value)?))));
}

/// A string or a number as text; `None` for null and for lists.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_says_its_flags_and_its_facts() {
        let info = serde_json::json!({
            "given": {"workers": "16"},
            "model": {"workers": "16", "accept": "one thread"},
            "limits": {"head_seconds": 10.0},
            "threads": 2, "backlog": 4096, "version": "1.0", "model_pid": 7,
            "cpu_source": null, "memory_source": "pss",
        });
        let guest = serde_json::json!({"version": "1.0", "guest": {"command": "./mine {port}"}});
        assert_eq!(super::says(&guest).facts.into_keys().collect::<Vec<_>>(), ["command"]);
        let says = says(&info);
        let given: Vec<_> = says.given.into_iter().collect();
        assert_eq!(given, [("workers".to_owned(), "16".to_owned())]);
        let facts: Vec<String> = says.facts.iter().map(|(name, value)| format!("{name} {value}")).collect();
        let expected = ["accept one thread", "backlog 4096", "head_seconds 10.0", "memory_source pss"];
        assert_eq!(facts, [&expected[..], &["threads 2", "version 1.0", "workers 16"]].concat());
        assert_eq!(super::says(&Value::Null), Target::default());
    }

    #[test]
    fn a_guest_says_its_command_and_its_own_version() {
        let guest = serde_json::json!({"command": "nginx -p {folder}", "version": "1.22.1"});
        let info = serde_json::json!({"version": "0.1.0", "guest": guest, "cpu_source": "cgroup"});
        let Target { is_guest, facts, .. } = says(&info);
        assert!(is_guest);
        let facts: Vec<(&str, &str)> = facts.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(facts, [("command", "nginx -p {folder}"), ("cpu_source", "cgroup"), ("version", "1.22.1")]);
    }

    #[test]
    fn only_few_statuses_show_that_a_server_lacks_a_workload() {
        let shown: Vec<u16> = (100..600).filter(|&status| lacks(status).is_some()).collect();
        assert_eq!(shown, [403, 404, 405, 501]);
    }

    #[test]
    fn a_load_needs_its_workload_and_those_of_its_background() {
        let mut lacks = Lacks::default();
        lacks.add("nginx", "/burn/1", 404);
        let mut load = Load { workload: "/burn/1".into(), ..Load::default() };
        let why = NotReady::Unsupported("it does not have /burn/1: it answers 404".into());
        assert_eq!(lacks.why_not("nginx", &load), Some(why.clone()));
        assert_eq!(lacks.why_not("epoll", &load), None);
        load.workload = "/".into();
        assert_eq!(lacks.why_not("nginx", &load), None);
        load.background.busy_workload = Some("/burn/1".into());
        assert_eq!(lacks.why_not("nginx", &load), Some(why));
    }
}
