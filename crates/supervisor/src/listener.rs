//! Binds and prepares the listening sockets, and makes the kernel drop new connection attempts when the service stops.

use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixDatagram};

use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};

use crate::units::Addresses;
use crate::{Failure, log};

/// Binds a listening socket to the first address of `flag` that can be bound: SO_REUSEADDR, close-on-exec, blocking.
/// Says which, if that is not the first one. An error says which flag to change.
pub(crate) fn bind(name: &str, addresses: &Addresses, flag: &str) -> Result<TcpListener, Failure> {
    let mut failures = Vec::new();
    for &address in &addresses.found {
        match TcpListener::bind(address) {
            Ok(listener) => {
                if !failures.is_empty() {
                    let failures = failures.join(", ");
                    log(name, format_args!("{flag} {}: {failures}, so {address} is taken", addresses.text));
                }
                return Ok(listener);
            }
            Err(error) if addresses.found.len() == 1 => {
                let what_to_do = match error.kind() {
                    ErrorKind::AddrInUse => "stop what listens there, or choose another port",
                    ErrorKind::PermissionDenied => "choose a port from 1024 on",
                    ErrorKind::AddrNotAvailable => "choose one",
                    _ => "choose another address",
                };
                return Err(Failure::CannotStart(format!("{}: {what_to_do} with {flag}", failure(address, &error))));
            }
            Err(error) => failures.push(failure(address, &error)),
        }
    }
    let failures = failures.join(", ");
    Err(Failure::CannotStart(format!("{flag} {}: {failures}; choose another address or port", addresses.text)))
}

/// The first port that is chosen for guests, and how many there are. They are below those that the kernel gives to clients, so no
/// client takes the port before the guest does: ip(7), ip_local_port_range.
const FIRST_PORT: u16 = 18_000;
const PORTS: u16 = 8_000;

/// An address that a guest binds itself. While this value exists, no other supervisor chooses the same port.
#[derive(Debug)]
pub(crate) struct GuestAddress {
    pub address: SocketAddr,
    _claim: Option<UnixDatagram>,
}

/// Finds an address for a guest: the first one of `--listen` that is free now. In place of port 0, a free port is chosen.
///
/// The port is free until the guest binds it, so another program may still take it, but no other guest: see [`claim`]. A port that
/// is given with `--listen` is not claimed.
pub(crate) fn find(name: &str, addresses: &Addresses) -> Result<GuestAddress, Failure> {
    let bound = bind(name, addresses, "--listen")?.local_addr()?;
    if addresses.found.iter().all(|address| address.port() != 0) {
        return Ok(GuestAddress { address: bound, _claim: None });
    }
    let start = (RandomState::new().hash_one(()) % u64::from(PORTS)) as u16;
    let mut ports = (0..PORTS).map(|n| FIRST_PORT + (start + n) % PORTS);
    let free = ports.find_map(|port| {
        let _claim = claim(port)?;
        let mut address = bound;
        address.set_port(port);
        TcpListener::bind(address).is_ok().then_some(GuestAddress { address, _claim })
    });
    let last = FIRST_PORT + PORTS - 1;
    let why = || format!("no port of {} from {FIRST_PORT} to {last} is free: name one with --listen", bound.ip());
    free.ok_or_else(|| Failure::CannotStart(why()))
}

/// Claims a port among the supervisors of this machine, or of this network namespace: binds an abstract Unix socket with the
/// port in its name, which the kernel removes with its process. unix(7)
///
/// `None` if another supervisor has claimed it. Where the kernel permits no such socket, there is no claim, and no hindrance.
fn claim(port: u16) -> Option<Option<UnixDatagram>> {
    let name = UnixAddress::from_abstract_name(format!("io-models-guest-{port}"));
    match name.and_then(|name| UnixDatagram::bind_addr(&name)) {
        Ok(claim) => Some(Some(claim)),
        Err(error) if error.kind() == ErrorKind::AddrInUse => None,
        Err(_) => Some(None),
    }
}

/// Says why an address cannot be bound.
fn failure(address: SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::AddrInUse => format!("{address} is in use"),
        ErrorKind::PermissionDenied => format!("no permission to listen on {address}"),
        ErrorKind::AddrNotAvailable => format!("{address} is no address of this machine"),
        _ => format!("cannot listen on {address}: {error}"),
    }
}

/// Sets the options that accepted sockets inherit, and the length of the backlog: listen(2).
pub(crate) fn prepare(listener: &TcpListener, backlog: i32) -> io::Result<()> {
    // On Linux an accepted socket inherits the option, which saves a system call for each: tcp(7), sk_clone_lock.
    setsockopt(listener, sockopt::TcpNoDelay, &true)?;
    // std has already called listen(2), with a backlog of its choice. A second call only changes the backlog.
    // SAFETY: the descriptor is open, and no pointer is passed.
    Errno::result(unsafe { libc::listen(listener.as_raw_fd(), backlog) })?;
    Ok(())
}

/// The backlog that the kernel uses: it silently reduces a larger one to net.core.somaxconn. listen(2)
pub(crate) fn allowed_backlog(backlog: i32) -> i32 {
    let max = std::fs::read_to_string("/proc/sys/net/core/somaxconn").ok().and_then(|n| n.trim().parse().ok());
    max.map_or(backlog, |max: i32| backlog.min(max))
}

