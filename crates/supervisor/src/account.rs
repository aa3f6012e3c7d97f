//! The page /account: what the service has served and what that has cost, read at the same moment.

use std::io;
use std::time::Duration;

use cpu_list::CpuList;
use nix::time::{ClockId, clock_gettime};
use process_tree::{Account, Cgroup};

use crate::status::{Program, Status};

/// Makes the page.
///
/// # Errors
/// The processes of the model, or the clock of this one, cannot be read.
pub(crate) fn page(status: &mut Status) -> io::Result<Account> {
    let read = status.accounts.served()?;
    let throttled = status.service.cgroup.as_ref().map(Cgroup::throttled).and_then(|throttled| throttled.sum());
    let planned = &status.service.cpus.of_model;
    let cpus = status.model().and_then(|pid| CpuList::of(pid).ok()).unwrap_or_else(|| planned.clone());
    let own = Duration::from(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)?);
    Ok(Account {
        monotonic_ns: read.monotonic_ns,
        cpu_ns: read.cpu_ns,
        supervisor_cpu_ns: own.as_nanos() as u64,
        served: match status.service.program {
            Program::Model(_) => Some(read.served),
            Program::Guest(_) => None, // the scoreboard has nothing of it
        },
        throttled_ns: throttled.map(|time| time.as_nanos() as u64),
        cpu_source: status.cpu_source().to_owned(),
        cpus: cpus.cpus().to_vec(),
        boot_id: status.service.boot_id.clone(),
    })
}
