//! Samples a tree, and keeps its counters from one sample to the next.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::time::{Duration, Instant};

use cpu_list::CpuList;
use nix::unistd::{Pid, SysconfVar, sysconf};

use crate::cgroup::{Cgroup, Directory};
use crate::files::{Files, ticks};
use crate::members::{ChildSearch, Member, Members};
use crate::probe::Probe;
use crate::sample::Sample;
use crate::switches::SwitchTotals;

/// A process and all its living descendants.
///
/// # What a sample costs
///
/// Measured on a virtual machine with Linux 6.18, for small processes with one thread each:
///
/// | what | µs a process |
/// |---|---|
/// | to examine a process: `stat` 11, `children` 8, its CPU clock 1 | 20 |
/// | the expensive figures: `smaps_rollup` 29, `fd` 5, `status` 17 | 51 |
///
/// A process that is large or has many threads costs more: 12 µs for each MiB resident in small pages, 5 µs for the two
/// mappings of each thread's stack, and 27 µs for the `children` and `status` of each thread.
///
/// So to read everything of 2,000 processes takes 150 ms. A sample keeps to its budget instead: in the first half it
/// examines the processes, in the second it reads the expensive figures. When the time is up, the processes that it has
/// read stand for the others of their generation (and threads likewise for the others of their process), except in
/// `cpu`, `live_cpu` and `processes`, which stay exact: 2 µs a process. At least 16 of each are read whatever the budget,
/// and all or none of the expensive figures of a process are read, so 2,000 processes take 5 ms with a budget of 0.
#[derive(Debug)]
pub struct Tree {
    root: Pid,
    budget: Duration,
    files: Files,
    search: ChildSearch,
    history: Option<History>,
}

/// What the earlier samples have shown.
#[derive(Debug)]
struct History {
    /// The start time of the root. Pid and start time together identify a process.
    root_started: u64,
    /// The control groups that contain only the tree. They are looked for once, because the difference of two samples
    /// makes sense only if both are from the same source.
    cpu_group: Option<Cgroup>,
    memory_group: Option<Cgroup>,
    cpu: Duration,
    minor_faults: u64,
    major_faults: u64,
    peak_memory: Option<u64>,
    switches: SwitchTotals,
    /// `None` once a member has exited or has reaped a child, or once not all members were examined.
    stable: Option<StableTree>,
    /// Whether the tree has only ever been the root.
    is_single: bool,
}

/// The state of a tree of which no member has exited or reaped a child so far.
#[derive(Debug)]
struct StableTree {
    /// The pid and the start time of each member.
    members: HashSet<(i32, u64)>,
    /// Page faults of reaped children. Every process has some, however short its life, while its clock ticks may be 0.
    reaped_faults: u64,
}

impl Tree {
    /// The tree below `root`, and `root` itself. Nothing is read yet.
    pub fn new(root: Pid) -> Tree {
        Tree {
            root,
            budget: Duration::from_millis(20),
            files: Files::new(),
            search: ChildSearch::of_this_kernel(),
            history: None,
        }
    }

    /// Sets how long a sample may take. The default is 20 ms.
    pub fn with_budget(mut self, budget: Duration) -> Tree {
        self.budget = budget;
        self
    }

    /// The CPU time of the live members: [`Sample::live_cpu`], without the other figures and so quicker. It takes about 1 ms
    /// for 512 processes, whatever the budget.
    ///
    /// `before_clocks` is called when the members are known. Then their CPU clocks are read one after another, which takes
    /// 1 µs each, so what the caller reads in it and after this call belongs to the same moment.
    ///
    /// # Errors
    ///
    /// As [`sample`](Tree::sample).
    pub fn live_cpu(&mut self, before_clocks: impl FnOnce()) -> io::Result<Duration> {
        let members = Members::find(self.search, &mut self.files, self.root, Instant::now(), before_clocks)?;
        self.check_root(members.root())?;
        Ok(members.cpu)
    }

    /// The CPUs that the members may use, ascending: those of the affinity of each of their threads together.
    /// sched_getaffinity(2)
    ///
    /// Where there are many members, those that a sample examines stand for the others. Once all CPUs of the machine are found,
    /// no further thread is asked; usually the first one may use them all.
    ///
    /// # Errors
    ///
    /// As [`sample`](Tree::sample).
    pub fn cpus(&mut self) -> io::Result<Vec<usize>> {
        let deadline = Instant::now() + self.budget / 2;
        let members = Members::find(self.search, &mut self.files, self.root, deadline, || ())?;
        self.check_root(members.root())?;
        let online = sysconf(SysconfVar::_NPROCESSORS_ONLN).ok().flatten().unwrap_or(i64::MAX) as usize;
        let mut cpus = BTreeSet::new();
        for tid in members.examined().flat_map(Member::all_tids) {
            // A thread that has ended is left out.
            let of_thread = CpuList::of(Pid::from_raw(*tid)).unwrap_or_default();
            cpus.extend(of_thread.cpus());
            if cpus.len() >= online {
                break;
            }
        }
        Ok(cpus.into_iter().collect())
    }

