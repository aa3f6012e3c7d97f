//! The page /info: a JSON object that says what the service is, and how it was configured.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::status::{ModelProgram, Phase, Program, Service, Status};

#[derive(Serialize)]
struct Info<'a> {
    name: &'a str,
    version: &'a str,
    kernel: &'a str,
    supervisor_pid: u32,
    /// The process of the model or of the guest; null while there is none.
    model_pid: Option<i32>,
    listen: String,
    admin: String,
    files: String,
    /// The CPUs that the model or the guest may use.
    cpus: &'a [usize],
    boot_id: Option<&'a str>,
    /// The flags that were given, without those on which no figure depends.
    given: BTreeMap<&'a str, &'a str>,
    restarts: u64,
    /// Null, or why this machine does not permit the model, or what it lacks.
    unsupported: Option<&'a str>,
    #[serde(flatten)]
    program: ProgramInfo<'a>,
    /// Null while there is no process to measure, like the two below.
    cpu_source: Option<&'a str>,
    memory_source: Option<&'a str>,
    peak_memory_source: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum ProgramInfo<'a> {
    Model {
        store: String,
        racy: bool,
        threads: usize,
        max_connections: usize,
        /// The flag or limit that decided `max_connections`.
        max_connections_set_by: &'a str,
        backlog: i32,
        limits: LimitsInfo,
        /// What the model states about itself.
        model: BTreeMap<String, String>,
    },
    Guest {
        /// What is known of a server of others. Only guests have it.
        guest: &'a BTreeMap<String, String>,
    },
}

#[derive(Serialize)]
struct LimitsInfo {
    request_line_bytes: usize,
    head_bytes: usize,
    body_bytes: usize,
    head_seconds: f64,
    body_seconds: f64,
    idle_seconds: f64,
    write_seconds: f64,
    grace_seconds: f64,
}

/// Whether the flag changes no figure: it says where something is, which differs from run to run, or how the service stops.
fn changes_no_figure(flag: &str) -> bool {
    ["listen", "admin", "cpus", "supervisor-cpus", "files", "store", "grace"].contains(&flag)
}

/// Makes the page.
pub(crate) fn page(status: &mut Status) -> impl Serialize {
    let sample = status.accounts.figures().ok().and_then(|figures| figures.sample);
    let service = &status.service;
    let given = service.given.iter().map(|(flag, value)| (&**flag, &**value));
    Info {
        name: service.name,
        version: env!("CARGO_PKG_VERSION"),
        kernel: &service.kernel,
        supervisor_pid: std::process::id(),
        model_pid: status.model().map(|pid| pid.as_raw()),
        listen: service.listen.to_string(),
        admin: service.admin.to_string(),
        files: service.files.to_string_lossy().into_owned(),
        cpus: service.cpus.of_model.cpus(),
        boot_id: service.boot_id.as_deref(),
        given: given.filter(|(flag, _)| !changes_no_figure(flag)).collect(),
        restarts: status.restarts,
        unsupported: match &status.phase {
            Phase::Unsupported(why) => Some(why),
            _ => None,
        },
        program: match &service.program {
            Program::Guest(guest) => ProgramInfo::Guest { guest: &guest.facts },
            Program::Model(program) => of_model(program, service),
        },
        cpu_source: sample.as_ref().map(|_| status.cpu_source()),
        memory_source: sample.as_ref().map(|sample| sample.memory_source),
        peak_memory_source: sample.as_ref().map(|sample| sample.peak_memory_source),
    }
}

fn of_model<'a>(program: &'a ModelProgram, service: &Service) -> ProgramInfo<'a> {
    let ModelProgram { settings, capacity, backlog, .. } = program;
    ProgramInfo::Model {
        store: settings.store.to_string_lossy().into_owned(),
        racy: settings.racy,
        threads: settings.threads,
        max_connections: settings.max_connections,
        max_connections_set_by: capacity.set_by,
        backlog: *backlog,
        limits: LimitsInfo {
            request_line_bytes: settings.limits.request_line,
            head_bytes: settings.limits.head,
            body_bytes: settings.limits.body,
            head_seconds: settings.limits.head_time.as_secs_f64(),
            body_seconds: settings.limits.body_time.as_secs_f64(),
            idle_seconds: settings.limits.idle_time.as_secs_f64(),
            write_seconds: settings.limits.write_time.as_secs_f64(),
            grace_seconds: service.grace.as_secs_f64(),
        },
        model: service.board.facts().into_iter().collect(),
    }
}
