//! The CPUs of the model and those of the supervisor, which may be others.

use std::io;
use std::num::NonZeroUsize;
use std::thread::available_parallelism;

use cpu_list::CpuList;

use crate::flags::Flags;
use crate::{Model, log};

/// The CPUs of the model: those of `--cpus`.
#[derive(Clone, Debug)]
pub(crate) struct Cpus {
    /// Those that its processes may use, by their affinity.
    pub of_model: CpuList,
    /// How many of them they can keep busy, by the affinity and the quota of the control group.
    pub count: usize,
}

impl Cpus {
    /// Restricts this process to the CPUs of `--supervisor-cpus`. Names the CPUs of either flag that cannot be used.
    pub fn divide(model: &Model, flags: &Flags) -> io::Result<Cpus> {
        let restrict = |flag: &str, cpus: &CpuList| {
            cpus.restrict()
                .map(|missing| missing.iter().for_each(|line| log(model.name, format_args!("{flag}: {line}"))))
        };
        let all = CpuList::allowed()?;
        restrict("--cpus", &flags.cpus)?;
        let cpus = Cpus { of_model: CpuList::allowed()?, count: available_parallelism().map_or(1, NonZeroUsize::get) };
        if !flags.supervisor_cpus.cpus().is_empty() {
            all.apply()?;
            restrict("--supervisor-cpus", &flags.supervisor_cpus)?;
        }
        Ok(cpus)
    }
}
