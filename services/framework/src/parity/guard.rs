//! The service that hyper calls, between hyper and the router.

use std::cell::OnceCell;
use std::convert::Infallible;
use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use app::{App, Framing};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::header::{CONNECTION, CONTENT_LENGTH};
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version};
use axum::response::IntoResponse;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use scoreboard::{Counters, Route};
use tokio::time::timeout;
use tower::Service;

use super::progress::{Phase, Progress};
use super::strict;
use crate::reply::Reply;

thread_local! {
    /// Each thread has its own counters.
    static COUNTERS: OnceCell<&'static Counters> = const { OnceCell::new() };
}

/// For one connection: refuses requests that hyper lets through and the other models do not, reads the content in
/// time, counts replies, and notes the connection's progress.
pub struct Guard {
    app: App,
    router: Router,
    progress: Arc<Progress>,
}

impl Guard {
    /// The guard of one connection.
    pub fn new(app: App, router: Router, progress: Arc<Progress>) -> Guard {
        Guard { app, router, progress }
    }
}

impl hyper::service::Service<Request<Incoming>> for Guard {
    type Response = Response<Counted>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Counted>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let since = Instant::now();
        self.progress.enter(Phase::Busy, since);
        if request.body().is_end_stream() {
            self.progress.has_no_content();
        } else {
            self.progress.has_content(framing(&request), &self.app.settings().limits);
        }
        let Guard { app, mut router, progress } = self.share();
        Box::pin(async move {
            let closes = request.version() == Version::HTTP_10 && !persists(request.headers());
            let mut route = Route::Other;
            let checked = strict::check(&request, app.settings());
            let mut response = match checked.and_then(|()| progress.refused_request().map_or(Ok(()), Err)) {
                Err(status) => refuse(status, &progress),
                Ok(()) => match app.route(request.method().as_str(), request.uri().path()) {
                    Err(reply) => Reply(reply).into_response(),
                    Ok(known) => match read_whole(request, app, known, &mut route)
                        .await
                        .map_err(|status| progress.refused_request().unwrap_or(status))
                    {
                        Ok(request) => router.call(request).await.unwrap_or_else(|never| match never {}),
                        Err(status) => refuse(status, &progress),
                    },
                },
            };
            if closes || progress.is_stopping() {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            if response.status() == StatusCode::NOT_MODIFIED {
                response.headers_mut().remove(CONTENT_LENGTH); // axum's 0 to a HEAD is not the file's: RFC 9110, 8.6
            }
            let status = response.status().as_u16();
            Ok(response.map(|body| Counted { body, app, route, status, since, progress }))
        })
    }
}

impl Guard {
    fn share(&self) -> Guard {
        Guard { app: self.app, router: self.router.clone(), progress: Arc::clone(&self.progress) }
    }
}

/// How the content of a request is delimited.
fn framing(request: &Request<Incoming>) -> Framing {
    match request.body().size_hint().exact() {
        Some(length) => Framing::Length(usize::try_from(length).unwrap_or(usize::MAX)),
        None => Framing::Chunked,
    }
}

/// A reply with that status, which ends the connection.
fn refuse(status: u16, progress: &Progress) -> axum::response::Response {
    progress.refuse();
    let mut response = Reply(app::Reply::status(status)).into_response();
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Does an HTTP/1.0 request ask to keep the connection?
fn persists(fields: &HeaderMap) -> bool {
    let lines = fields.get_all(CONNECTION);
    let options = || lines.iter().flat_map(|line| line.as_bytes().split(|&b| b == b','));
    let has = |option: &[u8]| options().any(|other| other.trim_ascii().eq_ignore_ascii_case(option));
    has(b"keep-alive") && !has(b"close")
}

/// The request with all of its content, which has to come in time; the error is a status.
async fn read_whole(
    request: Request<Incoming>,
    app: App,
    known: Route,
    route: &mut Route,
) -> Result<Request<Body>, u16> {
    let limits = &app.settings().limits;
    let (head, mut body) = request.into_parts();
    let content = if body.is_end_stream() {
        Body::empty()
    } else {
        Body::from(timeout(limits.body_time, read(&mut body)).await.unwrap_or(Err(408))?)
    };
    *route = known;
    Ok(Request::from_parts(head, content))
}

/// The content, which `wire.rs` keeps within its limit.
async fn read(body: &mut Incoming) -> Result<Vec<u8>, u16> {
    let mut content = Vec::new();
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await {
        let Ok(data) = frame.map_err(|error| status(&error))?.into_data() else { continue }; // trailers are ignored
        content.extend_from_slice(&data);
    }
    Ok(content)
}

/// The status for content that hyper cannot decode. Two limits hyper sees before a line or the trailers end, so before
/// `wire.rs`, and only hyper's text tells them: a chunk's size beyond 64 bits, and a hundred trailers.
fn status(error: &hyper::Error) -> u16 {
    match error.source().map(ToString::to_string).as_deref() {
        Some("invalid chunk size: overflow") => 413,
        Some("chunk trailers count overflow") => 431,
        _ => 400,
    }
}

/// The content of a reply. When hyper has all of it, the reply is counted.
pub struct Counted {
    body: Body,
    app: App,
    route: Route,
    status: u16,
    since: Instant,
    progress: Arc<Progress>,
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let now = Instant::now();
        if self.body.is_end_stream() {
            let counters = COUNTERS.with(|counters| *counters.get_or_init(|| self.app.worker().counters()));
            counters.served(self.route as usize, self.status, now.saturating_duration_since(self.since));
        }
        self.progress.enter(Phase::Idle, now);
    }
}
