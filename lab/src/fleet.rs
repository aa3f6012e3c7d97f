//! The models and the guests as the targets of the load test: for each trial, one of them is started anew on this machine.

use std::collections::BTreeSet;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use guest::MOST_CONNECTIONS;
use loadtest::cost::CostSource;
use loadtest::every_path::is_of_models;
use loadtest::fleet::{Endpoint, Fleet, Lacks, NotReady, supported};
use loadtest::front::{Exit, Failure, say};
use loadtest::target::Url;
use loadtest::{probe, scrape};
use results::lacks::Lack;
use results::{Load, Plan};
use supervisor::Model;

use crate::check::{Candidate, HELLO};
use crate::disk::files::{Files, prepare};
use crate::division::Division;
use crate::launch::{Placement, Server};
use crate::limit::Limit;
use crate::loads::WORKLOADS;
use crate::servers::Servers;
use crate::service::Service;
use crate::settle;
use crate::warm_up;

const TIMEOUT: Duration = Duration::from_secs(10);

/// The time that a service has to finish its connections after a trial. All was measured then, and the clients are gone, so
/// what is left is work that nothing waits for: requests of `--busy` clients, and sleeps of `/sleep/<ms>`.
const GRACE: Duration = Duration::from_millis(20);

/// The time that a guest has to finish its start, once it answers. After it, the guest is measured all the same.
const SETTLE_TIME: Duration = Duration::from_secs(5);

/// The time for the requests that a guest gets before it is measured.
const WARM_UP_TIME: Duration = Duration::from_secs(5);

/// The connections that a guest is ready for in the check, which opens one at a time.
const CHECKED_CONNECTIONS: usize = 80;

/// A server that closes a connection may still be busy with that when the client has opened the next one.
const SPARE_CONNECTIONS: usize = 16;

/// The connections that a guest shall be ready for under a load. A process for each of 10,000 would take longer to start than a
/// trial.
fn connections(load: &Load) -> usize {
    load.connections().saturating_add(SPARE_CONNECTIONS).min(MOST_CONNECTIONS)
}

/// The servers, and the CPUs of this machine, which are divided between them and the load.
struct Local {
    servers: Servers,
    files: Option<PathBuf>,
    division: Division,
    stop: &'static AtomicBool,
}

/// The servers, of which one runs at a time.
pub struct LocalFleet {
    local: Local,
    lacks: Lacks,
    /// Guests that use CPU time without requests, so that waiting for the end of their start is in vain.
    restless: BTreeSet<String>,
    /// Files on a disk that loads may request.
    on_disk: Vec<Files>,
    running: Option<Service>,
}

impl LocalFleet {
    /// Restricts the calling thread to the CPUs of the load: the threads that it starts from then on inherit that. No service is
    /// started yet. The start of a guest ends early when `stop` is set.
    pub fn new(division: Division, servers: Servers, files: Option<PathBuf>, stop: &'static AtomicBool) -> LocalFleet {
        let _ = division.load.apply(); // not permitted: it only costs precision
        let local = Local { servers, files, division, stop };
        LocalFleet { local, lacks: Lacks::default(), restless: BTreeSet::new(), on_disk: Vec::new(), running: None }
    }

    /// The CPUs of the services and of the load.
    pub fn division(&self) -> &Division {
        &self.local.division
    }

    /// The service of the present trial.
    pub fn running(&self) -> Option<&Service> {
        self.running.as_ref()
    }

    /// Puts these files where each load wants them, before its server starts.
    pub fn with_files_on_disk(self, on_disk: Vec<Files>) -> LocalFleet {
        LocalFleet { on_disk, ..self }
    }

    /// Sends one request of each workload to each server, and checks the responses. All models run at the same time
    /// meanwhile, and then all guests: one after the other, they would take seconds of the run's budget.
    ///
    /// # Errors
    /// A line that says which server does not start or answers wrongly, or which workload no server has.
    pub fn check(&mut self, plan: &Plan) -> Result<(), Failure> {
        let local = &self.local;
        at_once(&local.servers.models, local.stop, |model| local.check_model(model, plan))?;
        let lacks = at_once(&local.servers.guests, local.stop, |guest| {
            local.check_guest(Server::Guest(guest), plan).map_err(|why| Failure(Exit::Unreachable, why))
        })?;
        // Guests alone may lack what models have. Any other path that all of them lack is wrong.
        let is_lacked = |workload: &str| lacks.iter().all(|of_one| of_one.iter().any(|(lacked, _)| lacked == workload));
        let unknown = |workload: &&String| !is_of_models(workload) && is_lacked(workload);
        if let (Some(workload), false) = (plan.requested().into_iter().find(unknown), lacks.is_empty()) {
            return Err(Failure::usage(format!("no server has the workload {workload}; is the path right?")));
        }
        for (guest, lacks) in local.servers.guests.iter().zip(lacks) {
            lacks.into_iter().for_each(|(workload, lack)| self.lacks.add(&guest.name, &workload, lack));
        }
        Ok(())
    }
}

