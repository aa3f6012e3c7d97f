//! What the lab measures if the command line names no load.

use std::time::Duration;

use clap::builder::ArgPredicate;
use clap::{Arg, Command};
use loadtest::front::RunFlags;
use results::{Plan, Twice};

/// What the models serve.
pub const WORKLOADS: &str =
    "/, /files/64k (1k, 1m, 10m), /sleep/<ms>, /work/<iterations>, /counter, 'POST /counter', /nods and 'POST /nod'";

/// The loads of a run, in the words of `--load`, in the order of their tables: the most telling one stands last.
pub const LOADS: [&str; 5] = [
    // As many requests as the server can take: what a request costs where nothing else does.
    "/ -c 64",
    // A slow backend: a blocked worker serves no other connection, so a pool serves as many at a time as it has workers.
    "/sleep/100 -c 512",
    // Long computations, 0.1 s each: on one thread, all other connections wait for them. (A 90th percentile takes 100 requests.)
    "/ -R 300 --busy 2 --busy-workload /work/30000000",
    // What a connection costs, and a process or a thread for each.
    "/ -R 500 --requests-per-connection 1",
    // Connections that are open and do nothing: memory for each, and a wait that hands the kernel all of them.
    "/ -R 500 --idle 1000",
];

/// How long a run under [`LOADS`] may take.
const BUDGET: Duration = Duration::from_secs(5 * 60);
/// Trials of each cell: an interval needs three, and one of the four may be disturbed.
const TRIALS: &str = "4";
/// Trials of each cell of an A/A run.
const TRIALS_OF_AA: &str = "5";
/// The window of a trial: a longer one would narrow an interval less than the block that it takes the time from.
const DURATION: &str = "400ms";
/// The values of flags with `--all`.
const ALL: [(&str, &str); 5] = [
    ("workload", "/,/files/64k,/sleep/20"),
    ("concurrency", "1,64,512"),
    ("requests_per_connection", "unlimited,1"),
    ("trials", "1"),
    ("duration", "700ms"),
];
/// The model that is measured twice under the first of [`LOADS`]: how much both differ is the machine's noise.
const MEASURED_TWICE: &str = "epoll";
/// With fewer trials, the noise has no interval.
const TRIALS_FOR_NOISE: usize = 3;

/// Gives the flags of a run, or of an A/A run, the lab's defaults.
pub fn with_defaults(command: Command, is_aa: bool) -> Command {
    let (loads, budget) = match is_aa {
        true => (format!("'{}'", LOADS[0]), "none"),
        false => ("those below".into(), "5m for the loads below, none for others"),
    };
    let note = |arg: Arg, default: &str| {
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        arg.help(format!("{help} [default: {default}]"))
    };
    let command = command
        .mut_arg("texts", |arg| note(arg, &loads))
        .mut_arg("budget", |arg| note(arg, budget))
        .mut_arg("trials", |arg| arg.default_value(if is_aa { TRIALS_OF_AA } else { TRIALS }))
        .mut_arg("duration", |arg| arg.default_value(DURATION))
        .mut_arg("busy_workload", |arg| arg.default_value("/work/10000000"))
        .mut_arg("slow_reader_workload", |arg| arg.default_value("/files/1m"));
    ALL.into_iter().fold(command, |command, (flag, value)| {
        command.mut_arg(flag, |arg| arg.default_value_if("all", ArgPredicate::Equals("true".into()), value))
    })
}

/// Gives a run whose flags name no load its loads, and bounds how long it may take. An A/A run may take as long as it
/// takes: with fewer trials it says nothing.
pub fn measure_defaults(run: &mut RunFlags, is_aa: bool) {
    match is_aa {
        true => run.measure(&LOADS[..1], None),
        false => run.measure(&LOADS, Some(BUDGET)),
    }
}

/// What a run under [`LOADS`] measures twice.
pub fn measured_twice(plan: &Plan) -> Vec<Twice> {
    let is_there = plan.targets.iter().any(|target| target == MEASURED_TWICE);
    match is_there && plan.trials >= TRIALS_FOR_NOISE {
        true => vec![Twice { target: MEASURED_TWICE.into(), load: 0 }],
        false => Vec::new(),
    }
}
