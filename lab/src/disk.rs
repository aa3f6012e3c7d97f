//! `lab disk`: serves files that are not in memory, by each way to read them, and compares that with what the disk gives.

mod ceiling;
pub mod files;
mod flags;
mod made;
mod memory;
mod place;
mod resident;

pub use flags::DiskFlags;
pub use made::Made;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use loadtest::front::{self, Exit, Failure, RunFlags, say};
use loadtest::stop_on_signals;
use results::cache::Cache;
use results::disk::{Ceiling, Disk, FileSet};
use results::units::count;
use results::{Load, Plan};

use crate::division::Division;
use crate::fleet::LocalFleet;
use crate::pages::{PageFlags, Pages};
use crate::servers::Servers;
use crate::set;
use files::{Files, Unmade};
use flags::Bytes;
use memory::Memory;
use place::Place;

/// The models of a run that names none: each sends files in another way. What all others do, one of these does, too.
pub const MODELS: [&str; 7] =
    ["epoll", "posix-aio", NO_SIGNALS.name, "linux-aio", "uring", "event-loop", "thread-per-connection"];
/// posix-aio as the lecture's listing has it: the loop asks aio_error(3) again and again, and does something else in between.
pub const NO_SIGNALS: Variant = Variant { name: "posix-aio-no-signals", model: "posix-aio", flag: "no-signals" };
/// The guests of a run that names neither models nor guests, as far as they are installed.
pub const GUESTS: [&str; 3] = ["nginx", "nginx-aio", "lighttpd"];
/// How long a run may take.
pub const BUDGET: Duration = Duration::from_secs(10 * 60);
/// How long a run with `--all` may take.
const BUDGET_OF_ALL: Duration = Duration::from_secs(30 * 60);
/// The sizes of the files of such a run.
const ALL_SIZES: [&str; 2] = ["100k", "1M"];
/// Clients that request files, and the requests a second for `/` beside them.
const CLIENTS: usize = 64;
const BYSTANDER_RATE: usize = 1200;
/// The reads in progress with which the disk's own speed is measured, and for how long each.
const DEPTHS: [usize; 3] = [1, 16, 32];
const CEILING_TIME: Duration = Duration::from_millis(500);
/// How often each is measured; the median counts.
const CEILING_ROUNDS: u64 = 3;
/// The most files of a size.
const MOST_FILES: usize = 1_000_000;

/// A model with a flag, under a name of its own.
pub struct Variant {
    pub name: &'static str,
    pub model: &'static str,
    pub flag: &'static str,
}

/// The arguments of `lab disk`.
pub struct DiskArgs {
    /// The names of the models, guests and variants that are measured, in their order.
    pub targets: Vec<String>,
    pub servers: Servers,
    pub disk: DiskFlags,
    pub page: PageFlags,
    pub run: RunFlags,
}

/// Measures the servers with files on a disk, prints what that says, and saves the results.
///
/// # Errors
/// The directory is on no disk, or has no room; or as a run.
pub fn disk(args: DiskArgs) -> Result<Exit, Failure> {
    let DiskArgs { targets, servers, mut disk, page, mut run } = args;
    front::become_owner(run.results.as_deref(), disk.owner.as_deref())?;
    if disk.all {
        disk.size = ALL_SIZES.iter().flat_map(|size| size.parse()).collect();
    }
    let files = |size: &Bytes| disk.files.unwrap_or((disk.set.number / size.number) as usize);
    let sets: Vec<Files> = disk.size.iter().map(|size| Files::new(&disk.dir, size, files(size))).collect();
    check(&sets, &disk.set).map_err(Failure::usage)?;
    let (states, mut left_out) = states(&disk, &sets).map_err(Failure::usage)?;
    let loads: Vec<String> = sets.iter().flat_map(|set| loads(&set.workload())).collect();
    let budget = if disk.all { BUDGET_OF_ALL } else { BUDGET };
    run.measure(&loads.iter().map(String::as_str).collect::<Vec<_>>(), Some(budget));
    let lists = sets.iter().map(|set| (set.workload(), set.paths())).collect::<BTreeMap<_, _>>();
    let mut plan = run.plan_with(targets, &lists).map_err(Failure::usage)?;
    plan.set = servers.set.clone();
    plan.loads = in_each_state(&plan.loads, &states);
    plan.check().map_err(Failure::usage)?;
    let prepared = front::prepare(&run, &plan)?;
    let stop = stop_on_signals();
    let division = Division::of_this_machine().map_err(|why| Failure(Exit::Unreachable, why.into()))?;
    let mut made = Made::in_dir(&disk.dir, disk.keep).map_err(Failure::usage)?;
    for set in &sets {
        made.make(set, plan.seed, run.quiet, stop).map_err(|why| match why {
            Unmade::Interrupted => {
                Failure(Exit::Interrupted, "interrupted while the files were made; they are removed".into())
            }
            Unmade::Failed(why) => Failure::usage(why),
        })?;
    }
    plan.disk = Some(describe(&made, &sets, &plan, run.quiet, stop)?);
    left_out.extend(servers.left_out.clone());
    let mut fleet = LocalFleet::new(division, servers, Some(disk.dir.clone()), stop).with_files_on_disk(sets);
    plan.cpus = fleet.division().load.cpus().to_vec();
    plan.threads = plan.threads.min(plan.cpus.len());
    if !run.quiet {
        left_out.iter().for_each(|line| say(line));
        say(&fleet.division().describe());
        plan.set.iter().for_each(|(model, flags)| say(&set::describe(model, flags)));
    }
    match fleet.check(&plan) {
        Err(_) if stop.load(Relaxed) => {} // the signal may have interrupted a system call of the check
        checked => checked?,
    }
    let pages = page.start(&run);
    let finished = front::run(&run, &prepared, &plan, &mut fleet, &mut (), stop)?;
    pages.iter().for_each(Pages::farewell);
    front::conclude(&run, finished)
}

