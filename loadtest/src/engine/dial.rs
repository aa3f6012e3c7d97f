//! Opens sockets to one target, from several source addresses if the ports of one do not suffice.

use super::client::SocketFailure;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, setsockopt, socket, sockopt,
};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};

/// Connections per source address. The kernel's default range has about 28,000 ports, and the fewer of them are free
/// the longer connect(2) takes to find one.
const PER_SOURCE: usize = 10_000;
/// Source addresses in all: the kernel's choice, and 127.0.0.2 to 127.0.0.250.
const SOURCES: usize = 250;
/// Source addresses tried for one connection. The search through an exhausted port range takes long.
const TRIES: usize = 3;

/// The result of starting a connection attempt.
pub enum Dial {
    /// The attempt is in progress; the socket will report its result.
    Begun(OwnedFd),
    /// The attempt failed at once.
    Failed(SocketFailure),
    /// This machine had no port or descriptor for the attempt.
    NotTried,
}

/// Opens non-blocking sockets to one address.
pub struct Dialer {
    target: SocketAddr,
    address: SockaddrStorage,
    /// Connections that other threads open to the same target.
    before: usize,
    /// Source addresses that were found to have no free port.
    exhausted: usize,
}

impl Dialer {
    /// `before` is the number of other connections of this process to `target`, so that the new ones use other sources.
    pub fn new(target: SocketAddr, before: usize) -> Dialer {
        Dialer { target, address: SockaddrStorage::from(target), before, exhausted: 0 }
    }

    /// The number of the source address of the `slot`-th connection: 0 is the kernel's choice.
    fn source(&self, slot: usize) -> usize {
        (self.exhausted + (self.before + slot) / PER_SOURCE) % SOURCES
    }

    /// Starts to connect the `slot`-th connection of this dialer.
    pub fn dial(&mut self, slot: usize) -> Dial {
        let family = if self.target.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        for _ in 0..TRIES {
            let Ok(socket) = socket(family, SockType::Stream, flags, None) else { return Dial::NotTried };
            let source = self.source(slot);
            if source > 0 && self.bind(&socket, source).is_err() {
                return Dial::NotTried;
            }
            return match connect(socket.as_raw_fd(), &self.address) {
                Ok(()) | Err(Errno::EINPROGRESS | Errno::EINTR) => Dial::Begun(socket),
                // All ports of this source are in use or in TIME_WAIT.
                Err(Errno::EADDRNOTAVAIL) if self.has_sources() => {
                    self.exhausted += 1;
                    continue;
                }
                Err(Errno::EADDRNOTAVAIL | Errno::EAGAIN | Errno::ENOBUFS | Errno::ENOMEM) => Dial::NotTried,
                Err(errno) => Dial::Failed(failure(errno)),
            };
        }
        Dial::NotTried
    }

    /// Whether there are further source addresses. Only on loopback do all addresses of 127.0.0.0/8 belong to this
    /// machine.
    fn has_sources(&self) -> bool {
        matches!(self.target.ip(), IpAddr::V4(ip) if ip.is_loopback())
    }

    fn bind(&self, socket: &OwnedFd, source: usize) -> nix::Result<()> {
        if !self.has_sources() {
            return Ok(());
        }
        // Without this option, bind takes a port that must be unique over all targets. ip(7)
        setsockopt(socket, sockopt::IpBindAddressNoPort, &true)?;
        let ip = Ipv4Addr::new(127, 0, 0, 1 + source as u8);
        bind(socket.as_raw_fd(), &SockaddrStorage::from(SocketAddr::from((ip, 0))))
    }
}

/// The failure that an error of a socket call stands for.
pub fn failure(errno: Errno) -> SocketFailure {
    match errno {
        Errno::ECONNRESET | Errno::ECONNABORTED => SocketFailure::Reset,
        Errno::EPIPE => SocketFailure::Closed,
        Errno::ETIMEDOUT => SocketFailure::TimedOut,
        _ => SocketFailure::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::net::TcpListener;

    #[test]
    fn each_source_address_carries_at_most_ten_thousand_connections() {
        let target = "127.0.0.1:80".parse().unwrap();
        let dialers = [(0, 35_000), (35_000, 35_000), (70_000, 5_000)];
        let mut connections = BTreeMap::<usize, usize>::new();
        for (before, count) in dialers {
            let dialer = Dialer::new(target, before);
            (0..count).for_each(|slot| *connections.entry(dialer.source(slot)).or_default() += 1);
        }
        assert_eq!(
            connections.into_iter().collect::<Vec<_>>(),
            [0, 1, 2, 3, 4, 5, 6].map(|source| (source, 10_000)).into_iter().chain([(7, 5_000)]).collect::<Vec<_>>()
        );
    }

    #[test]
    fn each_source_number_stands_for_a_loopback_address() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        for (slot, ip) in [(0, "127.0.0.1"), (PER_SOURCE, "127.0.0.2"), (PER_SOURCE * (SOURCES - 1), "127.0.0.250")] {
            let Dial::Begun(socket) = Dialer::new(listener.local_addr().unwrap(), 0).dial(slot) else { panic!() };
            assert_eq!(listener.accept().unwrap().1.ip().to_string(), ip);
            drop(socket);
        }
    }
}