/// Waits until a guest has finished its start. If it does not become calm, says so, and does not wait for it again.
fn settle(restless: &mut BTreeSet<String>, guest: &str, metrics: &Url, stop: &'static AtomicBool) {
    if restless.contains(guest) {
        return;
    }
    if let Some(share) = settle::wait(metrics, &Limit::new(SETTLE_TIME, stop)) {
        say(&format!(
            "{guest}: it uses {:.0} % of a CPU without requests, which its trials have in them",
            share * 100.0
        ));
        restless.insert(guest.to_owned());
    }
}

/// Checks all servers at the same time. After `stop` was set, none is begun.
fn at_once<S: Sync, T: Send>(
    servers: &[S],
    stop: &AtomicBool,
    check: impl Fn(&S) -> Result<T, Failure> + Sync,
) -> Result<Vec<T>, Failure> {
    thread::scope(|scope| {
        let check = &check;
        let check = |server| {
            // A service ends with the thread that has started it, so each thread stops its own.
            scope.spawn(move || match stop.load(Relaxed) {
                true => Err(Failure(Exit::Interrupted, "interrupted".into())),
                false => check(server),
            })
        };
        let checks: Vec<_> = servers.iter().map(check).collect();
        let results = checks.into_iter().map(|check| check.join().unwrap_or_else(|panic| resume_unwind(panic)));
        results.collect()
    })
}

impl Local {
    fn check_model(&self, model: &Model, plan: &Plan) -> Result<(), Failure> {
        let (_service, endpoint) = match self.start(Server::Model(model), model.name, None) {
            Ok(started) => started,
            Err(NotReady::Unsupported(_)) => return Ok(()), // the cells of this model will report it
            Err(NotReady::Unreachable(why)) => return Err(Failure(Exit::Unreachable, why)),
        };
        let wrong = |path: &str, what: String| Failure(Exit::Unreachable, format!("{}: {path} {what}", model.name));
        let (status, body) = scrape::get(&endpoint.url, TIMEOUT).map_err(|error| wrong("/", error.to_string()))?;
        if status != 200 || body != HELLO {
            return Err(wrong("/", format!("answered {status} with {} bytes", body.len())));
        }
        // All models compute on the same CPUs meanwhile.
        let timeout = TIMEOUT * self.servers.models.len() as u32;
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

    /// The workloads that a guest lacks, with what shows it.
    fn check_guest(&self, guest: Server<'_>, plan: &Plan) -> Result<Vec<(String, Lack)>, String> {
        let name = guest.name();
        match self.start(guest, name, None) {
            Ok((mut service, endpoint)) => {
                let (url, files, stop) = (&endpoint.url, self.files.as_deref(), self.stop);
                let candidate = Candidate { name, url, files, limit: TIMEOUT, stop };
                candidate.lacks(plan).map_err(|why| if stop.load(Relaxed) { why } else { service.failure(why) })
            }
            Err(NotReady::Unsupported(why) | NotReady::Unreachable(why)) => Err(why),
        }
    }

    /// Starts the server of a target, for this load if there is one: not in the check.
    fn start(&self, server: Server<'_>, target: &str, load: Option<&Load>) -> Result<(Service, Endpoint), NotReady> {
        let placement = Placement {
            ports: (0, 0),
            files: self.files.as_deref(),
            cpus: Some(&self.division),
            set: self.servers.set.get(target),
            grace: Some(GRACE),
            shows_routine: false,
            is_for_a_trial: true,
            connections: Some(load.map_or(CHECKED_CONNECTIONS, connections)),
            stop: self.stop,
        };
        let service = Service::start(server, &placement).map_err(NotReady::Unreachable)?;
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
    fn ready(&mut self, target: &str, load: &Load) -> Result<Endpoint, NotReady> {
        if let Some(why) = self.lacks.why_not(target, load) {
            return Err(why);
        }
        let unknown = || NotReady::Unreachable(format!("there is no server {target}"));
        let server = self.local.servers.of_target(target).ok_or_else(unknown)?;
        self.running = None; // stops the previous service, before the next one starts
        prepare(&self.on_disk, load).map_err(NotReady::Unreachable)?;
        let (service, endpoint) = self.local.start(server, target, Some(load))?;
        if let (Server::Guest(guest), CostSource::Metrics(metrics)) = (server, &endpoint.cost) {
            let url = endpoint.url.with_path(warm_up::path(&load.workload));
            warm_up::send(&url, guest.warm_up(), WARM_UP_TIME, self.local.stop);
            settle(&mut self.restless, &guest.name, metrics, self.local.stop);
        }
        self.running = Some(service);
        Ok(endpoint)
    }

    fn is_guest(&self, target: &str) -> bool {
        self.local.servers.guests.iter().any(|guest| guest.name == target)
    }

    fn finished(&mut self, _target: &str) {
        if let Some(mut service) = self.running.take()
            && let Some(why) = service.exit_message()
        {
            say(&format!("lab: {why}"));
        }
    }
}
