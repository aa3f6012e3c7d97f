//! The kernel's memory for the load generator's own end of a connection, measured once in a process: the median of three
//! measurements, since a program that looks through /proc meanwhile leaves some MB of inodes behind.
//!
//! Connections of this process to itself have two ends, each with its socket, file, inode and directory entry; half of
//! what they take is one end. Then the clients' ends are registered in an epoll instance, as the engine does, and what
//! that takes is added. The halves are not quite equal: the client's end also has its port, and the other end the entry in
//! the firewall's table of connections, if there is one. On Linux 6.18 either takes 256 of 3,900 bytes.

use super::kernel_memory::{self, Baseline};
use nix::libc;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::socket::{setsockopt, sockopt};
use results::figures::Reason;
use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::OnceLock;
use std::time::Duration;

/// Connections of a process to itself: their memory, 15 MB, is far more than what moves on an idle machine.
const CONNECTIONS: usize = 2_000;
/// How long one of them may take: a full table of tracked connections drops its packets.
const TIMEOUT: Duration = Duration::from_secs(1);

/// The bytes that the load generator's end of a connection takes. Where they could not be measured, the next call tries again.
///
/// # Errors
/// A line that says why they could not be measured: `sleep` has failed, or other programs moved too much memory.
pub(super) fn bytes_each(sleep: impl FnMut(Duration) -> Result<(), Reason>) -> Result<f64, Reason> {
    static MEASURED: OnceLock<f64> = OnceLock::new();
    match MEASURED.get() {
        Some(&bytes) => Ok(bytes),
        None => measure(CONNECTIONS, sleep).map(|bytes| *MEASURED.get_or_init(|| bytes)),
    }
}

fn measure(connections: usize, mut sleep: impl FnMut(Duration) -> Result<(), Reason>) -> Result<f64, Reason> {
    let mut once = || measure_once(connections, &mut sleep);
    let mut three = [once()?, once()?, once()?];
    three.sort_by(f64::total_cmp);
    Ok(three[1])
}

fn measure_once(connections: usize, sleep: impl FnMut(Duration) -> Result<(), Reason>) -> Result<f64, Reason> {
    let not = |why: String| format!("what the load generator's own ends take could not be measured: {why}");
    let before = Baseline::settle(kernel_memory::read, sleep).map_err(not)?;
    let failed = |error: io::Error| not(error.to_string());
    let pairs = connect(connections).map_err(failed)?;
    let connected = kernel_memory::read().map_err(not)?;
    let epoll = register(&pairs).map_err(failed)?;
    let registered = kernel_memory::read().map_err(not)?;
    drop((epoll, pairs));
    let grown = |from: u64, to: u64| to.saturating_sub(from) as f64 / connections as f64;
    let (pair, registration) = (grown(before.bytes, connected), grown(connected, registered));
    // A TCP socket alone takes more than a kibibyte. Less is told where other programs have freed memory meanwhile.
    if pair < 2048.0 || connected.saturating_sub(before.bytes) < 5 * before.drift {
        return Err(not("other programs use and free too much memory".into()));
    }
    Ok(pair / 2.0 + registration)
}

/// Opens connections of this process to itself: clients and servers.
fn connect(connections: usize) -> io::Result<Vec<(TcpStream, TcpStream)>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let pair = |_| {
        let client = TcpStream::connect_timeout(&address, TIMEOUT)?;
        // A reset instead of TIME_WAIT, which would take memory for a minute. socket(7)
        setsockopt(&client, sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 0 })?;
        Ok((client, listener.accept()?.0))
    };
    (0..connections).map(pair).collect()
}

/// Registers the clients' ends as the engine does.
fn register(pairs: &[(TcpStream, TcpStream)]) -> io::Result<Epoll> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLET;
    for (client, _) in pairs {
        epoll.add(client, EpollEvent::new(flags, 0))?;
    }
    Ok(epoll)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn an_interrupted_measurement_is_given_up_at_once() {
        let why = measure(500, |_| Err("interrupted".into())).unwrap_err();
        assert_eq!(why, "what the load generator's own ends take could not be measured: interrupted");
    }

    /// The figure itself depends on the machine and its other programs, so only its bounds are tested.
    #[test]
    fn an_end_of_a_connection_takes_some_kibibytes_or_there_is_a_reason() {
        let sleep = |time| {
            thread::sleep(time);
            Ok(())
        };
        match measure(500, sleep) {
            Ok(bytes) => assert!((1_024.0..65_536.0).contains(&bytes), "{bytes}"),
            Err(why) => assert!(why.starts_with("what the load generator's own ends take could not be measured: ")),
        }
    }
}
