//! A control group that a test makes: the kernel's own account of what the processes in it use. cgroups(7)

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A group of CPU accounting and CPU quota; it is removed when this is dropped.
pub struct Group {
    /// A process that only waits. A service that is not alone in its group takes its CPU time from elsewhere, so that the
    /// two accounts are not the same file.
    occupant: Child,
    /// Version 1: the group of `cpuacct`; version 2: the only one.
    accounts: PathBuf,
    /// Version 1: the group of `cpu`, which may be the same hierarchy; version 2: the only one.
    quota: PathBuf,
    is_v2: bool,
}

impl Group {
    /// Makes a group below the root of the machine.
    ///
    /// # Errors
    /// Why that cannot be: there are no control groups here, or this process may not make one.
    pub fn make(name: &str) -> Result<Group, String> {
        let name = format!("truth-{name}-{}", std::process::id());
        let root = Path::new("/sys/fs/cgroup");
        let (accounts, quota, is_v2) = match root.join("cgroup.controllers").exists() {
            true => (root.join(&name), root.join(&name), true),
            false => (root.join("cpuacct").join(&name), root.join("cpu").join(&name), false),
        };
        let none = |error: std::io::Error| format!("no control group can be made: {error}");
        let mut command = Command::new("cat");
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        let occupant = command.spawn().map_err(none)?;
        let group = Group { occupant, accounts, quota, is_v2 };
        for folder in group.folders() {
            fs::create_dir_all(folder).map_err(none)?;
        }
        for procs in group.procs() {
            fs::write(procs, group.occupant.id().to_string()).map_err(none)?;
        }
        let usage = group.usage_text();
        usage.map(|_| group).ok_or_else(|| "the control group accounts no CPU time".into())
    }

    fn folders(&self) -> impl Iterator<Item = &PathBuf> {
        let second = (self.quota != self.accounts).then_some(&self.quota);
        std::iter::once(&self.accounts).chain(second)
    }

    /// The files to which a process writes its id to join.
    pub fn procs(&self) -> Vec<PathBuf> {
        self.folders().map(|folder| folder.join("cgroup.procs")).collect()
    }

    /// Limits the CPU time to this share of one CPU.
    ///
    /// # Errors
    /// The kernel has no quotas here.
    pub fn limit(&self, share: f64) -> Result<(), String> {
        let period = 100_000.0; // microseconds
        let quota = (share * period) as u64;
        let write = |file: &str, text: String| fs::write(self.quota.join(file), text);
        let written = match self.is_v2 {
            true => write("cpu.max", format!("{quota} {period}")),
            false => write("cpu.cfs_quota_us", quota.to_string()),
        };
        written.map_err(|error| format!("the kernel has no CPU quotas: {error}"))
    }

    /// For how long the quota has kept the group from the CPUs; `None` if the kernel does not say it.
    pub fn throttled(&self) -> Option<Duration> {
        let stat = fs::read_to_string(self.quota.join("cpu.stat")).ok()?;
        let field = |name: &str| stat.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        let in_v1 = || field("throttled_time ").map(Duration::from_nanos);
        field("throttled_usec ").map(Duration::from_micros).or_else(in_v1)
    }

    fn usage_text(&self) -> Option<u64> {
        match self.is_v2 {
            true => {
                let stat = fs::read_to_string(self.accounts.join("cpu.stat")).ok()?;
                let usage = stat.lines().find_map(|line| line.strip_prefix("usage_usec "))?;
                Some(usage.trim().parse::<u64>().ok()? * 1000)
            }
            false => fs::read_to_string(self.accounts.join("cpuacct.usage")).ok()?.trim().parse().ok(),
        }
    }

    /// The CPU time that the processes of the group have used, dead ones included.
    pub fn usage(&self) -> Duration {
        Duration::from_nanos(self.usage_text().expect("it could be read when the group was made"))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = self.occupant.kill();
        let _ = self.occupant.wait();
        for folder in self.folders() {
            // A process that has just ended may still be in it for a moment.
            for _ in 0..100 {
                if fs::remove_dir(folder).is_ok() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}
