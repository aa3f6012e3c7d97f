//! The models as the targets of the load test: for each trial, the service of a model is started anew on this machine.

use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
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

/// The models, and the CPUs of this machine, which are divided between the services and the load.
struct Models {
    models: Vec<Model>,
    files: Option<PathBuf>,
    set: set::Flags,
    division: Division,
}

/// The models, of which one runs at a time.
pub struct LocalFleet {
    models: Models,
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
        Ok(LocalFleet { models: Models { models, files, set, division }, running: None })
    }

    /// The CPUs of the services and of the load.
    pub fn division(&self) -> &Division {
        &self.models.division
    }

    /// Sends one request of each workload to each model, and checks the responses. All models run at the same time
    /// meanwhile: one after the other, they would take seconds of the run's budget.
    ///
    /// # Errors
    /// A line that says which model does not start or answers wrongly, or which workload no model has.
    pub fn check(&self, plan: &Plan, stop: &AtomicBool) -> Result<(), Failure> {
        let models = &self.models;
        thread::scope(|scope| {
            // A service ends with the thread that has started it, so each thread stops its own.
            let check =
                |model| scope.spawn(move || if stop.load(Relaxed) { Ok(()) } else { models.check(model, plan) });
            let checks: Vec<_> = models.models.iter().map(check).collect();
            checks.into_iter().try_for_each(|check| check.join().unwrap_or_else(|panic| resume_unwind(panic)))
        })
    }
}

impl Models {
    fn check(&self, model: &Model, plan: &Plan) -> Result<(), Failure> {
        let (_service, endpoint) = match self.start(model) {
            Ok(started) => started,
            Err(NotReady::Unsupported(_)) => return Ok(()), // the cells of this model will report it
            Err(NotReady::Unreachable(why)) => return Err(Failure(Exit::Unreachable, why)),
        };
        let wrong = |path: &str, what: String| Failure(Exit::Unreachable, format!("{}: {path} {what}", model.name));
        let (status, body) = scrape::get(&endpoint.url, TIMEOUT).map_err(|error| wrong("/", error.to_string()))?;
        if status != 200 || body != b"Hello World\n" {
            return Err(wrong("/", format!("answered {status} with {} bytes", body.len())));
        }
        // All models compute on the same CPUs meanwhile.
        let timeout = TIMEOUT * self.models.len() as u32;
        for workload in plan.workloads() {
            let status = probe::check(&endpoint.url, workload, plan.content_of(workload), timeout)
                .map_err(|error| wrong(workload, error.to_string()))?;
            if status == 404 {
                let why = format!("no model has the workload {workload}; the models serve {WORKLOADS}");
                return Err(Failure::usage(why));
            }
            if !(200..400).contains(&status) {
                return Err(wrong(workload, format!("answered {status}; the models serve {WORKLOADS}")));
            }
        }
        Ok(())
    }

    /// Starts the service of a model.
    fn start(&self, model: &Model) -> Result<(Service, Endpoint), NotReady> {
        let placement = Placement {
            ports: (0, 0),
            files: self.files.as_deref(),
            cpus: Some(&self.division),
            set: self.set.get(model.name),
            grace: Some(GRACE),
            shows_routine: false,
        };
        let service = Service::start(model, &placement).map_err(NotReady::Unreachable)?;
        let url = |address, path: &str| -> Result<Url, NotReady> {
            format!("http://{address}{path}").parse().map_err(NotReady::Unreachable)
        };
        let metrics = url(service.admin, "/metrics")?;
        let says = supported(&metrics, TIMEOUT)?.says;
        let url = url(service.listen, "/")?;
        let cpus = Some(self.division.servers.cpus().len());
        Ok((service, Endpoint { url, cost: CostSource::Metrics(metrics), cpus, says }))
    }
}

impl Fleet for LocalFleet {
    fn ready(&mut self, target: &str, _load: &results::Load) -> Result<Endpoint, NotReady> {
        let unknown = || NotReady::Unreachable(format!("there is no model {target}"));
        let model = self.models.models.iter().find(|model| model.name == target).ok_or_else(unknown)?;
        self.running = None; // stops the previous service, before the next one starts
        let (service, endpoint) = self.models.start(model)?;
        self.running = Some(service);
        Ok(endpoint)
    }

    fn finished(&mut self, _target: &str) {
        self.running = None;
    }
}
