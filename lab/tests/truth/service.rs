//! A service of the lab as its own program, and the fleet that a test makes of it.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use loadtest::cost::CostSource;
use loadtest::fleet::{Endpoint, Fleet, NotReady};
use nix::sys::signal::{Signal, kill};
use nix::time::ClockId;
use nix::unistd::Pid;
use results::{Cell, Plan};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};
use test_lifetime::limit_lifetime;

use crate::group::Group;

/// After so many seconds SIGALRM kills a service, so that each wait for it comes to an end.
const LIFETIME: u32 = 900;

/// A running service; it is stopped and waited for when this is dropped.
pub struct Service {
    child: Child,
    pub listen: String,
    pub admin: String,
}

impl Service {
    /// Starts a model with these further arguments, in the group if there is one.
    pub fn start(model: &str, arguments: &[&str], group: Option<&Group>) -> Service {
        let joins: Vec<PathBuf> = group.map(Group::procs).unwrap_or_default();
        let join: String = joins.iter().map(|file| format!("echo $$ > {} && ", file.display())).collect();
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{join}exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_lab"), "be", model]);
        command.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        limit_lifetime(&mut command, LIFETIME);
        let mut child = command.spawn().expect("the service starts");
        let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines().map_while(Result::ok);
        let line = lines.by_ref().find(|line| line.contains("listening on")).expect("the service listens");
        std::thread::spawn(move || lines.for_each(|line| println!("{line}")));
        let mut addresses = line.split("http://").skip(1).map(|part| part.split(',').next().unwrap_or(part).trim());
        let mut next = || addresses.next().expect("two addresses").to_owned();
        Service { listen: next(), admin: next(), child }
    }

    /// The CPU time of the supervisor, by the kernel's clock of that process.
    pub fn supervisor_cpu(&self) -> Duration {
        let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(self.child.id() as i32)).expect("it runs");
        clock.now().expect("its clock can be read").into()
    }

    /// This service as the target of a run. Its cost is read through `admin`, the address of its admin endpoint or of what
    /// stands before it.
    pub fn fleet(&self, admin: &str, cpus: usize) -> OneTarget {
        let url = |address: &str, path: &str| format!("http://{address}{path}").parse().expect("a URL");
        let cost = CostSource::Metrics(url(admin, "/metrics"));
        OneTarget(Endpoint { url: url(&self.listen, "/"), cost, cpus: Some(cpus), says: Default::default() })
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

/// A fleet of one target, which runs already.
pub struct OneTarget(pub Endpoint);

impl Fleet for OneTarget {
    fn ready(&mut self, _: &str, _load: &results::Load) -> Result<Endpoint, NotReady> {
        Ok(self.0.clone())
    }
}

/// Runs a plan of one cell, and returns it.
pub fn only_cell(plan: &Plan, fleet: &mut dyn Fleet) -> Cell {
    let mut results = loadtest::run(plan, Instant::now(), fleet, &mut (), &AtomicBool::new(false))
        .expect("this machine can run a load");
    results.cells.remove(0)
}

/// The CPUs of the service and of the load, where this machine has two.
pub fn two_cpus() -> Option<(usize, usize)> {
    let cpus = loadtest::cpus::allowed_cpus();
    Some((*cpus.first()?, *cpus.get(1)?))
}
