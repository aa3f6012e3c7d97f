//! Looks before a run what a guest has of what is requested, and how that differs from the models' answers.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use loadtest::every_path::answers_every_path;
use loadtest::fleet;
use loadtest::front::say;
use loadtest::target::Url;
use loadtest::{probe, scrape, unless_stopped};
use results::Plan;
use results::content::Content;
use results::lacks::Lack;
use results::units::plural;

/// The body of every model's answer to `/`.
pub const HELLO: &[u8] = b"Hello World\n";
/// What every guest has to serve, if it is requested at all.
const ROOT: &str = "/";

/// A guest that runs.
pub struct Candidate<'a> {
    pub name: &'a str,
    pub url: &'a Url,
    /// The directory that it serves; the default one if there is none.
    pub files: Option<&'a Path>,
    /// The time for each answer.
    pub limit: Duration,
    pub stop: &'a AtomicBool,
}

impl Candidate<'_> {
    /// Sends one request of each workload to the guest, and returns those that it lacks, with what shows it. Says where a body
    /// differs from the models'.
    ///
    /// # Errors
    /// A line that says what the guest does not answer, or answers with a failure, or that it has nothing at `/`, if the plan asks
    /// for it.
    pub fn lacks(&self, plan: &Plan) -> Result<Vec<(String, Lack)>, String> {
        let name = self.name;
        let mut lacks = Vec::new();
        for workload in plan.requested() {
            let content = plan.content_of(workload);
            let status = self.status(workload, content);
            match status.map_err(|error| format!("{name}: it does not answer {workload}: {error}"))? {
                200..400 if answers_every_path(self.url, workload, content, self.limit, self.stop) => {
                    say(&format!("{name}: it answers {workload} as it answers any path, so it does not have it"));
                    lacks.push((workload.clone(), Lack::EveryPath));
                }
                200..400 => self.difference(workload).iter().for_each(|line| say(&format!("{name}: {line}"))),
                status if workload == ROOT => {
                    return Err(format!("{name}: it answers / with {status}: a guest has to serve what is measured"));
                }
                status => match fleet::lacks(status) {
                    Some(lack) => lacks.push((workload.clone(), lack)),
                    None => return Err(format!("{name}: it answers {workload} with {status}: that is a failure")),
                },
            }
        }
        Ok(lacks)
    }

    fn status(&self, workload: &str, content: &Content) -> io::Result<u16> {
        let (url, workload, content, limit) = (self.url.clone(), workload.to_owned(), content.clone(), self.limit);
        let asked = unless_stopped(self.stop, Duration::ZERO, move || probe::check(&url, &workload, &content, limit));
        asked.and_then(|status| status.ok_or(io::ErrorKind::Interrupted)?)
    }

    fn body(&self, path: &str) -> Option<Vec<u8>> {
        scrape::get(&self.url.with_path(path), self.limit).ok().map(|(_, body)| body)
    }

    /// How the guest's answer differs from the models', where theirs is known.
    fn difference(&self, workload: &str) -> Option<String> {
        let models = models_body(workload, self.files)?;
        let body = self.body(workload)?;
        let (theirs, ours) = (body.len(), models.len());
        match body == models {
            true => None,
            false if theirs == ours => {
                let length = plural(theirs, "byte");
                Some(format!("its answer to {workload} is as long as the models', {length}, but has other content"))
            }
            false => Some(format!("its answer to {workload} has {theirs} bytes, the models' {ours}")),
        }
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
