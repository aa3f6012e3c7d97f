//! Runs the service of a model as a child process, which executes this program again.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigHandler, Signal, kill, signal};
use nix::unistd::Pid;
use supervisor::Model;

/// The first argument of a process that must run as a service.
const RUN_SERVICE: &str = "be";

/// The model and the arguments of the service, if this process must run as one.
pub fn requested(
    models: &[Model],
    args: impl IntoIterator<Item = OsString>,
) -> Option<(Model, impl Iterator<Item = OsString>)> {
    let mut args = args.into_iter().skip(1);
    if args.next()? != RUN_SERVICE {
        return None;
    }
    let name = args.next()?;
    let model = models.iter().find(|model| name == model.name)?;
    Some((*model, std::iter::once(name).chain(args)))
}

/// A running service. When it is dropped, it is stopped and waited for.
pub struct Service {
    child: Child,
    stderr: BufReader<ChildStderr>,
    name: &'static str,
    /// The address of the service.
    pub listen: SocketAddr,
    /// The address of its admin endpoint.
    pub admin: SocketAddr,
}

impl Service {
    /// Starts `model` on these ports of the loopback interface (0: any free port), on these CPUs (an empty list: all).
    ///
    /// # Errors
    /// The line in which the service says why it cannot start.
    pub fn start(model: &Model, ports: (u16, u16), files: Option<&Path>, cpus: &[usize]) -> Result<Service, String> {
        Service::try_start(model, ports, files, cpus).map_err(|error| {
            let line = error.to_string();
            if line.starts_with(model.name) { line } else { format!("{}: {line}", model.name) }
        })
    }

    fn try_start(model: &Model, ports: (u16, u16), files: Option<&Path>, cpus: &[usize]) -> io::Result<Service> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args([RUN_SERVICE, model.name]);
        command.args(["--cpus", ""]); // the affinity is set below, whatever the environment variable CPUS says
        command.args(["--listen", &format!("127.0.0.1:{}", ports.0), "--admin", &format!("127.0.0.1:{}", ports.1)]);
        if let Some(files) = files {
            command.arg("--files").arg(files);
        }
        // The service has its own process group, so that Ctrl-C reaches only the lab, which then stops the service.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
        let set = cpu_set(cpus)?;
        let lab = nix::unistd::getpid();
        // SAFETY: between fork and exec there are only four system calls, and no memory is allocated.
        unsafe {
            command.pre_exec(move || {
                // Until exec(2), the handler of the lab is still installed, and would ignore the signal that is
                // requested in the next line.
                signal(Signal::SIGTERM, SigHandler::SigDfl)?;
                set_pdeathsig(Signal::SIGTERM)?;
                if nix::unistd::getppid() != lab {
                    return Err(io::ErrorKind::BrokenPipe.into()); // the lab died before the signal was requested
                }
                set.map_or(Ok(()), |set| Ok(sched_setaffinity(Pid::from_raw(0), &set)?))
            });
        }
        let mut child = command.spawn()?;
        let mut stderr = BufReader::new(child.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?);
        match addresses(&mut stderr) {
            Ok((listen, admin)) => Ok(Service { child, stderr, name: model.name, listen, admin }),
            Err(why) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(why)
            }
        }
    }

    /// A line that says how the service has ended, if it has ended by itself.
    pub fn exit_message(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        Some(self.describe_exit(status))
    }

    /// Sends SIGTERM to the service, and does not wait.
    pub fn terminate(&self) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
    }

    fn describe_exit(&mut self, status: ExitStatus) -> String {
        let mut output = String::new();
        let _ = self.stderr.read_to_string(&mut output);
        format!("{} has ended ({status}){}{}", self.name, if output.is_empty() { "" } else { ": " }, output.trim_end())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.terminate();
        // The wait is short: the supervisor of the service cuts connections off after its `--grace`.
        if let Ok(status) = self.child.wait()
            && !status.success()
        {
            eprintln!("lab: {}", self.describe_exit(status));
        }
    }
}

/// Reads the line in which a service says on which addresses it listens.
fn addresses(stderr: &mut impl BufRead) -> io::Result<(SocketAddr, SocketAddr)> {
    let mut line = String::new();
    stderr.read_line(&mut line)?;
    let found: Vec<SocketAddr> =
        line.split("http://").skip(1).filter_map(|part| part.split([',', '\n']).next()?.trim().parse().ok()).collect();
    match found[..] {
        [listen, admin] => Ok((listen, admin)),
        _ => Err(io::Error::other(if line.is_empty() {
            "it ended without a message".into()
        } else {
            line.trim_end().to_owned()
        })),
    }
}

fn cpu_set(cpus: &[usize]) -> io::Result<Option<CpuSet>> {
    if cpus.is_empty() {
        return Ok(None);
    }
    let mut set = CpuSet::new();
    cpus.iter().try_for_each(|&cpu| set.set(cpu))?;
    Ok(Some(set))
}
