//! Which hosts are known by name here: [`have_addresses`].

use loadtest::target::Url;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

/// How long a look-up may take. A resolver without a way to its servers needs 10 s and more for a name that nothing has.
/// resolv.conf(5), timeout
const LONGEST: Duration = Duration::from_secs(5);

/// Whether the host of each URL has an address. All are looked up at once; a host that is not found in time has none.
pub fn have_addresses(urls: Vec<Url>) -> Vec<bool> {
    let until = Instant::now() + LONGEST;
    let mut found = vec![false; urls.len()];
    let (sender, receiver) = channel();
    for (nth, url) in urls.into_iter().enumerate() {
        let sender = sender.clone();
        let look_up = move || sender.send((nth, url.resolve().is_ok())).unwrap_or_default(); // it may be too late
        // Without a thread it is not found. A system call of the resolver cannot be interrupted, so the thread may go on alone.
        drop(thread::Builder::new().name("look-up".into()).spawn(look_up));
    }
    drop(sender);
    while let Ok((nth, is_known)) = receiver.recv_timeout(until.saturating_duration_since(Instant::now())) {
        found[nth] = is_known;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_known_and_an_invalid_name_is_not() {
        // .invalid is never a name. RFC 2606, 2
        let urls = ["http://127.0.0.1:1", "http://no-such-host.invalid:1", "http://[::1]:1"];
        let known = have_addresses(urls.map(|url| url.parse().unwrap()).to_vec());
        assert_eq!(known, [true, false, true]);
        assert_eq!(have_addresses(Vec::new()), [false; 0]);
    }
}
