//! Waits for epoll events with a time-out in nanoseconds.

use super::clock::Nanos;
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::epoll::{Epoll, EpollEvent, EpollTimeout};
use nix::sys::prctl::set_timerslack;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

/// Sets the calling thread's timer slack to 1 ns. By default the kernel may end a sleep up to 50 µs late.
/// PR_SET_TIMERSLACK(2)
pub fn minimise_timer_slack() {
    let _ = set_timerslack(1);
}

/// Waits for events, but not longer than `timeout`. Uses epoll_pwait2(2), since Linux 5.11, or ppoll(2) where the
/// kernel (or a container's seccomp profile) does not have it.
///
/// # Errors
/// The kernel's error.
pub fn wait_precisely(epoll: &Epoll, events: &mut [EpollEvent], timeout: Nanos) -> nix::Result<usize> {
    match epoll_pwait2(epoll, events, timeout) {
        Err(Errno::ENOSYS | Errno::EPERM) => poll_and_wait(epoll, events, timeout),
        result => result,
    }
}

/// Waits in two system calls: an epoll instance is readable when it has events. epoll(7)
fn poll_and_wait(epoll: &Epoll, events: &mut [EpollEvent], timeout: Nanos) -> nix::Result<usize> {
    ppoll(&mut [PollFd::new(epoll.0.as_fd(), PollFlags::POLLIN)], Some(Duration::from_nanos(timeout).into()), None)?;
    epoll.wait(events, EpollTimeout::ZERO)
}

fn epoll_pwait2(epoll: &Epoll, events: &mut [EpollEvent], timeout: Nanos) -> nix::Result<usize> {
    let timeout = libc::timespec {
        tv_sec: (timeout / 1_000_000_000) as libc::time_t,
        tv_nsec: (timeout % 1_000_000_000) as libc::c_long,
    };
    let room = events.len().min(i32::MAX as usize) as i32;
    // SAFETY: EpollEvent is a transparent epoll_event, there is room for `room` of them, and a null mask is allowed.
    let count = unsafe {
        libc::epoll_pwait2(epoll.0.as_raw_fd(), events.as_mut_ptr().cast(), room, &timeout, std::ptr::null())
    };
    Errno::result(count).map(|count| count as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::epoll::{EpollCreateFlags, EpollFlags};
    use nix::sys::eventfd::EventFd;
    use std::time::Instant;

    #[test]
    fn both_implementations_wait_for_an_event_or_the_timeout() {
        type Wait = fn(&Epoll, &mut [EpollEvent], Nanos) -> nix::Result<usize>;
        for wait in [wait_precisely as Wait, poll_and_wait] {
            let epoll = Epoll::new(EpollCreateFlags::empty()).unwrap();
            let event = EventFd::new().unwrap();
            epoll.add(&event, EpollEvent::new(EpollFlags::EPOLLIN, 7)).unwrap();
            let mut events = [EpollEvent::empty(); 2];
            let (began, timeout) = (Instant::now(), Duration::from_micros(1500));
            assert_eq!(wait(&epoll, &mut events, timeout.as_nanos() as Nanos), Ok(0));
            assert!(began.elapsed() >= timeout);
            event.write(1).unwrap();
            assert_eq!(wait(&epoll, &mut events, Nanos::MAX / 2), Ok(1));
            assert_eq!(events[0].data(), 7);
        }
    }
}
