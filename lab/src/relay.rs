//! Passes on what a service says to the lab's standard error.

use std::borrow::Cow;
use std::io::{self, BufRead, Read, stderr};
use std::os::fd::AsFd;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use loadtest::front::say;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use results::units::plural;

/// The most lines of a service that are shown within a second. The others are counted.
const MAX_LINES_PER_SECOND: u32 = 100;
/// A longer line is shown in pieces of so many bytes. Even if each byte becomes a replacement character, which has
/// three bytes, a piece is shorter than PIPE_BUF, for which a pipe has room when poll(2) says so: pipe(7).
const MAX_LINE_BYTES: u64 = 1024;

/// A thread that reads the lines of a service as fast as they come, so that the service never waits for a reader. It
/// sleeps while the service says nothing.
pub struct Relay {
    /// Disconnected when the thread has ended.
    ended: Receiver<()>,
}

impl Relay {
    /// Passes on each line of the service `name` for which `is_shown` is true.
    ///
    /// # Errors
    /// The kernel's error if there can be no further thread.
    pub fn start(
        name: String,
        lines: impl BufRead + Send + 'static,
        is_shown: impl Fn(&str) -> bool + Send + 'static,
    ) -> io::Result<Relay> {
        let (sender, ended) = channel();
        thread::Builder::new().name(format!("{name}-lines")).spawn(move || {
            pass_on(&name, lines, is_shown, show);
            drop(sender);
        })?;
        Ok(Relay { ended })
    }

    /// Waits until everything is passed on and no process has the pipe open any more: the service has ended, and with
    /// it all of its processes. False if that takes longer than `time`.
    pub fn wait_for_end(&self, time: Duration) -> bool {
        self.ended.recv_timeout(time) == Err(RecvTimeoutError::Disconnected)
    }
}

/// Shows the lines until their end, but not too many. `show` says whether it has shown its line.
fn pass_on(name: &str, mut lines: impl BufRead, is_shown: impl Fn(&str) -> bool, mut show: impl FnMut(&str) -> bool) {
    let (mut second, mut shown, mut left_out) = (Instant::now(), 0, 0);
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let read = lines.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut bytes);
        let is_end = !matches!(read, Ok(1..));
        if second.elapsed() >= Duration::from_secs(1) {
            (second, shown) = (Instant::now(), 0);
        }
        if left_out > 0 && (is_end || shown == 0) && show(&format!("{name}: and {} more", plural(left_out, "line"))) {
            (shown, left_out) = (shown + 1, 0);
        }
        if is_end {
            return;
        }
        if shown == MAX_LINES_PER_SECOND {
            left_out += 1;
            continue;
        }
        let line = String::from_utf8_lossy(&bytes);
        let line = line.trim_end();
        if line.is_empty() || !is_shown(line) {
            continue;
        }
        match show(&with_name(name, line)) {
            true => shown += 1,
            false => left_out += 1,
        }
    }
}

/// The line with the name of its service before it, once.
pub fn with_name<'l>(name: &str, line: &'l str) -> Cow<'l, str> {
    match line.strip_prefix(name).is_some_and(|rest| rest.starts_with(": ")) {
        true => line.into(),
        false => format!("{name}: {line}").into(),
    }
}

/// Prints a line to standard error; but not if that would have to wait, because a terminal is halted (Ctrl-S) or the
/// reader of a pipe is slow. Then it returns false.
fn show(line: &str) -> bool {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let stderr = stderr();
    let mut fds = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    let must_wait = poll(&mut fds, PollTimeout::ZERO) == Ok(0);
    if !must_wait {
        say(line);
    }
    !must_wait
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    fn passed_on(lines: &[u8], is_shown: impl Fn(&str) -> bool) -> Vec<String> {
        let mut shown = Vec::new();
        pass_on("epoll", lines, is_shown, |line| {
            shown.push(line.to_owned());
            true
        });
        shown
    }

    #[test]
    fn lines_have_the_name_of_the_model_once() {
        let lines = passed_on(b"epoll: a\nb\n\nepoll\nc: epoll: \xff", |_| true);
        assert_eq!(lines, ["epoll: a", "epoll: b", "epoll: epoll", "epoll: c: epoll: \u{fffd}"]);
        assert_eq!(passed_on(b"epoll: a\nepoll: b\n", |line| line != "epoll: a"), ["epoll: b"]);
    }

    #[test]
    fn of_millions_of_lines_few_are_shown_and_all_are_counted() {
        const LINES: u64 = 2_000_000;
        let flood = BufReader::new(Flood(io::repeat(0).take(LINES)));
        let mut shown = Vec::new();
        let begun = Instant::now();
        pass_on(
            "epoll",
            flood,
            |_| true,
            |line| {
                shown.push(line.to_owned());
                true
            },
        );
        let seconds = begun.elapsed().as_secs() + 1;
        assert!(shown.len() as u64 <= (seconds + 1) * u64::from(MAX_LINES_PER_SECOND) + 1, "{}", shown.len());
        let count = |line: &String| match line.strip_prefix("epoll: and ") {
            Some(rest) => rest.split(' ').next().and_then(|n| n.parse::<u64>().ok()).expect("a number"),
            None => 1,
        };
        assert_eq!(shown.iter().map(count).sum::<u64>(), LINES);
    }

    /// Turns each byte of a reader into the line `x`.
    struct Flood<R>(R);

    impl<R: Read> Read for Flood<R> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let half = buffer.len() / 2;
            let n = self.0.read(&mut buffer[..half])?;
            buffer[..2 * n].chunks_exact_mut(2).for_each(|line| line.copy_from_slice(b"x\n"));
            Ok(2 * n)
        }
    }

    #[test]
    fn a_line_without_an_end_is_shown_in_pieces() {
        let lines = passed_on(&[b'x'; 2500], |_| true);
        assert_eq!(lines.iter().map(|line| line.len() - "epoll: ".len()).collect::<Vec<_>>(), [1024, 1024, 452]);
    }

    #[test]
    fn lines_that_cannot_be_shown_are_counted() {
        let mut shown = Vec::new();
        let mut free = [false, false, false, true].into_iter();
        pass_on(
            "epoll",
            &b"a\nb\n"[..],
            |_| true,
            |line| {
                shown.push(line.to_owned());
                free.next().unwrap_or(false)
            },
        );
        assert_eq!(shown.last().map(String::as_str), Some("epoll: and 2 lines more"));
    }
}
