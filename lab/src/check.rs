//! Looks before a run what a guest has of what is requested, and how that differs from the models' answers.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use loadtest::front::say;
use loadtest::target::Url;
use loadtest::{probe, scrape, unless_stopped};
use results::Plan;

/// The body of every model's answer to `/`.
pub const HELLO: &[u8] = b"Hello World\n";
/// What every guest has to serve, if it is requested at all.
const ROOT: &str = "/";

/// Sends one request of each workload to a guest, and returns those that it lacks, with the status of its answer. Says where a
/// body differs from the models'. `files` is the directory that all of them serve.
///
/// # Errors
/// A line that says what the guest does not answer, or that it has nothing at `/`, if the plan asks for it.
pub fn lacks(
    name: &str,
    url: &Url,
    plan: &Plan,
    files: Option<&Path>,
    limit: Duration,
    stop: &AtomicBool,
) -> Result<Vec<(String, u16)>, String> {
    let mut lacks = Vec::new();
    for workload in plan.requested() {
        let (at, path, content) = (url.clone(), workload.clone(), plan.content_of(workload).clone());
        let asked = unless_stopped(stop, Duration::ZERO, move || probe::check(&at, &path, &content, limit));
        let status = asked.and_then(|status| status.ok_or(io::ErrorKind::Interrupted)?);
        match status.map_err(|error| format!("{name}: it does not answer {workload}: {error}"))? {
            200..400 => {
                if let Some(difference) = difference(url, workload, files, limit) {
                    say(&format!("{name}: {difference}"));
                }
            }
            status if workload == ROOT => {
                return Err(format!("{name}: it answers / with {status}: a guest has to serve what is measured"));
            }
            status => lacks.push((workload.clone(), status)),
        }
    }
    Ok(lacks)
}

/// How the guest's answer differs from the models', where theirs is known.
fn difference(url: &Url, workload: &str, files: Option<&Path>, limit: Duration) -> Option<String> {
    let models = models_body(workload, files)?;
    let (_, body) = scrape::get(&url.with_path(workload), limit).ok()?;
    let (theirs, ours) = (body.len(), models.len());
    match body == models {
        true => None,
        false if theirs == ours => Some(format!("its answer to {workload} has {theirs} other bytes than the models'")),
        false => Some(format!("its answer to {workload} has {theirs} bytes, the models' {ours}")),
    }
}

fn models_body(workload: &str, files: Option<&Path>) -> Option<Vec<u8>> {
    if workload == ROOT {
        return Some(HELLO.to_vec());
    }
    let file = workload.strip_prefix("/files/")?;
    let folder = files.map_or_else(|| app::default_files_dir().ok(), |files| Some(PathBuf::from(files)))?;
    fs::read(folder.join(file)).ok()
}
