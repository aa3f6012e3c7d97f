//! What the machine does while the lab does nothing.

use std::collections::BTreeMap;
use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use cpu_list::CpuList;
use process_tree::{BusyTimes, KernelMemory, ticks};

/// What has happened within a time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Activity {
    /// CPUs that were watched: those that this process may use.
    pub cpus: usize,
    /// CPUs of them that were busy, on average; `None` if the kernel does not say it.
    pub busy: Option<f64>,
    /// CPUs of them that the hypervisor gave to others, likewise.
    pub stolen: Option<f64>,
    /// The source of the busy times, and the smallest time that they show.
    pub source: Option<(&'static str, Duration)>,
    /// The programs that have used the CPUs most, and how many CPUs each; the most first.
    pub programs: Vec<(String, f64)>,
    /// By how many bytes the kernel's memory, and that of processes, has changed.
    pub kernel_memory_moved: Option<(u64, u64)>,
}

impl Activity {
    /// Watches for so long.
    pub fn watch(time: Duration) -> Activity {
        let cpus = CpuList::allowed().unwrap_or_default();
        let began = Instant::now();
        let (busy, memory, programs) = (BusyTimes::read().ok(), KernelMemory::read().ok(), programs());
        sleep(time);
        let seconds = began.elapsed().as_secs_f64();
        let (busy_now, memory_now) = (BusyTimes::read().ok(), KernelMemory::read().ok());
        let both = busy_now.as_ref().zip(busy.as_ref());
        let share = |time: Option<Duration>| time.map(|time| time.as_secs_f64() / seconds);
        Activity {
            cpus: cpus.cpus().len(),
            busy: share(both.and_then(|(now, then)| now.busy_since(then, cpus.cpus()))),
            stolen: share(both.and_then(|(now, then)| now.stolen_since(then, cpus.cpus()))),
            source: busy_now.as_ref().map(|times| (times.source, times.resolution)),
            programs: most_used(&programs, &self::programs(), seconds),
            kernel_memory_moved: memory_now
                .zip(memory)
                .map(|(now, then)| (now.kernel().abs_diff(then.kernel()), now.anonymous.abs_diff(then.anonymous))),
        }
    }
}

/// The name and the CPU time of each process that can be seen, by its number.
type Programs = BTreeMap<u32, (String, Duration)>;

fn programs() -> Programs {
    let folders = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = folders.filter_map(|folder| folder.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| Some((pid, parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?))).collect()
}

/// The name and the CPU time in `/proc/pid/stat`: proc_pid_stat(5).
fn parse(stat: &str) -> Option<(String, Duration)> {
    let (before, after) = stat.rsplit_once(") ")?;
    let name = before.split_once('(')?.1.to_owned();
    let mut fields = after.split(' ').skip(11).map_while(|field| field.parse::<u64>().ok());
    Some((name, ticks(fields.next()? + fields.next()?)))
}

/// The three processes that used most, if that was 2 % of a CPU or more.
fn most_used(then: &Programs, now: &Programs, seconds: f64) -> Vec<(String, f64)> {
    let grown = |(pid, (name, time)): (&u32, &(String, Duration))| {
        let before = then.get(pid).map_or(Duration::ZERO, |(_, time)| *time);
        (format!("{name} ({pid})"), time.saturating_sub(before).as_secs_f64() / seconds)
    };
    let mut programs: Vec<(String, f64)> = now.iter().map(grown).filter(|(_, cpus)| *cpus >= 0.02).collect();
    programs.sort_by(|a, b| b.1.total_cmp(&a.1));
    programs.truncate(3);
    programs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_programs_that_used_most_are_named() {
        let stat = |name: &str, user: u32| format!("7 ({name}) R 1 7 7 0 -1 4194304 9 0 0 0 {user} 5 0 0 20 0 1 0 9\n");
        let (name, time) = parse(&stat("a) b", 20)).unwrap();
        assert_eq!((name.as_str(), time), ("a) b", ticks(25)));
        assert_eq!(parse("7 (x"), None);
        let programs = |times: [u64; 5]| -> Programs {
            let program = |(pid, ms): (usize, u64)| (pid as u32, (format!("p{pid}"), Duration::from_millis(ms)));
            times.into_iter().enumerate().map(program).collect()
        };
        let most = most_used(&programs([0, 50, 0, 0, 0]), &programs([500, 60, 100, 800, 200]), 1.0);
        assert_eq!(most, [("p3 (3)".to_owned(), 0.8), ("p0 (0)".to_owned(), 0.5), ("p4 (4)".to_owned(), 0.2)]);
    }
}
