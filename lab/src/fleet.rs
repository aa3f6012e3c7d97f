//! The models as the targets of the load test: for each trial, the service of a model is started anew on this machine.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use loadtest::cost::CostSource;
use loadtest::fleet::{Endpoint, Fleet, NotReady, supported};
use loadtest::front::{Exit, Failure};
use loadtest::target::Url;
use loadtest::{probe, scrape};
use results::Plan;
use supervisor::Model;

use crate::cli::WORKLOADS;
use crate::division::Division;
use crate::service::{Placement, Service};
use crate::set;

const TIMEOUT: Duration = Duration::from_secs(10);

/// The time that a service has to finish its connections after a trial. All was measured then, and the clients are gone, so
/// what is left is work that nothing waits for: requests of `--busy` clients, and sleeps of `/sleep/<ms>`.
const GRACE: Duration = Duration::from_millis(20);

/// The models, and the CPUs of this machine, which are divided between the running service and the load.
pub struct LocalFleet {
    models: Vec<Model>,
    files: Option<PathBuf>,
    set: set::Flags,
    division: Division,
    running: Option<Service>,
}

impl LocalFleet {
    /// Divides the CPUs, and restricts the calling thread to those of the load: the threads that it starts from then on
    /// inherit that. No service is started yet.
    ///
    /// # Errors
    /// A line that says that the CPUs could not be found.
    pub fn new(models: Vec<Model>, files: Option<PathBuf>, set: set::Flags) -> Result<LocalFleet, String> {
        let unknown = "sched_getaffinity(2) does not say which CPUs this process may use";
        let division = Division::of_this_machine().ok_or(unknown)?;
        let _ = division.load.restrict(); // not permitted: it only costs precision
        Ok(LocalFleet { models, files, set, division, running: None })
    }

    /// The CPUs of the services and of the load.
    pub fn division(&self) -> &Division {
        &self.division
    }

    /// Sends one request of each workload to each model, and checks the responses.
    ///
    /// # Errors
    /// A line that says which model does not start or answers wrongly, or which workload no model has.
    pub fn check(&mut self, plan: &Plan, stop: &AtomicBool) -> Result<(), Failure> {
        for model in self.models.clone() {
            if stop.load(Relaxed) {
                return Ok(());
            }
            match self.ready(model.name) {
                Ok(endpoint) => {
                    let wrong =
                        |path: &str, what: String| Failure(Exit::Unreachable, format!("{}: {path} {what}", model.name));
                    let (status, body) =
                        scrape::get(&endpoint.url, TIMEOUT).map_err(|error| wrong("/", error.to_string()))?;
                    if status != 200 || body != b"Hello World\n" {
                        return Err(wrong("/", format!("answered {status} with {} bytes", body.len())));
                    }
                    for workload in plan.workloads() {
                        let status = probe::check(&endpoint.url, workload, plan.content_of(workload), TIMEOUT)
                            .map_err(|error| wrong(workload, error.to_string()))?;
                        if status == 404 {
                            let why = format!("no model has the workload {workload}; the models serve {WORKLOADS}");
                            return Err(Failure::usage(why));
                        }
                        if !(200..400).contains(&status) {
                            return Err(wrong(workload, format!("answered {status}; the models serve {WORKLOADS}")));
                        }
                    }
                }
                Err(NotReady::Unsupported(_)) => {} // the cells of this model will report it
                Err(NotReady::Unreachable(why)) => return Err(Failure(Exit::Unreachable, why)),
            }
            self.finished(model.name);
        }
        Ok(())
    }
}

impl Fleet for LocalFleet {
    fn ready(&mut self, target: &str) -> Result<Endpoint, NotReady> {
        let unknown = || NotReady::Unreachable(format!("there is no model {target}"));
        let model = *self.models.iter().find(|model| model.name == target).ok_or_else(unknown)?;
        self.running = None; // stops the previous service, before the next one starts
        let placement = Placement {
            ports: (0, 0),
            files: self.files.as_deref(),
            cpus: Some(&self.division),
            set: self.set.get(model.name),
            grace: Some(GRACE),
            shows_routine: false,
        };
        let service = Service::start(&model, &placement);
        let service = self.running.insert(service.map_err(NotReady::Unreachable)?);
        let url = |address, path: &str| -> Result<Url, NotReady> {
            format!("http://{address}{path}").parse().map_err(NotReady::Unreachable)
        };
        let metrics = url(service.admin, "/metrics")?;
        let says = supported(&metrics, TIMEOUT)?.says;
        let url = url(service.listen, "/")?;
        Ok(Endpoint { url, cost: CostSource::Metrics(metrics), cpus: Some(self.division.servers.cpus().len()), says })
    }

    fn finished(&mut self, _target: &str) {
        self.running = None;
    }
}
