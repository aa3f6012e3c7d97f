//! The models as the load test's targets: each is started anew for each trial.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use loadtest::cost::CostSource;
use loadtest::run::{Endpoint, Fleet, NotReady, supported};
use loadtest::scrape;
use loadtest::target::Url;
use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;
use supervisor::Model;

use crate::service::Service;

const TIMEOUT: Duration = Duration::from_secs(10);

/// The models, and the machine shared out between them and the load.
pub struct Lab {
    models: Vec<Model>,
    files: Option<PathBuf>,
    cpus: Vec<usize>,
    running: Option<Service>,
}

impl Lab {
    /// Nothing runs yet.
    ///
    /// # Errors
    /// One line.
    pub fn new(models: Vec<Model>, files: Option<PathBuf>) -> Result<Lab, String> {
        let allowed = sched_getaffinity(Pid::from_raw(0)).map_err(|errno| format!("sched_getaffinity: {errno}"))?;
        let cpus = (0..CpuSet::count()).filter(|&cpu| allowed.is_set(cpu).unwrap_or(false)).collect();
        Ok(Lab { models, files, cpus, running: None })
    }

    /// The lower half of the CPUs serves; with one CPU there is nothing to share out.
    fn server_cpus(&self) -> &[usize] {
        &self.cpus[..(self.cpus.len() / 2).max(1)]
    }

    /// The other half loads.
    pub fn generator_cpus(&self) -> Vec<usize> {
        let generator = &self.cpus[self.cpus.len() / 2..];
        generator.to_vec()
    }

    /// Who runs where, as a sentence.
    pub fn division(&self) -> String {
        match self.cpus[..] {
            [_] => "One CPU: server and load share it, so compare nothing but the servers' CPU per request.".into(),
            _ => format!("Servers on CPU {:?}, load on CPU {:?}.", self.server_cpus(), self.generator_cpus()),
        }
    }

    /// Has each model answer each workload once, and looks at the answer.
    ///
    /// # Errors
    /// Which model does not start, or answers wrong.
    pub fn check(&mut self, workloads: &[String], stop: &AtomicBool) -> Result<(), String> {
        for model in self.models.clone() {
            if stop.load(Relaxed) {
                return Ok(());
            }
            match self.ready(model.name) {
                Ok(endpoint) => {
                    let wrong = |asked: &str, what: String| format!("{}: {asked} {what}", model.name);
                    let (status, body) =
                        scrape::get(&endpoint.url, TIMEOUT).map_err(|error| wrong("/", error.to_string()))?;
                    if status != 200 || body != b"Hello World\n" {
                        return Err(wrong("/", format!("answered {status} with {} bytes", body.len())));
                    }
                    for workload in workloads {
                        let status = loadtest::run::check(&endpoint.url, workload, TIMEOUT)
                            .map_err(|error| wrong(workload, error.to_string()))?;
                        if !(200..400).contains(&status) {
                            return Err(wrong(
                                workload,
                                format!("answered {status}: is that what --workload should ask for?"),
                            ));
                        }
                    }
                }
                Err(NotReady::Unsupported(_)) => {} // its cells will say so
                Err(NotReady::Unreachable(why)) => return Err(why),
            }
            self.finished(model.name);
        }
        Ok(())
    }
}

impl Fleet for Lab {
    fn ready(&mut self, target: &str) -> Result<Endpoint, NotReady> {
        let unknown = || NotReady::Unreachable(format!("there is no model {target}"));
        let model = *self.models.iter().find(|model| model.name == target).ok_or_else(unknown)?;
        self.running = None; // the last one is gone before the next one starts
        let service = Service::start(&model, (0, 0), self.files.as_deref(), self.server_cpus());
        let service = self.running.insert(service.map_err(NotReady::Unreachable)?);
        let url = |address, path: &str| -> Result<Url, NotReady> {
            format!("http://{address}{path}").parse().map_err(NotReady::Unreachable)
        };
        let metrics = url(service.admin, "/metrics")?;
        supported(&metrics, TIMEOUT)?;
        let url = url(service.listen, "/")?;
        Ok(Endpoint { url, cost: CostSource::Metrics(metrics), cpus: Some(self.server_cpus().len()) })
    }

    fn finished(&mut self, _target: &str) {
        self.running = None;
    }
}
