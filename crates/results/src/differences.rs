//! In what two runs differ apart from what they measured: whether they are the same experiment.

use crate::lists::add_new;
use crate::machine::Machine;
use crate::plan::Plan;
use crate::schema::{COMMAND, Cell, Results, Target};
use crate::units::duration;
use std::collections::BTreeMap;
use std::fmt::Debug;

/// What makes a comparison of two runs unfair, a line each: trials that both have, and differences of the experiments.
pub fn doubts(first: &Results, second: &Results) -> Vec<String> {
    let common = common_runs(first, second).into_iter().map(|run| format!("both have the trials of run {run}"));
    common.chain(differences(first, second)).collect()
}

/// What makes the runs different experiments, a line each: schema, machine, window, arrivals, limits, threads, CPUs,
/// what requests carry, flags of the targets, or commands of guests. Empty if they are the same experiment. Runs may differ
/// in what they measure, and in how often: their cells are matched by target and load.
pub fn differences(first: &Results, second: &Results) -> Vec<String> {
    let mut found = Vec::new();
    if first.schema != second.schema {
        let why = "figures changed their meaning";
        found.push(format!("schema: {} and {}, between which {why}", first.schema, second.schema));
    }
    found.extend(machines(&first.machine, &second.machine));
    found.extend(plans(&first.settings, &second.settings));
    found.extend(flags(first, second));
    found.extend(commands(first, second));
    for mine in &first.cells {
        let theirs = second.cells.iter().find(|theirs| theirs.key == mine.key);
        if let Some((mine_cpus, cpus)) = theirs.and_then(|theirs| mine.server_cpus.zip(theirs.server_cpus))
            && mine_cpus != cpus
        {
            let Cell { key, .. } = mine;
            let line = format!("number of CPUs that {} may use: {mine_cpus} and {cpus}", key.target);
            add_new(&mut found, [line]);
        }
    }
    found
}

/// In what else the runs differ, a line each: the state of the machine, the programs, and what targets state of
/// themselves. It may be what a comparison is about, so it makes no different experiments; but a change may come from it.
/// What only one of the runs says makes no difference.
pub fn circumstances(first: &Results, second: &Results) -> Vec<String> {
    let mut found = unlike_texts("", &first.machine.provenance, &second.machine.provenance);
    for (target, mine) in &first.targets {
        if let Some(theirs) = second.targets.get(target) {
            found.extend(unlike_texts(&format!("{target}: "), &other_facts(mine), &other_facts(theirs)));
        }
    }
    found
}

/// What a target states besides its command, which makes different experiments.
fn other_facts(said: &Target) -> BTreeMap<String, String> {
    let mut facts = said.facts.clone();
    facts.retain(|name, _| name != COMMAND || said.command().is_none());
    facts
}

fn unlike_texts(of: &str, first: &BTreeMap<String, String>, second: &BTreeMap<String, String>) -> Vec<String> {
    let both = first.iter().filter_map(|(name, mine)| Some((name, mine, second.get(name)?)));
    both.filter_map(|(name, mine, theirs)| unlike(&format!("{of}{name}"), mine, theirs, String::clone)).collect()
}

/// The flags of the targets that both runs have: those of `--set`, and, where both say it, all that were given.
fn flags(first: &Results, second: &Results) -> Vec<String> {
    let both = first.settings.targets.iter().filter(|target| second.settings.targets.contains(target));
    let shown = |flags: &BTreeMap<String, String>| {
        let flags: Vec<String> = flags.iter().map(|(flag, value)| format!("--{flag}={value}")).collect();
        if flags.is_empty() { "none".to_owned() } else { flags.join(" ") }
    };
    let mut found = Vec::new();
    for target in both {
        let said = first.targets.get(target).zip(second.targets.get(target));
        let set = [first, second].map(|run| run.settings.set.get(target).cloned().unwrap_or_default());
        let [mine, theirs] = match said {
            Some((mine, theirs)) if mine.given != theirs.given => [mine, theirs].map(|said| said.given.clone()),
            _ => set,
        };
        if mine != theirs {
            found.push(format!("flags of {target}: {} and {}", shown(&mine), shown(&theirs)));
        }
    }
    found
}

/// The guests whose commands are not the same.
fn commands(first: &Results, second: &Results) -> Vec<String> {
    let both = first.targets.iter().filter_map(|(target, mine)| Some((target, mine, second.targets.get(target)?)));
    let unlike = both.filter_map(|(target, mine, theirs)| {
        unlike(&format!("command of {target}"), mine.command()?, theirs.command()?, String::clone)
    });
    unlike.collect()
}