/// Makes the kernel silently drop new connection attempts. The connections in the backlog stay, and work.
///
/// A client whose SYN is dropped sends it again, and is refused once the socket is closed. If the listener were closed
/// or shut down instead, the kernel would reset every connection in its backlog.
///
/// # Errors
/// Those of setsockopt(2), if the socket allows neither a filter nor a minimum TTL.
pub(crate) fn drop_attempts(listener: &TcpListener) -> io::Result<()> {
    // Recent kernels require CAP_NET_ADMIN for a filter, which a container seldom has.
    attach_filter(listener).or_else(|_| require_ttl(listener))
}

/// Attaches a filter, which is better than the minimum TTL: it sees each segment from the TCP header on, and drops only
/// segments with SYN and without ACK. So handshakes that have begun are finished. socket(7), SO_ATTACH_FILTER
fn attach_filter(listener: &TcpListener) -> io::Result<()> {
    const FLAGS: u32 = 13; // the offset of the byte with SYN (2) and ACK (16) in the header: RFC 9293, 3.1
    const SYN: u32 = 2;
    const ACK: u32 = 16;
    let step = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let mut program = [
        step(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 0, 0, FLAGS),
        step(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0, 0, SYN | ACK),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, SYN),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, u32::MAX),
    ];
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the value of the option is a `sock_fprog`, and its program lives until after the call.
    let attached = unsafe {
        libc::setsockopt(
            listener.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    };
    Errno::result(attached)?;
    Ok(())
}

/// Sets a minimum TTL of 255, for which no privilege is needed: the kernel then accepts only packets that were sent
/// with the highest TTL and never forwarded, while Linux sends with 64. Connections in the backlog keep the setting
/// that they have inherited before. A connection whose handshake is not finished yet inherits this one, and receives
/// nothing from its peer until the model clears the setting with [`driver::clear_min_ttl`].
fn require_ttl(listener: &TcpListener) -> io::Result<()> {
    driver::set_min_ttl(listener, 255)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::time::Duration;

    /// Fills the backlog, calls `drop_attempts`, and checks that a new connection fails while those in the backlog
    /// work.
    fn check_backlog_works(address: &str, drop_attempts: fn(&TcpListener) -> io::Result<()>) {
        let listener = TcpListener::bind(address).unwrap();
        prepare(&listener, 64).unwrap();
        let address = listener.local_addr().unwrap();
        let mut clients: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(address).unwrap()).collect();
        drop_attempts(&listener).unwrap();
        assert!(TcpStream::connect_timeout(&address, Duration::from_millis(100)).is_err(), "a SYN was not dropped");
        for client in &mut clients {
            let (mut socket, _) = listener.accept().unwrap();
            assert!(socket.nodelay().unwrap());
            client.write_all(b"late").unwrap();
            let mut received = [0; 4];
            socket.read_exact(&mut received).unwrap();
            assert_eq!(&received, b"late", "data is received while attempts are dropped");
        }
        drop(listener);
        let error = TcpStream::connect(address).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    }

    #[test]
    fn connections_in_the_backlog_work_while_attempts_are_dropped() {
        check_backlog_works("127.0.0.1:0", drop_attempts);
    }

    #[test]
    fn connections_in_the_backlog_work_while_attempts_are_dropped_without_a_privilege() {
        check_backlog_works("127.0.0.1:0", require_ttl);
        if TcpListener::bind("[::1]:0").is_ok() {
            check_backlog_works("[::1]:0", require_ttl);
        }
    }

    #[test]
    fn the_error_for_a_port_in_use_names_the_port_and_the_flag() {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = first.local_addr().unwrap();
        let taken = Addresses { text: address.to_string(), found: vec![address] };
        let Err(Failure::CannotStart(line)) = bind("epoll", &taken, "--admin") else { panic!("bound twice") };
        assert!(line.contains(&address.to_string()) && line.contains("--admin"), "{line}");
    }

    #[test]
    fn guests_that_start_at_the_same_time_get_different_ports() {
        let any = Addresses { text: "127.0.0.1:0".into(), found: vec![([127, 0, 0, 1], 0).into()] };
        let found: Vec<GuestAddress> = (0..200).map(|_| find("guest", &any).unwrap()).collect();
        let mut ports: Vec<u16> = found.iter().map(|found| found.address.port()).collect();
        ports.sort();
        ports.dedup();
        assert_eq!(ports.len(), found.len(), "none of the guests has bound its port yet");
        assert!(ports.iter().all(|port| (FIRST_PORT..FIRST_PORT + PORTS).contains(port)), "{ports:?}");
        let foreign = Addresses { text: "192.0.2.1:0".into(), found: vec!["192.0.2.1:0".parse().unwrap()] };
        let Err(Failure::CannotStart(line)) = find("guest", &foreign) else { panic!("found") };
        assert!(line.starts_with("192.0.2.1:0 is no address of this machine"), "{line}");
    }

    #[test]
    fn the_addresses_of_a_name_are_tried_in_their_order() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let in_use = taken.local_addr().unwrap();
        let foreign = "192.0.2.1:0".parse().unwrap(); // an address for documentation: RFC 5737
        let own = ([127, 0, 0, 1], 0).into();
        let addresses = |found| Addresses { text: "name:0".into(), found };
        let listener = bind("epoll", &addresses(vec![foreign, in_use, own]), "--listen").unwrap();
        assert_eq!(listener.local_addr().unwrap().ip(), own.ip());
        let none = addresses(vec![foreign, in_use]);
        let Err(Failure::CannotStart(line)) = bind("epoll", &none, "--listen") else { panic!("bound") };
        let all = format!("192.0.2.1:0 is no address of this machine, {in_use} is in use");
        assert_eq!(line, format!("--listen name:0: {all}; choose another address or port"));
    }
}
