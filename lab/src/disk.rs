//! `lab disk`: serves files that are not in memory, by each way to read them, and compares that with what the disk gives.

mod ceiling;
pub mod files;
mod flags;
mod made;
mod place;

pub use flags::DiskFlags;
pub use made::Made;

use std::collections::BTreeMap;
use std::fs;
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
use crate::servers::Servers;
use files::{Files, Unmade};
use place::Place;

/// The models of a run that names none: each sends files in another way. What all others do, one of these does, too.
pub const MODELS: [&str; 6] = ["epoll", "posix-aio", "linux-aio", "uring", "event-loop", "thread-per-connection"];
/// The guests of a run that names neither models nor guests, as far as they are installed.
pub const GUESTS: [&str; 3] = ["nginx", "nginx-aio", "lighttpd"];
/// How long a run may take.
pub const BUDGET: Duration = Duration::from_secs(10 * 60);
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
/// The share of the free memory that hot files may take.
const HOT_SHARE: f64 = 0.7;

/// The arguments of `lab disk`.
pub struct DiskArgs {
    pub servers: Servers,
    pub disk: DiskFlags,
    pub run: RunFlags,
}

/// Measures the servers with files on a disk, prints what that says, and saves the results.
///
/// # Errors
/// The directory is on no disk, or has no room; or as a run.
pub fn disk(args: DiskArgs) -> Result<Exit, Failure> {
    let DiskArgs { servers, disk, mut run } = args;
    let sets: Vec<Files> = disk
        .size
        .iter()
        .map(|size| {
            let number = disk.files.unwrap_or((disk.set.number / size.number) as usize);
            Files::new(&disk.dir, size, number)
        })
        .collect();
    check(&sets, &disk).map_err(Failure::usage)?;
    let loads: Vec<String> = sets.iter().flat_map(|set| loads(&set.workload())).collect();
    run.measure(&loads.iter().map(String::as_str).collect::<Vec<_>>(), Some(BUDGET));
    let lists = sets.iter().map(|set| (set.workload(), set.paths())).collect::<BTreeMap<_, _>>();
    let names = servers.all().map(|server| server.name().to_owned()).collect();
    let mut plan = run.plan_with(names, &lists).map_err(Failure::usage)?;
    plan.loads = in_each_state(&plan.loads, &disk.cache);
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
    let left_out = servers.left_out.clone();
    let mut fleet = LocalFleet::new(division, servers, Some(disk.dir.clone()), stop).with_files_on_disk(sets);
    plan.cpus = fleet.division().load.cpus().to_vec();
    plan.threads = plan.threads.min(plan.cpus.len());
    if !run.quiet {
        left_out.iter().for_each(|line| say(line));
        say(&fleet.division().describe());
    }
    match fleet.check(&plan) {
        Err(_) if stop.load(Relaxed) => {} // the signal may have interrupted a system call of the check
        checked => checked?,
    }
    let finished = front::run(&run, &prepared, &plan, &mut fleet, &mut (), stop)?;
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

fn check(sets: &[Files], disk: &DiskFlags) -> Result<(), String> {
    for set in sets {
        if set.number > MOST_FILES {
            return Err(format!(
                "there are at most {} files of a size; give a smaller --set or fewer --files",
                count(MOST_FILES as f64)
            ));
        }
        if set.number < 2 {
            return Err(format!(
                "--set {}: there are too few files of {}; give a larger --set",
                disk.set.text, set.bytes
            ));
        }
    }
    let largest = sets.iter().map(|set| set.bytes * set.number as u64).max().unwrap_or(0);
    if disk.cache.contains(&Cache::Hot)
        && let Some(free) = free_memory()
        && largest as f64 > free as f64 * HOT_SHARE
    {
        let (largest, free) = (largest / 1_000_000, free / 1_000_000);
        return Err(format!(
            "--cache hot: the files have {largest} MB, and {free} MB of memory are free; give a smaller --set"
        ));
    }
    Ok(())
}

/// Bytes of memory that programs can have: MemAvailable of /proc/meminfo.
fn free_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
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
        sets: described,
    })
}
