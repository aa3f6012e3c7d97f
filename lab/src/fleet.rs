//! The models as the targets of the load test: for each trial, the service of a model is started anew on this machine.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use loadtest::cost::CostSource;
use loadtest::fleet::{Endpoint, Fleet, NotReady, supported};
use loadtest::front::{Exit, Failure};
use loadtest::target::Url;
use loadtest::{cpus, probe, scrape};
use results::{Plan, Target};
use supervisor::Model;

use crate::cli::WORKLOADS;
use crate::service::{Placement, Service};

const TIMEOUT: Duration = Duration::from_secs(10);

/// The models, and the CPUs of this machine, which are divided between the running service and the load.
pub struct LocalFleet {
    models: Vec<Model>,
    files: Option<PathBuf>,
    cpus: Vec<usize>,
    running: Option<Service>,
}

impl LocalFleet {
    /// Divides the CPUs. No service is started yet.
    ///
    /// # Errors
    /// A line that says that the CPUs could not be found.
    pub fn new(models: Vec<Model>, files: Option<PathBuf>) -> Result<LocalFleet, String> {
        match cpus::allowed_cpus() {
            none if none.is_empty() => Err("sched_getaffinity(2) does not say which CPUs this process may use".into()),
            cpus => Ok(LocalFleet { models, files, cpus, running: None }),
        }
    }

    /// The CPUs of the services: the lower half. With one CPU, the services and the load share it.
    fn server_cpus(&self) -> &[usize] {
        &self.cpus[..(self.cpus.len() / 2).max(1)]
    }

    /// The CPUs of the load: the upper half.
    pub fn generator_cpus(&self) -> Vec<usize> {
        let generator = &self.cpus[self.cpus.len() / 2..];
        generator.to_vec()
    }

    /// Says in a sentence which CPUs the services and the load use.
    pub fn cpu_division(&self) -> String {
        match self.cpus[..] {
            [_] => "One CPU: server and load share it, so compare only the servers' CPU per request.".into(),
            _ => format!("Servers on CPU {:?}, load on CPU {:?}.", self.server_cpus(), self.generator_cpus()),
        }
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
                    for workload in &plan.workloads {
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
        let placement =
            Placement { ports: (0, 0), files: self.files.as_deref(), cpus: self.server_cpus(), shows_routine: false };
        let service = Service::start(&model, &placement);
        let service = self.running.insert(service.map_err(NotReady::Unreachable)?);
        let url = |address, path: &str| -> Result<Url, NotReady> {
            format!("http://{address}{path}").parse().map_err(NotReady::Unreachable)
        };
        let metrics = url(service.admin, "/metrics")?;
        supported(&metrics, TIMEOUT)?;
        let url = url(service.listen, "/")?;
        Ok(Endpoint {
            url,
            cost: CostSource::Metrics(metrics),
            cpus: Some(self.server_cpus().len()),
            says: Target::default(),
        })
    }

    fn finished(&mut self, _target: &str) {
        self.running = None;
    }
}
