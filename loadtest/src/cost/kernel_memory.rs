//! The kernel's memory for the target: how much that of the whole machine grows from before the load to the load.
//!
//! A control group would not tell it: what the kernel allocates for a connection when its packets arrive is charged to no
//! group. So other programs must be quiet. [`Baseline::settle`] measures how quiet they are.
//!
//! Two properties of the kernel matter:
//! - It keeps the counters by CPU, and adds them up about once a second. `vm.stat_refresh` adds them up at once, which
//!   only root may ask for; for others a figure may lag by some pages for each CPU. proc_sys_vm(5)
//! - It keeps freed objects for the next ones of their kind, a page as long as one object in it is in use. Where a trial
//!   has left such pages behind, the next one grows less than it uses. A page without any object is given back, so this
//!   is a matter of some per cent.

use process_tree::KernelMemory;
use results::figures::Reason;
use results::plan::MEMORY_STANDS_STILL;
use std::time::Duration;

/// The growth must be this many times what moved before the load.
const CLEARLY_MORE: f64 = 5.0;
/// How often the memory is read while it settles.
const STEP: Duration = Duration::from_millis(50);
/// For so many steps the memory has to stand still.
const STILL_STEPS: usize = MEMORY_STANDS_STILL.as_millis() as usize / STEP.as_millis() as usize;
/// The wait ends after so many steps, 2 s, even if it does not.
const MOST_STEPS: usize = 40;
/// Memory that moves by no more stands still: 1 % of the growth by a thousand connections with 12 KiB each, or 4 % by
/// connections that cost only their sockets.
const STILL: u64 = 128 << 10;

/// The kernel's memory, of the whole machine, before the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Baseline {
    /// Bytes.
    pub bytes: u64,
    /// By how many bytes it moved in the last 300 ms.
    pub drift: u64,
}

impl Baseline {
    /// Waits with `sleep`, for at most 2 s, until the memory has stood still for 300 ms.
    ///
    /// # Errors
    /// That of `read` or of `sleep`.
    pub fn settle<E>(
        mut read: impl FnMut() -> Result<u64, E>,
        mut sleep: impl FnMut(Duration) -> Result<(), E>,
    ) -> Result<Baseline, E> {
        let mut readings = vec![read()?];
        loop {
            sleep(STEP)?;
            readings.push(read()?);
            let recent = &readings[readings.len().saturating_sub(STILL_STEPS + 1)..];
            let (least, most) = recent.iter().fold((u64::MAX, 0), |(least, most), &n| (n.min(least), n.max(most)));
            let is_still = recent.len() > STILL_STEPS && most - least <= STILL;
            if is_still || readings.len() > MOST_STEPS {
                return Ok(Baseline { bytes: recent[recent.len() - 1], drift: most - least });
            }
        }
    }
}

/// The kernel's memory before the load and under load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KernelGrowth {
    /// Before the load.
    pub before: Baseline,
    /// Bytes under load.
    pub loaded: u64,
    /// Bytes that the load generator's end of a connection takes.
    pub own_end: f64,
}

impl KernelGrowth {
    /// The growth for the target, in bytes, with this number of connections.
    ///
    /// # Errors
    /// Why it cannot be told.
    pub fn of_target(&self, connections: u64) -> Result<f64, Reason> {
        let KernelGrowth { before: Baseline { bytes, drift }, loaded, own_end } = *self;
        let grown = loaded as f64 - bytes as f64;
        let kib = |bytes: f64| bytes / 1024.0;
        if grown < CLEARLY_MORE * drift as f64 {
            return Err(format!(
                "it grew by {:.0} KiB, which is less than 5 times the {:.0} KiB by which it moved before the load",
                kib(grown),
                kib(drift as f64)
            ));
        }
        match grown - own_end * connections as f64 {
            rest if rest < 0.0 => {
                let own = kib(own_end * connections as f64);
                Err(format!("it grew by {:.0} KiB, and the load generator's own ends take {own:.0} KiB", kib(grown)))
            }
            rest => Ok(rest),
        }
    }
}

/// Reads the kernel's memory in bytes, with counters as fresh as this process may have them.
///
/// # Errors
/// A line that says why it cannot be read.
pub(super) fn read() -> Result<u64, Reason> {
    let _ = std::fs::read("/proc/sys/vm/stat_refresh"); // the reading itself refreshes; only root may
    KernelMemory::read().map(|memory| memory.kernel()).map_err(|error| format!("/proc/meminfo: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// Settles over these readings, the last of which goes on; returns also the milliseconds that it took.
    fn settled(readings: &[u64]) -> (Baseline, u128) {
        let (mut at, mut waited) = (0, Duration::ZERO);
        let read = || {
            at += 1;
            Ok::<u64, ()>(readings[(at - 1).min(readings.len() - 1)])
        };
        let sleep = |time| {
            waited += time;
            Ok(())
        };
        let baseline = Baseline::settle(read, sleep).unwrap();
        (baseline, waited.as_millis())
    }

    #[test]
    fn the_baseline_is_taken_when_the_memory_has_stood_still_for_300_ms() {
        assert_eq!(settled(&[MIB]), (Baseline { bytes: MIB, drift: 0 }, 300));
        let shrinks = [9 * MIB, 5 * MIB, 3 * MIB, MIB + STILL, MIB];
        assert_eq!(settled(&shrinks), (Baseline { bytes: MIB, drift: STILL }, 450));
    }

    #[test]
    fn memory_that_does_not_stand_still_is_waited_for_2_s_and_its_drift_is_known() {
        let grows: Vec<u64> = (0..100).map(|n| n * MIB).collect();
        assert_eq!(settled(&grows), (Baseline { bytes: 40 * MIB, drift: 6 * MIB }, 2_000));
    }

    #[test]
    fn the_targets_part_is_the_growth_less_the_generators_ends() {
        let growth = |drift, loaded| KernelGrowth { before: Baseline { bytes: MIB, drift }, loaded, own_end: 1024.0 };
        assert_eq!(growth(MIB, 9 * MIB).of_target(1_024), Ok(7.0 * 1024.0 * 1024.0));
        let why = growth(2 * MIB, 9 * MIB).of_target(1_024).unwrap_err();
        assert_eq!(
            why,
            "it grew by 8192 KiB, which is less than 5 times the 2048 KiB by which it moved before the load"
        );
        let why = growth(0, 2 * MIB).of_target(2_048).unwrap_err();
        assert_eq!(why, "it grew by 1024 KiB, and the load generator's own ends take 2048 KiB");
        assert!(growth(0, 0).of_target(1).unwrap_err().starts_with("it grew by -1024 KiB"));
    }

    #[test]
    fn this_machine_tells_the_kernels_memory() {
        assert!(read().unwrap() > 0);
    }
}
