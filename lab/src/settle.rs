//! Waits until a guest that answers has also finished its start.

use std::io;
use std::thread;
use std::time::Duration;

use loadtest::scrape;
use loadtest::target::Url;
use process_tree::Account;

use crate::addresses::Limit;

/// How often the CPU time of a guest is read.
const READ_AGAIN: Duration = Duration::from_millis(25);
/// A guest that uses a smaller share of a CPU than this has finished its start.
const BUSY: f64 = 0.05;
/// So many times in a row: where other programs hold its CPU, a busy guest uses none for a while.
const CALM_READINGS: u32 = 3;
/// The time for one page.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Waits until the guest uses next to no CPU time, or until the limit. A server may answer long before: Apache's prefork answers
/// when the first of its processes is there, and goes on to fork more than a thousand for a second or two, which would be charged
/// to the first requests of the trial.
pub fn wait(metrics: &Url, limit: &Limit) {
    let account = metrics.with_path("/account");
    let mut before = read(&account);
    let mut calm = 0;
    while limit.left().is_ok() {
        thread::sleep(READ_AGAIN);
        let now = read(&account);
        calm = if is_calm(&before, &now) { calm + 1 } else { 0 };
        if calm == CALM_READINGS {
            return;
        }
        before = now;
    }
}

fn read(account: &Url) -> io::Result<Account> {
    let (_, page) = scrape::get(account, TIMEOUT)?;
    Ok(serde_json::from_slice(&page)?)
}

/// Whether the guest was calm between two readings. Where its account cannot be read, there is nothing to wait for.
fn is_calm(before: &io::Result<Account>, now: &io::Result<Account>) -> bool {
    let (Ok(before), Ok(now)) = (before, now) else { return true };
    let elapsed = now.monotonic_ns.saturating_sub(before.monotonic_ns);
    (now.cpu_ns.saturating_sub(before.cpu_ns) as f64) < elapsed as f64 * BUSY
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(ms: u64, cpu_us: u64) -> io::Result<Account> {
        Ok(Account {
            monotonic_ns: ms * 1_000_000,
            cpu_ns: cpu_us * 1_000,
            supervisor_cpu_ns: 0,
            served: None,
            throttled_ns: None,
            cpu_source: "a test".into(),
            cpus: Vec::new(),
            boot_id: None,
        })
    }

    #[test]
    fn a_guest_is_calm_below_a_twentieth_of_a_cpu() {
        assert!(is_calm(&account(100, 7_000), &account(125, 8_249)));
        assert!(!is_calm(&account(100, 7_000), &account(125, 8_251)));
        assert!(is_calm(&account(100, 7_000), &Err(io::ErrorKind::TimedOut.into())), "nothing to wait for");
    }
}