/// The loads of a set of files: as many fetches as the server can make, and a bystander beside them.
fn loads(workload: &str) -> [String; 2] {
    [
        format!("{workload} -c {CLIENTS}"),
        format!("/ -c {CLIENTS} -R {BYSTANDER_RATE} --busy {CLIENTS} --busy-workload {workload}"),
    ]
}

/// Each load with the files in each of these states.
fn in_each_state(loads: &[Load], states: &[Cache]) -> Vec<Load> {
    let of_state = |&state: &Cache| loads.iter().map(move |load| Load { cache: Some(state), ..load.clone() });
    let mut all = Vec::new();
    results::lists::add_new(&mut all, states.iter().flat_map(of_state));
    all
}

/// The states that are measured, and lines that say which `--all` leaves out.
fn states(disk: &DiskFlags, sets: &[Files]) -> Result<(Vec<Cache>, Vec<String>), String> {
    let memory = Memory::of_this_program();
    let why_not = |cache| memory.and_then(|memory| memory.why_not(cache, sets));
    if !disk.all {
        return disk.cache.iter().find_map(|&cache| why_not(cache)).map_or(Ok((disk.cache.clone(), Vec::new())), Err);
    }
    let (out, states): (Vec<Cache>, Vec<Cache>) = Cache::ALL.into_iter().partition(|&cache| why_not(cache).is_some());
    Ok((states, out.into_iter().filter_map(why_not).map(|why| format!("left out: {why}")).collect()))
}

fn check(sets: &[Files], set: &Bytes) -> Result<(), String> {
    match sets.iter().find(|files| !(2..=MOST_FILES).contains(&files.number)) {
        None => Ok(()),
        Some(files) if files.number < 2 => {
            Err(format!("--set {}: there are too few files of {}; give a larger --set", set.text, files.bytes))
        }
        Some(_) => Err(format!(
            "there are at most {} files of a size; give a smaller --set or fewer --files",
            count(MOST_FILES as f64)
        )),
    }
}

/// Measures what the disk gives, and describes it.
fn describe(made: &Made, sets: &[Files], plan: &Plan, quiet: bool, stop: &AtomicBool) -> Result<Disk, Failure> {
    let (dir, Place { file_system, device }) = (made.dir(), &made.place);
    if !quiet {
        say(&format!("{} is on {file_system}, on the device {device}; measuring what that gives", dir.display()));
    }
    let mut described = Vec::new();
    for set in sets {
        let mut ceilings = Vec::new();
        for depth in DEPTHS {
            let mut rounds = Vec::new();
            for round in 0..CEILING_ROUNDS {
                match ceiling::measure(set, depth, CEILING_TIME, plan.seed ^ (round << 8 | depth as u64), stop) {
                    Ok(files) => rounds.push(files),
                    Err(error) => {
                        let why = format!("its speed at depth {depth} cannot be measured: {error}");
                        say(&format!("{}: {why}", set.workload()));
                        break;
                    }
                }
            }
            rounds.sort_by(f64::total_cmp);
            ceilings.extend(rounds.get(rounds.len() / 2).map(|&files_per_second| Ceiling { depth, files_per_second }));
        }
        let (workload, files, bytes) = (set.workload(), set.number, set.bytes);
        described.push(FileSet { workload, files, bytes, ceilings });
    }
    if stop.load(Relaxed) {
        return Err(Failure(Exit::Interrupted, "interrupted before anything was measured".into()));
    }
    Ok(Disk {
        dir: dir.display().to_string(),
        file_system: file_system.clone(),
        device: device.clone(),
        memory_bytes: Memory::of_this_program().map(|memory| memory.most),
        sets: described,
    })
}
