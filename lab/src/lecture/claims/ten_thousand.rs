//! About 10 000 processes can be handled, and not more.

use std::time::Duration;

use results::Verdict;
use results::claims::{At, Evidence, Measure, P90, Part, Ruling, Values};

use crate::lecture::ceiling::{self, Ceiling};
use crate::lecture::experiment::{Experiment, Target};
use crate::lecture::sentence::{Judged, Seen, Sentence};

pub const SENTENCE: Sentence = Sentence {
    id: "ten-thousand",
    says: "About 10 000 processes can be handled, and not more.",
    does: "90th percentile of the latency of 8 connections at 200 requests/s, beside as many idle connections as this machine \
           allows, beside 10 000 and beside 1000; process-per-connection, and epoll to compare with. Handled: all 10 000 idle \
           connections are answered, and the ratio to 1000 is at most 3. Not more: beside the most, not all are answered, or \
           the ratio is above 3 while epoll's is at most 1.5",
    seconds: 130,
    experiment: || experiment(&ceiling::of_this_machine()),
    judge,
};

const PROCESSES: &str = "process-per-connection";
/// What the lecture says.
const HANDLED: usize = 10_000;
/// With fewer connections than these, nothing can be said of "not more".
const BEYOND: usize = 15_000;
/// Connections of the probe, and some that are being closed.
const BESIDES: usize = 32;
const LITTLE: usize = 0;
const TEN_THOUSAND: usize = 1;
const MOST: usize = 2;

fn experiment(ceiling: &Ceiling) -> Result<Experiment, String> {
    let Ceiling { connections, limit, reserve } = ceiling;
    let kept = if reserve.is_empty() { String::new() } else { format!(" ({reserve})") };
    if *connections < HANDLED + BESIDES {
        return Err(format!("{connections} connections are the most here, by {limit}{kept}: raise that limit"));
    }
    let most = (*connections - BESIDES).max(HANDLED);
    let mut idle = vec![1000, HANDLED];
    if most >= BEYOND {
        idle.push(most);
    }
    let target = |model| {
        // Nothing may close an idle connection before the end of the experiment.
        Target::of(model).with("max-connections", connections).with("idle-timeout", "600s")
    };
    Ok(Experiment {
        targets: vec![target(PROCESSES), target("epoll")],
        loads: idle.iter().map(|idle| format!("/ -c 8 -R 200 --idle {idle}")).collect(),
        blocks: 4,
        window: Duration::from_millis(600), // 120 latencies: the 90th percentile needs 100, the 95th more
        repeats: false,                     // the kernel is busy with so many processes before and after a trial, too
        check: Some(ceiling::still_allows),
        notes: vec![format!("at most {connections} connections are opened here, by {limit}{kept}")],
        ..Experiment::default()
    })
}

fn judge(seen: &Seen<'_>) -> Judged {
    let run = &seen.run;
    let ratio = |target, load| {
        let what = format!("90th percentile of the latency, {target}, beside {} idle / beside 1000", idle(run, load));
        run.ratio(&what, P90, (target, load), (target, LITTLE))
    };
    let mut parts = vec![
        unanswered(run, (PROCESSES, TEN_THOUSAND), most_of).at_most(0.0),
        ratio(PROCESSES, TEN_THOUSAND).at_most(3.0),
    ];
    let mut notes = Vec::new();
    if run.results.settings.loads.len() <= MOST {
        let why = format!("fewer than {BEYOND} connections are allowed here");
        parts.push(undecided(run, "more than 10 000 processes", why));
        return Judged { parts, notes };
    }
    let left = unanswered(run, (PROCESSES, MOST), least_of).more_than(0.0);
    parts.push(match left.ruling {
        Ruling::Fails => beyond(ratio(PROCESSES, MOST).more_than(3.0), &ratio("epoll", MOST).at_most(1.5), run),
        _ => left,
    });
    for target in [PROCESSES, "epoll"] {
        if let Ok(up) = up(run, (target, MOST)) {
            let up: Vec<String> = up.iter().map(|(up, _)| up.to_string()).collect();
            notes.push(format!("{target}: of {} idle connections, {} were answered", idle(run, MOST), up.join(", ")));
        }
    }
    Judged { parts, notes }
}

