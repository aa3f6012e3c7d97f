//! Waiting for events to the nanosecond.

use crate::meter::Nanos;
use nix::errno::Errno;
use nix::libc;
use nix::sys::epoll::{Epoll, EpollEvent, EpollTimeout};
use nix::sys::prctl::set_timerslack;
use std::os::fd::AsRawFd;

/// Lets the calling thread's sleeps end when they are due: by default the kernel adds up to 50 µs. PR_SET_TIMERSLACK(2)
pub fn be_punctual() {
    let _ = set_timerslack(1);
}

/// Waits for events, but not longer than `patience`. epoll_pwait2(2), since Linux 5.11.
///
/// Where the kernel (or a container's seccomp profile) does not have it: epoll_wait(2) with whole milliseconds rounded
/// down, so that the caller spins through the last one.
///
/// # Errors
/// What the kernel said.
pub fn wait_precisely(epoll: &Epoll, events: &mut [EpollEvent], patience: Nanos) -> nix::Result<usize> {
    match epoll_pwait2(epoll, events, patience) {
        Err(Errno::ENOSYS | Errno::EPERM) => {
            epoll.wait(events, EpollTimeout::from((patience / 1_000_000).min(u16::MAX.into()) as u16))
        }
        result => result,
    }
}

fn epoll_pwait2(epoll: &Epoll, events: &mut [EpollEvent], patience: Nanos) -> nix::Result<usize> {
    let timeout = libc::timespec {
        tv_sec: (patience / 1_000_000_000) as libc::time_t,
        tv_nsec: (patience % 1_000_000_000) as libc::c_long,
    };
    let room = events.len().min(i32::MAX as usize) as i32;
    // SAFETY: EpollEvent is a transparent epoll_event, there is room for `room` of them, and a null mask is allowed.
    let count = unsafe {
        libc::epoll_pwait2(epoll.0.as_raw_fd(), events.as_mut_ptr().cast(), room, &timeout, std::ptr::null())
    };
    Errno::result(count).map(|count| count as usize)
}
