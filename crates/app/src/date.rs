use std::cell::Cell;
use std::fmt::Write;
use std::time::{Duration, Instant, SystemTime};

/// The text of a Date, and the time for which it is true: to the end of a second of the wall clock.
#[derive(Clone, Copy)]
struct Cached {
    from: Instant,
    until: Instant,
    second: SystemTime,
    text: [u8; 29],
}

thread_local! {
    // A forked child inherits the cache. It stays true, since the monotonic clock is the same in both processes.
    static CACHED: Cell<Option<Cached>> = const { Cell::new(None) };
}

/// The Date field's value at `now` (RFC 9110, 5.6.7). Each thread reads the wall clock once a second.
pub fn imf_fixdate(now: Instant) -> [u8; 29] {
    at(now).text
}

/// The wall clock at `now`, in whole seconds: what a Date of that moment says.
pub fn second(now: Instant) -> SystemTime {
    at(now).second
}

fn at(now: Instant) -> Cached {
    match CACHED.get() {
        Some(cached) if (cached.from..cached.until).contains(&now) => cached,
        _ => refresh(now, SystemTime::now()),
    }
}

#[cold]
fn refresh(now: Instant, wall: SystemTime) -> Cached {
    let since_epoch = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let rest = Duration::from_secs(1) - Duration::from_nanos(since_epoch.subsec_nanos().into());
    let second = SystemTime::UNIX_EPOCH + Duration::from_secs(since_epoch.as_secs());
    let cached = Cached { from: now, until: now + rest, second, text: format(second) };
    CACHED.set(Some(cached));
    cached
}

fn format(wall: SystemTime) -> [u8; 29] {
    struct Text([u8; 29], usize);
    impl Write for Text {
        fn write_str(&mut self, s: &str) -> std::fmt::Result {
            let end = self.1 + s.len();
            self.0.get_mut(self.1..end).ok_or(std::fmt::Error)?.copy_from_slice(s.as_bytes());
            self.1 = end;
            Ok(())
        }
    }
    let mut text = Text(*b"Thu, 01 Jan 1970 00:00:00 GMT", 0);
    // This never fails, since an IMF-fixdate is 29 bytes long.
    let _ = write!(text, "{}", httpdate::HttpDate::from(wall));
    text.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_imf_fixdates_of_rfc_9110() {
        for (seconds, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_709_251_199, "Thu, 29 Feb 2024 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
        ] {
            assert_eq!(&format(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)), text.as_bytes());
        }
    }

    #[test]
    fn the_date_changes_with_the_second_of_the_wall_clock() {
        let now = Instant::now();
        let wall = SystemTime::UNIX_EPOCH + Duration::from_millis(784_111_777_250);
        let cached = refresh(now, wall);
        assert_eq!(cached.until, now + Duration::from_millis(750));
        assert_eq!(second(now), SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777));
        assert_eq!(imf_fixdate(now + Duration::from_millis(749)), cached.text);
        assert_ne!(imf_fixdate(now + Duration::from_millis(750)), cached.text);
    }

    #[test]
    fn an_instant_before_the_cached_second_has_another_date() {
        let now = Instant::now();
        let old = refresh(now, SystemTime::UNIX_EPOCH);
        assert_ne!(imf_fixdate(now - Duration::from_secs(5)), old.text);
    }
}
