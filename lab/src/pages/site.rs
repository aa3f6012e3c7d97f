//! The addresses of the pages, and what is there.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::map_response;
use axum::response::sse::{KeepAlive, Sse};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use pages::{OF_A_SERVER, list, live, notice, report, side_by_side};
use serde::Deserialize;

use super::folder::{RESULTS, Runs, SLICES, is_name};
use super::follow::{self, Follower};
use super::summaries::Summaries;

/// The path of the script.
const SCRIPT: &str = "/live.js";

/// What the pages show.
pub struct Site {
    runs: Arc<Runs>,
    dashboards: Option<String>,
    summaries: Summaries,
    viewers: Arc<AtomicUsize>,
}

type Shared = State<Arc<Site>>;

impl Site {
    /// The pages of this folder of results.
    pub fn new(runs: Runs, dashboards: Option<String>) -> Site {
        Site { runs: Arc::new(runs), dashboards, summaries: Summaries::default(), viewers: Arc::default() }
    }

    /// How many viewers follow a run.
    pub fn viewers(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.viewers)
    }

    /// The routes.
    pub fn router(self) -> Router {
        Router::new()
            .route("/", get(all))
            .route("/newest", get(newest))
            .route("/compare", get(compare))
            .route("/runs/{run}", get(run))
            .route("/runs/{run}/live", get(events))
            .route("/runs/{run}/results.json", get(results_json))
            .route("/runs/{run}/slices.ndjson", get(slices_ndjson))
            .route("/runs/{run}/{experiment}", get(experiment))
            .route(SCRIPT, get(async || ([(CONTENT_TYPE, "text/javascript; charset=utf-8")], live::SCRIPT)))
            .route("/healthz", get(async || "ok\n"))
            .route("/favicon.ico", get(async || StatusCode::NO_CONTENT)) // browsers ask for it by themselves
            .fallback(async || missing("There is no such page."))
            .with_state(Arc::new(self))
            .layer(map_response(with_headers))
    }
}

/// A site that has one page.
pub fn of_one_page(page: String) -> Router {
    let show = async move || Html(page.clone());
    Router::new().route("/", get(show)).layer(map_response(with_headers))
}

/// The headers of every response: what a page may do is said twice, in the page and here; it stands in no frame, tells no other site
/// where its user comes from, and is what its type says.
async fn with_headers(mut response: Response) -> Response {
    let policy = format!("{OF_A_SERVER}; frame-ancestors 'none'");
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, policy.as_str()),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-cache"),
    ] {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
    response
}

fn missing(why: &str) -> Response {
    (StatusCode::NOT_FOUND, Html(notice::page("Nothing here", why, SCRIPT))).into_response()
}

/// Computes a response on another thread: to read and draw a run may take a while.
async fn elsewhere(site: Arc<Site>, compute: impl FnOnce(&Site) -> Response + Send + 'static) -> Response {
    let computed = tokio::task::spawn_blocking(move || compute(&site)).await;
    computed.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

async fn all(State(site): Shared) -> Response {
    let list = |site: &Site| {
        let runs = site.summaries.list(&site.runs);
        Html(list::page(&runs, site.dashboards.as_deref(), SCRIPT)).into_response()
    };
    elsewhere(site, list).await
}

async fn newest(State(site): Shared) -> Response {
    elsewhere(site, |site| match Summaries::newest(&site.runs) {
        Some(run) => Redirect::to(&format!("/runs/{run}")).into_response(),
        None => missing("There is no run yet. Load this page again when it has begun."),
    })
    .await
}

async fn run(State(site): Shared, Path(run): Path<String>) -> Response {
    elsewhere(site, move |site| {
        if let Some(state) = is_name(&run).then(|| follow::state(&site.runs, &run)).flatten() {
            return Html(live::page(&state, &format!("/runs/{run}/live"), SCRIPT)).into_response();
        }
        shown(site, &[&run])
    })
    .await
}

async fn experiment(State(site): Shared, Path((run, experiment)): Path<(String, String)>) -> Response {
    elsewhere(site, move |site| shown(site, &[&run, &experiment])).await
}

/// The report on a run.
fn shown(site: &Site, run: &[&str]) -> Response {
    match follow::results(&site.runs, run) {
        Ok(results) => Html(report::served(&results, SCRIPT)).into_response(),
        Err(why) => missing(&format!("There is no report on this run: {why}.")),
    }
}

async fn events(State(site): Shared, Path(run): Path<String>) -> Response {
    if !is_name(&run) {
        return missing("There is no such run.");
    }
    let follower = Follower::new(Arc::clone(&site.runs), run, site.viewers());
    Sse::new(follower.events()).keep_alive(KeepAlive::default()).into_response()
}

#[derive(Deserialize)]
struct Two {
    from: String,
    to: String,
}

async fn compare(State(site): Shared, Query(two): Query<Two>) -> Response {
    elsewhere(site, move |site| {
        let of = |run: &str| follow::results(&site.runs, &[run]);
        match (of(&two.from), of(&two.to)) {
            (Ok(first), Ok(second)) => {
                Html(side_by_side::page((&two.from, &first), (&two.to, &second), SCRIPT)).into_response()
            }
            (Err(why), _) | (_, Err(why)) => missing(&format!("One of these runs cannot be read: {why}.")),
        }
    })
    .await
}

async fn results_json(State(site): Shared, Path(run): Path<String>) -> Response {
    elsewhere(site, move |site| download(site, &run, RESULTS, "application/json")).await
}

async fn slices_ndjson(State(site): Shared, Path(run): Path<String>) -> Response {
    elsewhere(site, move |site| download(site, &run, SLICES, "application/x-ndjson")).await
}

fn download(site: &Site, run: &str, name: &'static str, content_type: &'static str) -> Response {
    let read = || {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut site.runs.file(&[run], name)?, &mut bytes)?;
        Ok::<_, std::io::Error>(bytes)
    };
    match read() {
        Ok(bytes) => ([(CONTENT_TYPE, content_type)], Body::from(bytes)).into_response(),
        Err(_) => missing("There is no such file."),
    }
}