    /// Reads the figures of the tree as it is now.
    ///
    /// # Errors
    ///
    /// NotFound if the root does not exist, or if its pid now belongs to another process; otherwise an error of reading
    /// /proc. Descendants that vanish meanwhile cause no error.
    pub fn sample(&mut self) -> io::Result<Sample> {
        let begun = Instant::now();
        let members = Members::find(self.search, &mut self.files, self.root, begun + self.budget / 2, || ())?;
        let root = members.root();
        let reaped_cpu = ticks(members.sum(|stat| stat.reaped_user + stat.reaped_system));

        self.check_root(root)?;
        let history = match &mut self.history {
            Some(history) => history,
            none => none.insert(History::begin(&members, &mut self.files)),
        };
        history.is_single &= members.len() == 1 && root.stat.reaped_minor_faults == 0;

        let cpu_of_group = history.cpu_group.as_ref().and_then(Cgroup::cpu);
        history.cpu = history.cpu.max(cpu_of_group.unwrap_or(members.cpu + reaped_cpu));
        history.minor_faults =
            history.minor_faults.max(members.sum(|stat| stat.minor_faults + stat.reaped_minor_faults));
        history.major_faults =
            history.major_faults.max(members.sum(|stat| stat.major_faults + stat.reaped_major_faults));
        let is_stable = history.check_stable(&members);

        let probe = Probe::read(&mut self.files, &members, begun + self.budget);
        let switches = probe.switches.map(|sum| match probe.has_all_members && probe.has_all_threads {
            true => history.switches.update(probe.by_thread),
            false => history.switches.update_by_estimate(sum),
        });
        let (memory_bytes, memory_source) = match (probe.pss, &history.memory_group) {
            (Some(pss), _) if probe.has_all_members => (Some(pss), "pss"),
            (Some(pss), _) => (Some(pss), "pss-sampled"),
            (None, Some(group)) => (group.memory_current(), "cgroup"),
            (None, None) => (None, "none"),
        };
        history.peak_memory = history.peak_memory.max(memory_bytes);
        let (peak_memory_bytes, peak_memory_source) = if let Some(group) = &history.memory_group {
            (group.memory_peak(), "cgroup")
        } else if history.is_single
            && let Ok(peak) = self.files.peak_rss(root.pid)
        {
            (history.peak_memory.max(Some(peak)), "rss")
        } else {
            (history.peak_memory, if history.peak_memory.is_some() { "samples" } else { "none" })
        };

        Ok(Sample {
            cpu: history.cpu,
            live_cpu: members.cpu,
            user: is_stable.then(|| ticks(members.sum(|stat| stat.user))),
            system: is_stable.then(|| ticks(members.sum(|stat| stat.system))),
            memory_bytes,
            peak_memory_bytes,
            processes: members.len() as u64,
            threads: members.sum(|stat| stat.threads),
            open_fds: probe.open_fds,
            voluntary_switches: switches.map(|switches| switches.voluntary),
            involuntary_switches: switches.map(|switches| switches.involuntary),
            minor_faults: Some(history.minor_faults),
            major_faults: Some(history.major_faults),
            cpu_source: if cpu_of_group.is_some() { "cgroup" } else { "processes" },
            memory_source,
            peak_memory_source,
        })
    }

    /// NotFound if this is not the root of the earlier samples: the kernel reuses pids.
    fn check_root(&self, root: &Member) -> io::Result<()> {
        match &self.history {
            Some(history) if history.root_started != root.stat.started => {
                let message = format!("process {} is another one now", self.root);
                Err(io::Error::new(io::ErrorKind::NotFound, message))
            }
            _ => Ok(()),
        }
    }
}

impl History {
    /// Begins with the first sample: looks for control groups that contain the tree and nothing else.
    fn begin(members: &Members, files: &mut Files) -> History {
        let group = Cgroup::of(members.root().pid);
        let mut exclusive = |directory: fn(&Cgroup) -> Option<&Directory>| {
            group.clone().filter(|group| directory(group).is_some_and(|dir| dir.is_exclusive_to(members, files)))
        };
        History {
            root_started: members.root().stat.started,
            cpu_group: exclusive(|group| group.cpu.as_ref()).filter(|group| group.cpu().is_some()),
            memory_group: exclusive(|group| group.memory.as_ref()).filter(|group| group.memory_peak().is_some()),
            cpu: Duration::ZERO,
            minor_faults: 0,
            major_faults: 0,
            peak_memory: None,
            switches: SwitchTotals::default(),
            stable: Some(StableTree { members: HashSet::new(), reaped_faults: StableTree::reaped_faults(members) }),
            is_single: true,
        }
    }

    /// Whether all processes that were ever seen in the tree still exist, and none has reaped a child since the first
    /// sample.
    fn check_stable(&mut self, members: &Members) -> bool {
        let now = StableTree {
            members: members.examined().map(|member| (member.pid, member.stat.started)).collect(),
            reaped_faults: StableTree::reaped_faults(members),
        };
        let is_stable = members.is_complete()
            && self.stable.as_ref().is_some_and(|before| {
                before.members.is_subset(&now.members) && before.reaped_faults == now.reaped_faults
            });
        self.stable = is_stable.then_some(now);
        is_stable
    }
}

impl StableTree {
    fn reaped_faults(members: &Members) -> u64 {
        members.sum(|stat| stat.reaped_minor_faults)
    }
}