/// Whether the ratio beside the most connections shows that there are too many. If epoll becomes slower as well, it is not because
/// of the processes.
fn beyond(processes: Part, epoll: &Part, run: &Evidence<'_>) -> Part {
    if processes.ruling != Ruling::Holds || epoll.ruling == Ruling::Holds {
        return processes;
    }
    let figure = epoll.figure.map_or("not known".into(), |figure| format!("{figure:.2}"));
    let why = format!("it is not shown that epoll stays as fast: its ratio is {figure}, and has to be at most 1.5");
    Part { figure: processes.figure, low: processes.low, high: processes.high, ..undecided(run, &processes.what, why) }
}

/// A part that cannot be shown.
fn undecided(run: &Evidence<'_>, what: &str, why: String) -> Part {
    Measure { what: what.into(), is_ratio: true, values: Err(why), bound: None, claims: run.claims }.more_than(3.0)
}

/// The idle connections that were asked for.
fn idle(run: &Evidence<'_>, load: usize) -> usize {
    run.results.settings.loads.get(load).map_or(0, |load| load.background.idle)
}

/// How many idle connections were answered in each trial, and how many were asked for.
fn up(run: &Evidence<'_>, at: At<'_>) -> Result<Vec<(u64, u64)>, String> {
    let trials = run.cell(at)?.trials.iter().filter(|trial| !trial.aborted);
    let counts: Vec<(u64, u64)> = trials.map(|trial| (trial.background.idle.up, trial.background.idle.asked)).collect();
    if counts.is_empty() { Err(format!("{}: no trial came to its end", at.0)) } else { Ok(counts) }
}

/// Whether other programs took so much of the machine that they, too, may have left connections without an answer.
fn undisturbed(run: &Evidence<'_>, at: At<'_>) -> Result<(), String> {
    match run.cell(at)?.flaws.values().find(|flaw| flaw.verdict == Verdict::Disturbed) {
        Some(flaw) => Err(format!("{}: disturbed: {}", at.0, flaw.why)),
        None => Ok(()),
    }
}

/// The idle connections that got no answer, in the trial that `choice` takes.
fn unanswered(run: &Evidence<'_>, at: At<'_>, choice: fn(&[u64]) -> u64) -> Measure {
    let values = up(run, at).and_then(|counts| {
        let left: Vec<u64> = counts.iter().map(|(up, asked)| asked.saturating_sub(*up)).collect();
        if most_of(&left) > 0 {
            undisturbed(run, at)?;
        }
        Ok(Values::Count { value: choice(&left) as f64, low: least_of(&left) as f64, high: most_of(&left) as f64 })
    });
    let what = format!("idle connections of {} without an answer", idle(run, at.1));
    Measure { what, is_ratio: false, values, bound: None, claims: run.claims }
}

fn most_of(values: &[u64]) -> u64 {
    values.iter().copied().max().unwrap_or(0)
}

fn least_of(values: &[u64]) -> u64 {
    values.iter().copied().min().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ceiling(connections: usize) -> Ceiling {
        let limit = "20000 open files (ulimit -Hn)".into();
        Ceiling { connections, limit, reserve: "2000 of them stay free".into() }
    }

    #[test]
    fn the_experiment_stays_below_the_ceiling_and_names_the_limit() {
        let experiment = experiment(&ceiling(18_000)).ok().unwrap();
        let idle = ["1000", "10000", "17968"].map(|idle| format!("/ -c 8 -R 200 --idle {idle}"));
        assert_eq!(experiment.loads, idle);
        let most = ("max-connections", "18000".to_owned());
        assert!(experiment.targets.iter().all(|target| target.flags.contains(&most)));
        assert!(experiment.notes[0].ends_with("by 20000 open files (ulimit -Hn) (2000 of them stay free)"));
    }

    #[test]
    fn below_fifteen_thousand_only_the_first_half_is_measured() {
        assert_eq!(experiment(&ceiling(14_000)).ok().unwrap().loads.len(), 2);
    }

    #[test]
    fn below_ten_thousand_the_limit_is_the_reason() {
        let why = experiment(&ceiling(900)).err().unwrap();
        assert!(why.contains("900 connections are the most here, by 20000 open files (ulimit -Hn)"), "{why}");
    }
}