/// The runs that have trials in both: a merged run has those of all its runs.
pub fn common_runs(first: &Results, second: &Results) -> Vec<String> {
    let theirs: Vec<&str> = second.run_id.split('+').collect();
    first.run_id.split('+').filter(|run| theirs.contains(run)).map(str::to_owned).collect()
}

/// The host name tells machines apart only if they were not the same boot of the same kernel: in a container it is the
/// container's, a new one in each run.
fn machines(first: &Machine, second: &Machine) -> Vec<String> {
    let mut found = Vec::new();
    let is_same_boot = first.boot_id.is_some() && first.boot_id == second.boot_id;
    if !is_same_boot {
        found.extend(unlike("host", &first.host, &second.host, text));
    }
    found.extend(unlike("kernel", &first.kernel, &second.kernel, text));
    found.extend(unlike("CPU", &first.cpu, &second.cpu, text));
    found.extend(unlike("number of CPUs", &first.cpus, &second.cpus, shown));
    found.extend(unlike("bytes of memory", &first.memory_bytes, &second.memory_bytes, |bytes| {
        bytes.map_or("unknown".into(), |bytes| bytes.to_string())
    }));
    let allowed = "CPUs that the load generator may use";
    found.extend(unlike(allowed, &first.cpus_allowed, &second.cpus_allowed, shown));
    found
}

fn plans(first: &Plan, second: &Plan) -> Vec<String> {
    let mut found = Vec::new();
    found.extend(unlike("duration", &first.duration, &second.duration, |&time| duration(time)));
    found.extend(unlike("warm-up", &first.warmup, &second.warmup, |&time| duration(time)));
    found.extend(unlike("arrivals", &first.arrivals, &second.arrivals, |arrivals| shown(arrivals).to_lowercase()));
    found.extend(unlike("threads", &first.threads, &second.threads, shown));
    found.extend(unlike("CPUs of the threads", &first.cpus, &second.cpus, shown));
    found.extend(unlike("timeout", &first.timeout, &second.timeout, |&time| duration(time)));
    found.extend(unlike("connect timeout", &first.connect_timeout, &second.connect_timeout, |&time| duration(time)));
    let theirs = second.requested();
    for workload in first.requested().into_iter().filter(|workload| theirs.contains(workload)) {
        if first.content_of(workload) != second.content_of(workload) {
            add_new(&mut found, [format!("the requests of {workload} differ in header fields, body or paths")]);
        }
    }
    found
}

fn unlike<T: PartialEq>(what: &str, first: &T, second: &T, show: fn(&T) -> String) -> Option<String> {
    (first != second).then(|| format!("{what}: {} and {}", show(first), show(second)))
}

fn text(text: &Option<String>) -> String {
    text.clone().unwrap_or_else(|| "unknown".into())
}

