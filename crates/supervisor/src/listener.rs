//! The listening socket.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};

use crate::Failure;

/// Binds what `flag` asks for: SO_REUSEADDR, close-on-exec, blocking. A refusal says which flag to change.
pub(crate) fn bind(address: SocketAddr, flag: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).map_err(|error| {
        Failure::Refused(match error.kind() {
            ErrorKind::AddrInUse => {
                format!("{address} is in use: stop what listens there, or choose another port with {flag}")
            }
            ErrorKind::PermissionDenied => {
                format!("no permission to listen on {address}: choose a port from 1024 on with {flag}")
            }
            ErrorKind::AddrNotAvailable => {
                format!("{address} is no address of this machine: choose one with {flag}")
            }
            _ => format!("cannot listen on {address}: {error}; choose another address with {flag}"),
        })
    })
}

/// Sets what the sockets that are accepted from it shall have, and the length of its queue: listen(2).
pub(crate) fn prepare(listener: &TcpListener, backlog: i32) -> io::Result<()> {
    // An accepted socket inherits it on Linux, which saves a system call for each: tcp(7), sk_clone_lock.
    setsockopt(listener, sockopt::TcpNoDelay, &true)?;
    // listen(2) again only sets the backlog; std has called it with one of its own.
    // SAFETY: the descriptor is open, and no memory is passed.
    Errno::result(unsafe { libc::listen(listener.as_raw_fd(), backlog) })?;
    Ok(())
}

/// The queue's length that the kernel allows: it cuts the backlog to net.core.somaxconn without a word. listen(2)
pub(crate) fn allowed_backlog(backlog: i32) -> i32 {
    let most = std::fs::read_to_string("/proc/sys/net/core/somaxconn").ok().and_then(|n| n.trim().parse().ok());
    most.map_or(backlog, |most: i32| backlog.min(most))
}

/// Has the kernel drop new connection attempts without a word; what is in the queue stays and works.
///
/// A client whose SYN is dropped tries again, and is refused once the socket is closed. To close or shut down the
/// listener instead would reset every connection in its queue.
///
/// # Errors
/// Those of setsockopt(2), for a socket that allows neither way.
pub(crate) fn drop_attempts(listener: &TcpListener) -> io::Result<()> {
    // Recent kernels want CAP_NET_ADMIN for a filter, which a container seldom has.
    attach_filter(listener).or_else(|_| require_ttl(listener))
}

/// The better way: a filter that sees each segment from the TCP header on, and lets pass all but a SYN without ACK.
/// So handshakes that are under way are finished. socket(7), SO_ATTACH_FILTER
fn attach_filter(listener: &TcpListener) -> io::Result<()> {
    const FLAGS: u32 = 13; // the offset of the header's byte with SYN (2) and ACK (16): RFC 9293, 3.1
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
    // SAFETY: the option takes a `sock_fprog`, and its program lives until after the call.
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

/// The way that anybody may go: only packets that have not been forwarded once are let in, and whose sender began
/// with the highest TTL; Linux begins with 64. Connections in the queue have their own setting already; those half-way
/// into it get this one, and are deaf until their model has them [hear](driver::clear_min_ttl).
fn require_ttl(listener: &TcpListener) -> io::Result<()> {
    driver::set_min_ttl(listener, 255)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::time::Duration;

    /// Takes connections into the queue, drops attempts that way, and then sees who is served.
    fn queue_stays(address: &str, drop_attempts: fn(&TcpListener) -> io::Result<()>) {
        let listener = bind(address.parse().unwrap(), "--listen").unwrap();
        prepare(&listener, 64).unwrap();
        let address = listener.local_addr().unwrap();
        let mut queued: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(address).unwrap()).collect();
        drop_attempts(&listener).unwrap();
        assert!(TcpStream::connect_timeout(&address, Duration::from_millis(100)).is_err(), "a SYN came through");
        for peer in &mut queued {
            let (mut socket, _) = listener.accept().unwrap();
            assert!(socket.nodelay().unwrap());
            peer.write_all(b"late").unwrap();
            let mut four = [0; 4];
            socket.read_exact(&mut four).unwrap();
            assert_eq!(&four, b"late", "data after attempts are dropped");
        }
        drop(listener);
        let error = TcpStream::connect(address).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    }

    #[test]
    fn dropping_attempts_keeps_what_is_queued() {
        queue_stays("127.0.0.1:0", drop_attempts);
    }

    #[test]
    fn dropping_attempts_without_privileges_keeps_what_is_queued() {
        queue_stays("127.0.0.1:0", require_ttl);
        if TcpListener::bind("[::1]:0").is_ok() {
            queue_stays("[::1]:0", require_ttl);
        }
    }

    #[test]
    fn a_port_in_use_is_named_with_its_flag() {
        let first = bind(([127, 0, 0, 1], 0).into(), "--listen").unwrap();
        let address = first.local_addr().unwrap();
        let Err(Failure::Refused(line)) = bind(address, "--admin") else { panic!("bound twice") };
        assert!(line.contains(&address.to_string()) && line.contains("--admin"), "{line}");
    }
}
