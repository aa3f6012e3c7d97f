//! The CPUs of the model and those of the supervisor, which may be others.

use std::io;
use std::num::NonZeroUsize;
use std::thread::available_parallelism;

use cpu_list::CpuList;

use crate::flags::ServiceFlags;
use crate::log;

/// The CPUs of the model, or of the guest: those of `--cpus`.
#[derive(Clone, Debug)]
pub(crate) struct Cpus {
    /// Those that its processes may use, by their affinity; none if the kernel does not say it.
    pub of_model: CpuList,
    /// How many of them they can keep busy, by the affinity and the quota of the control group.
    pub count: usize,
}

impl Cpus {
    /// Restricts this process to the CPUs of `--supervisor-cpus`. Names the CPUs of either flag that cannot be used. If the
    /// kernel does not permit a restriction, says so: then the model or the supervisor may use more CPUs than it should.
    pub fn divide(name: &str, flags: &ServiceFlags) -> Cpus {
        let restrict = |flag: &str, cpus: &CpuList| {
            let line = remark(cpus, cpus.restrict());
            line.into_iter().for_each(|line| log(name, format_args!("{flag}: {line}")));
        };
        let all = CpuList::allowed().unwrap_or_default();
        restrict("--cpus", &flags.cpus);
        let of_model = CpuList::allowed().unwrap_or_default();
        let count = available_parallelism().map_or(1, NonZeroUsize::get);
        if !flags.supervisor_cpus.cpus().is_empty() {
            let _ = all.apply(); // else the supervisor keeps to those of both flags, as the next line says
            restrict("--supervisor-cpus", &flags.supervisor_cpus);
        }
        Cpus { of_model, count }
    }
}

/// What there is to say when the kernel was asked to restrict a process to these CPUs.
fn remark(cpus: &CpuList, restricted: io::Result<Option<String>>) -> Option<String> {
    restricted.unwrap_or_else(|error| Some(format!("cannot keep to CPU {cpus}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restriction_that_is_not_permitted_is_only_said() {
        let cpus = CpuList::from(vec![0, 2]);
        let refused = remark(&cpus, Err(io::ErrorKind::PermissionDenied.into()));
        assert_eq!(refused.as_deref(), Some("cannot keep to CPU 0,2: permission denied"));
        assert_eq!(remark(&cpus, Ok(Some("a line".into()))).as_deref(), Some("a line"));
        assert_eq!(remark(&cpus, Ok(None)), None);
    }
}