fn shown(value: &impl Debug) -> String {
    format!("{value:?}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Content;
    use crate::plan::Twice;
    use crate::schedule::Arrivals;
    use crate::schema::tests::run;
    use std::time::Duration;

    #[test]
    fn each_difference_has_its_line() {
        let first = run("r", &[("a", 100.0)], 1);
        assert!(differences(&first, &run("s", &[("a", 50.0), ("b", 1.0)], 7)).is_empty());
        let line = |change: fn(&mut Results)| {
            let mut first = first.clone();
            first.cells[0].server_cpus = Some(1);
            let mut second = Results { run_id: "s".into(), ..first.clone() };
            change(&mut second);
            let lines = differences(&first, &second);
            assert_eq!(lines.len(), 1, "{lines:?}");
            lines.concat()
        };
        assert_eq!(
            line(|it| it.schema = "x".into()),
            "schema: io-models-lab/results/2 and x, between which figures changed their meaning"
        );
        assert_eq!(line(|it| it.machine.host = Some("h".into())), "host: unknown and h");
        assert_eq!(line(|it| it.machine.kernel = Some("Linux 9".into())), "kernel: unknown and Linux 9");
        assert_eq!(line(|it| it.machine.cpu = Some("c".into())), "CPU: unknown and c");
        assert_eq!(line(|it| it.machine.cpus = 9), "number of CPUs: 2 and 9");
        assert_eq!(line(|it| it.machine.memory_bytes = Some(9)), "bytes of memory: unknown and 9");
        assert_eq!(
            line(|it| it.machine.cpus_allowed = vec![1]),
            "CPUs that the load generator may use: [0, 1] and [1]"
        );
        assert_eq!(line(|it| it.settings.duration *= 2), "duration: 5.0s and 10.0s");
        assert_eq!(line(|it| it.settings.warmup = Duration::ZERO), "warm-up: 500ms and 0ms");
        assert_eq!(line(|it| it.settings.threads = 3), "threads: 1 and 3");
        assert_eq!(line(|it| it.settings.cpus = vec![1]), "CPUs of the threads: [] and [1]");
        assert_eq!(line(|it| it.settings.timeout *= 2), "timeout: 10.0s and 20.0s");
        assert_eq!(line(|it| it.settings.connect_timeout *= 2), "connect timeout: 5.0s and 10.0s");
        assert_eq!(line(|it| it.settings.arrivals = Arrivals::Poisson), "arrivals: even and poisson");
        let set = |it: &mut Results| {
            it.settings.set.insert("a".into(), [("workers".into(), "16".into())].into());
        };
        assert_eq!(line(set), "flags of a: none and --workers=16");
        let carries = |it: &mut Results| {
            it.settings.content.insert("/".into(), Content { headers: vec!["A: b".into()], ..Content::default() });
        };
        assert_eq!(line(carries), "the requests of / differ in header fields, body or paths");
        assert_eq!(line(|it| it.cells[0].server_cpus = Some(2)), "number of CPUs that a may use: 1 and 2");
    }

    #[test]
    fn what_is_measured_and_how_often_makes_no_difference() {
        let first = run("r", &[("a", 100.0)], 1);
        let mut second = run("s", &[("a", 100.0)], 4);
        second.settings.loads[0].background.idle = 1_000;
        second.settings.trials = 4;
        second.settings.twice = vec![Twice { target: "a".into(), load: 0 }];
        (second.settings.budget, second.settings.precision) = (Some(Duration::from_secs(300)), Some(0.05));
        second.remarks = vec!["1 of 4 blocks left out".into()];
        assert_eq!(differences(&first, &second), Vec::<String>::new());
        assert_eq!(circumstances(&first, &second), Vec::<String>::new());
    }

    #[test]
    fn flags_that_targets_were_given_are_a_difference_and_what_else_they_state_is_a_circumstance() {
        let with = |given: &str, fact: &str, commit: &str| {
            let mut run = run("r", &[("a", 100.0)], 1);
            let text = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
            let said = Target { given: text("workers", given), facts: text("backlog", fact), ..Target::default() };
            run.targets.insert("a".into(), said);
            run.machine.provenance = text("commit", commit);
            run
        };
        let first = with("16", "512", "1f2e");
        let other = with("8", "4096", "9a8b");
        assert_eq!(differences(&first, &other), ["flags of a: --workers=16 and --workers=8"]);
        assert_eq!(circumstances(&first, &other), ["commit: 1f2e and 9a8b", "a: backlog: 512 and 4096"]);
        let silent = Results { targets: BTreeMap::new(), ..run("s", &[("a", 100.0)], 1) };
        assert!(differences(&first, &silent).is_empty() && circumstances(&first, &silent).is_empty());
    }

    #[test]
    fn a_guest_with_another_command_is_another_experiment_and_of_another_version_a_circumstance() {
        let with = |command: &str, version: &str| {
            let mut run = run("r", &[("mine", 100.0)], 1);
            let facts = [("command", command), ("version", version)];
            let facts = facts.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
            run.targets.insert("mine".into(), Target { facts, is_guest: true, ..Target::default() });
            run
        };
        let (first, other) = (with("./mine {port}", "1.0"), with("./mine -j {port}", "2.0"));
        assert_eq!(differences(&first, &other), ["command of mine: ./mine {port} and ./mine -j {port}"]);
        assert_eq!(circumstances(&first, &other), ["mine: version: 1.0 and 2.0"]);
        assert!(differences(&first, &with("./mine {port}", "2.0")).is_empty());
    }

    #[test]
    fn containers_of_one_host_are_one_machine_and_a_boot_that_is_not_known_says_nothing() {
        let on = |host: &str, boot: Option<&str>| {
            let mut run = run("r", &[("a", 100.0)], 1);
            (run.machine.host, run.machine.boot_id) = (Some(host.into()), boot.map(str::to_owned));
            run
        };
        assert!(differences(&on("1f2e", Some("x")), &on("9a8b", Some("x"))).is_empty());
        assert!(differences(&on("h", Some("x")), &on("h", Some("y"))).is_empty(), "it was started again");
        assert!(differences(&on("h", None), &on("h", Some("y"))).is_empty(), "the first file is older");
        assert_eq!(differences(&on("1f2e", Some("x")), &on("9a8b", Some("y"))), ["host: 1f2e and 9a8b"]);
        assert_eq!(differences(&on("1f2e", None), &on("9a8b", None)), ["host: 1f2e and 9a8b"]);
    }

    #[test]
    fn a_merged_run_has_trials_in_common_with_each_of_its_runs() {
        let of = |id: &str| run(id, &[("a", 100.0)], 1);
        assert_eq!(common_runs(&of("r+s"), &of("s+t")), ["s"]);
        assert!(common_runs(&of("r+s"), &of("t")).is_empty());
    }
}
