//! Whether a server answers any path alike: [`answers_every_path`].

use crate::signals::unless_stopped;
use crate::stop::Stop;
use crate::target::Url;
use crate::{probe, scrape};
use results::content::{Content, method_and_path};
use std::time::Duration;

/// What the workloads of the models begin with, besides `/`.
const OF_MODELS: [&str; 5] = ["/files/", "/sleep/", "/work/", "/counter", "/nod"];
/// A path that no server has. One that answers it answers every path.
const NO_PATH: &str = "/no-such-path-of-io-models";

/// Whether a workload is one of the models', besides `/`.
pub fn is_of_models(workload: &str) -> bool {
    let (_, path) = method_and_path(workload);
    OF_MODELS.iter().any(|beginning| path.starts_with(beginning))
}

/// Whether the server, which answers this workload, answers a path that does not exist in the same way: then it does not have
/// the workload. Only workloads that the lab's models have are looked at, since another server may well have `/own` and
/// answer everything else, too. Each request may take `limit`; once `stop` is set, the answer is no.
pub fn answers_every_path<'s>(
    url: &Url,
    workload: &str,
    content: &Content,
    limit: Duration,
    stop: impl Into<Stop<'s>>,
) -> bool {
    if !is_of_models(workload) {
        return false;
    }
    let (method, path) = method_and_path(workload);
    let (url, content, is_get) = (url.clone(), content.clone(), method == "GET");
    let (path, nowhere) = (path.to_owned(), format!("{method} {NO_PATH}"));
    let body = move |url: &Url, path: &str| scrape::get(&url.with_path(path), limit).ok().map(|(_, body)| body);
    let asked = unless_stopped(stop, Duration::ZERO, move || {
        let is_answered = probe::check(&url, &nowhere, &content, limit).is_ok_and(|status| status < 400);
        is_answered && (!is_get || body(&url, &path) == body(&url, NO_PATH))
    });
    asked.ok().flatten().unwrap_or(false)
}
