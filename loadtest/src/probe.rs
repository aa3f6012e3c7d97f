//! Asks a target once, with the generator's own request and parser, whether it answers a workload.

use crate::engine::Script;
use crate::scrape;
use crate::target::Url;
use results::content::Content;
use std::io;
use std::time::Duration;

/// Sends one request of a workload to the target, waits for the complete answer and returns its status.
///
/// # Errors
/// No connection, or no complete answer in time.
pub fn check(url: &Url, workload: &str, content: &Content, timeout: Duration) -> io::Result<u16> {
    let script = Script::new(&url.authority, workload, content, None, timeout, timeout);
    Ok(scrape::exchange(url, script.closing_request(), script.is_head(), timeout, 0)?.0)
}
