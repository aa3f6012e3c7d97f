//! The HTTP client for what is asked beside the load: the targets' metrics, and a Prometheus.

use crate::target::Url;
use http::{Response, Uri};
use std::io;
use std::sync::LazyLock;
use std::time::Duration;
use ureq::config::Config;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Body, Error, RequestBuilder};

/// The largest body that is read, in MiB.
const LARGEST: u64 = 16;
/// Bytes for what is received: room for more than the largest head, 64 KiB.
const INPUT_BUFFER: usize = 80 * 1024;
/// Bytes for what is sent; each line of a head has to fit in.
const OUTPUT_BUFFER: usize = 16 * 1024;

/// A status is no error here, and no redirect is followed. A proxy of the environment is not used: it would stand
/// between the load test and what it measures.
static CLIENT: LazyLock<Agent> = LazyLock::new(|| {
    let config = Agent::config_builder()
        .proxy(None)
        .max_redirects(0)
        .http_status_as_error(false)
        .max_idle_connections(0)
        .user_agent(concat!("loadtest/", env!("CARGO_PKG_VERSION")))
        // Of the default size, 128 KiB each, malloc(3) maps them anew for each request, which doubles its CPU time.
        .input_buffer_size(INPUT_BUFFER)
        .output_buffer_size(OUTPUT_BUFFER)
        .build();
    Agent::with_parts(config, DefaultConnector::default(), ResolverOnThisThread::default())
});

/// Looks names up on the thread that asks. Otherwise ureq starts a thread for each request that has a time-out, even to
/// an address, and that doubles its CPU time. The price: a look-up takes as long as the system's resolver lets it take.
/// resolv.conf(5), timeout
#[derive(Debug, Default)]
struct ResolverOnThisThread(DefaultResolver);

impl Resolver for ResolverOnThisThread {
    fn resolve(&self, uri: &Uri, config: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        self.0.resolve(uri, config, NextTimeout::default())
    }
}

/// Requests `url` with GET and returns the status and the body. `timeout` is for the whole exchange, but does not end
/// the look-up of a name.
///
/// # Errors
/// No connection, no complete answer in time, a body of more than 16 MiB, or an answer that is not HTTP.
pub fn get(url: &Url, timeout: Duration) -> io::Result<(u16, Vec<u8>)> {
    get_with(url, &[], timeout)
}

/// As [`get`], with a query of these names and values, which are escaped.
pub(crate) fn get_with(url: &Url, query: &[(&str, &str)], timeout: Duration) -> io::Result<(u16, Vec<u8>)> {
    let request = limited(CLIENT.get(url.uri()), timeout).query_pairs(query.iter().copied());
    let answer = complete(request.call())?;
    Ok((answer.status().as_u16(), answer.into_body()))
}

/// Sends `body` with POST and these header fields, and returns the answer.
///
/// # Errors
/// As [`get`].
pub(crate) fn post(
    url: &Url,
    fields: &[(&str, &str)],
    body: &[u8],
    timeout: Duration,
) -> io::Result<Response<Vec<u8>>> {
    let request = limited(CLIENT.post(url.uri()), timeout);
    complete(fields.iter().fold(request, |request, &(name, value)| request.header(name, value)).send(body))
}

/// The request with this time-out, and with the wish that the server closes the connection.
fn limited<Any>(request: RequestBuilder<Any>, timeout: Duration) -> RequestBuilder<Any> {
    request.config().timeout_global(Some(timeout)).build().header("Connection", "close")
}

/// Reads the body of an answer.
fn complete(answer: Result<Response<Body>, Error>) -> io::Result<Response<Vec<u8>>> {
    let read = |answer: Response<Body>| {
        let (head, body) = answer.into_parts();
        let body = body.into_with_config().limit(LARGEST * 1024 * 1024).read_to_vec()?;
        Ok(Response::from_parts(head, body))
    };
    answer.and_then(read).map_err(|error| match error {
        Error::Timeout(_) => io::Error::new(io::ErrorKind::TimedOut, "no complete answer in time"),
        Error::BodyExceedsLimit(_) => io::Error::other(format!("the answer has more than {LARGEST} MiB")),
        Error::Protocol(why) => io::Error::new(io::ErrorKind::InvalidData, format!("not an HTTP response: {why}")),
        Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            io::Error::new(error.kind(), "closed before a complete answer")
        }
        error => error.into_io(),
    })
}

#[cfg(test)]
mod tests;
