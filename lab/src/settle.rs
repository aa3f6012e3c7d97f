//! Waits until a guest that answers has also finished its start.

use std::io;
use std::thread;
use std::time::Duration;

use loadtest::scrape;
use loadtest::target::Url;
use process_tree::Account;

use crate::limit::Limit;

/// How often the CPU time of a guest is read.
const READ_AGAIN: Duration = Duration::from_millis(25);
/// A guest that uses a smaller share of a CPU than this has finished its start.
const BUSY: f64 = 0.05;
/// So many times in a row: where other programs hold its CPU, a busy guest uses none for a while.
const CALM_READINGS: u32 = 3;
/// The time for one page.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Waits until the guest uses next to no CPU time. A server may answer long before: Apache's prefork answers when the first of its
/// processes is there, and goes on to fork more than a thousand for a second or two, which would be charged to the first requests of
/// the trial.
///
/// Returns its share of a CPU meanwhile if it did not become calm within the limit. `None` if it did, if the lab shall end, or if its
/// account cannot be read: then there is nothing to wait for.
pub fn wait(metrics: &Url, limit: &Limit) -> Option<f64> {
    let account = metrics.with_path("/account");
    let first = read(&account).ok()?;
    let mut before = first.clone();
    let mut calm = 0;
    loop {
        thread::sleep(READ_AGAIN);
        let now = read(&account).ok()?;
        calm = if share(&before, &now) < BUSY { calm + 1 } else { 0 };
        if limit.is_stopped() || calm == CALM_READINGS {
            return None;
        }
        if limit.left().is_err() {
            return Some(share(&first, &now));
        }
        before = now;
    }
}

fn read(account: &Url) -> io::Result<Account> {
    let (_, page) = scrape::get(account, TIMEOUT)?;
    Ok(serde_json::from_slice(&page)?)
}

/// The share of a CPU that the guest has used between two readings.
fn share(before: &Account, now: &Account) -> f64 {
    let elapsed = now.monotonic_ns.saturating_sub(before.monotonic_ns).max(1);
    now.cpu_ns.saturating_sub(before.cpu_ns) as f64 / elapsed as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::atomic::AtomicBool;
    use std::sync::mpsc::{Receiver, channel};

    static GO_ON: AtomicBool = AtomicBool::new(false);

    fn account(ms: u64, cpu_us: u64) -> Account {
        Account {
            monotonic_ns: ms * 1_000_000,
            cpu_ns: cpu_us * 1_000,
            supervisor_cpu_ns: 0,
            served: None,
            throttled_ns: None,
            cpu_source: "a test".into(),
            cpus: Vec::new(),
            boot_id: None,
        }
    }

    /// An admin endpoint whose n-th account, counted from 0, is `account(n)`; what it answers after the last one is no account.
    /// It says each number after its answer.
    fn endpoint(accounts: impl Fn(u64) -> Option<Account> + Send + 'static) -> (Url, Receiver<u64>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/metrics", listener.local_addr().unwrap()).parse().unwrap();
        let (sender, answered) = channel();
        thread::spawn(move || {
            for (n, mut stream) in (0..).zip(listener.incoming().flatten()) {
                let asked = stream.read(&mut [0; 4096]);
                assert!(asked.is_ok());
                let page = accounts(n).map_or_else(String::new, |account| serde_json::to_string(&account).unwrap());
                let length = page.len();
                let answer = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{page}");
                let _ = stream.write_all(answer.as_bytes());
                let _ = sender.send(n);
            }
        });
        (url, answered)
    }

    #[test]
    fn a_share_is_cpu_time_in_time() {
        assert_eq!(share(&account(100, 7_000), &account(125, 8_250)), BUSY);
        assert_eq!(share(&account(100, 7_000), &account(100, 7_000)), 0.0);
    }

    #[test]
    fn a_guest_that_becomes_calm_is_waited_for() {
        // It uses a half of a CPU until the fourth reading.
        let (url, answered) = endpoint(|n| Some(account(25 * n, 12_500 * n.min(3))));
        assert_eq!(wait(&url, &Limit::new(Duration::from_secs(600), &GO_ON)), None);
        assert_eq!(answered.recv_timeout(Duration::from_secs(60)), Ok(0));
        assert_eq!((1..=6).map_while(|_| answered.recv_timeout(Duration::from_secs(60)).ok()).last(), Some(6));
        assert!(answered.try_recv().is_err(), "it was calm from the fourth reading to the seventh");
    }

    #[test]
    fn a_guest_that_is_never_calm_is_not_waited_for_beyond_the_limit() {
        let (url, _answered) = endpoint(|n| Some(account(25 * n, 12_500 * n)));
        assert_eq!(wait(&url, &Limit::new(Duration::ZERO, &GO_ON)), Some(0.5));
        assert_eq!(wait(&url, &Limit::new(Duration::from_millis(200), &GO_ON)), Some(0.5));
    }

    #[test]
    fn an_account_that_cannot_be_read_is_not_waited_for() {
        let (url, _answered) = endpoint(|n| (n == 0).then(|| account(0, 0)));
        assert_eq!(wait(&url, &Limit::new(Duration::from_secs(600), &GO_ON)), None);
    }
}
