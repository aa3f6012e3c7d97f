//! Whether a server answers any path alike: [`answers_every_path`].

use crate::signals::unless_stopped;
use crate::stop::Stop;
use crate::target::Url;
use crate::{probe, scrape};
use results::content::Content;
use std::time::Duration;

/// What the workloads of the models begin with, besides `/`.
const OF_MODELS: [&str; 5] = ["/files/", "/sleep/", "/work/", "/counter", "/nod"];
/// A path that no server has. One that answers it answers every path.
const NO_PATH: &str = "/no-such-path-of-io-models";

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
    let (method, path) = workload.split_once(' ').unwrap_or(("GET", workload));
    if !OF_MODELS.iter().any(|beginning| path.starts_with(beginning)) {
        return false;
    }
    let (url, content, is_get) = (url.clone(), content.clone(), method == "GET");
    let (path, nowhere) = (path.to_owned(), format!("{method} {NO_PATH}"));
    let body = move |url: &Url, path: &str| scrape::get(&url.with_path(path), limit).ok().map(|(_, body)| body);
    let asked = unless_stopped(stop, Duration::ZERO, move || {
        let is_answered = probe::check(&url, &nowhere, &content, limit).is_ok_and(|status| status < 400);
        is_answered && (!is_get || body(&url, &path) == body(&url, NO_PATH))
    });
    asked.ok().flatten().unwrap_or(false)
}
