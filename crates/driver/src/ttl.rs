//! The TTL filter by which a stopping listener drops new connection attempts where it may not use a socket filter.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Instant;

use http1::{Conn, Handler};
use libc::c_int;
use nix::errno::Errno;

/// Makes the kernel silently drop packets for this socket whose TTL is below `least`: ip(7), IP_MINTTL. A TTL is at most 255,
/// and Linux sends 64; 0 drops nothing.
///
/// # Errors
/// Those of setsockopt(2).
pub fn set_min_ttl(socket: &impl AsFd, least: c_int) -> io::Result<()> {
    let set = |level, name| {
        // SAFETY: the option takes an int, of which a pointer and the size are passed.
        let set = unsafe {
            libc::setsockopt(
                socket.as_fd().as_raw_fd(),
                level,
                name,
                (&raw const least).cast(),
                size_of::<c_int>() as libc::socklen_t,
            )
        };
        Errno::result(set)
    };
    // An IPv6 socket takes both options, since it may have IPv4 peers; an IPv4 socket refuses this one.
    let _ = set(libc::IPPROTO_IPV6, libc::IPV6_MINHOPCOUNT);
    set(libc::IPPROTO_IP, libc::IP_MINTTL)?;
    Ok(())
}

/// Clears the TTL filter that a socket inherited from a stopping listener.
///
/// A connection whose handshake ends after the listener got its filter has the filter too, and hears nothing of its peer.
/// What the kernel dropped meanwhile, the peer sends again.
pub fn clear_min_ttl(socket: &impl AsFd) {
    let _ = set_min_ttl(socket, 0);
}

/// Tells a connection that the server stops. It may have the listener's TTL filter, so that is cleared first.
pub fn stop_connection<H: Handler>(conn: &mut Conn<H>, socket: &impl AsFd, now: Instant) {
    clear_min_ttl(socket);
    conn.stop(now);
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_the_filter_dropped_arrives_after_it_is_cleared() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut socket, _) = listener.accept().unwrap();
        set_min_ttl(&socket, 255).unwrap();
        peer.write_all(b"late").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        assert!(socket.read(&mut [0; 4]).is_err(), "the filter drops nothing");
        clear_min_ttl(&socket);
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut four = [0; 4];
        socket.read_exact(&mut four).unwrap();
        assert_eq!(&four, b"late");
    }
}
