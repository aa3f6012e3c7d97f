use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Instant;

use http::{Conn, Handler};
use libc::c_int;
use nix::errno::Errno;

/// Drops without a word what has a lower TTL, which is at most 255 and is 64 where Linux sends: ip(7), IP_MINTTL; 0 drops
/// nothing.
///
/// # Errors
/// Those of setsockopt(2).
pub fn require_ttl(socket: &impl AsFd, least: c_int) -> io::Result<()> {
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
    // An IPv6 socket takes both, for it may have IPv4 peers; another one refuses this.
    let _ = set(libc::IPPROTO_IPV6, libc::IPV6_MINHOPCOUNT);
    set(libc::IPPROTO_IP, libc::IP_MINTTL)?;
    Ok(())
}

/// Tells a connection that the server stops.
pub fn stop<H: Handler>(conn: &mut Conn<H>, socket: &impl AsFd, now: Instant) {
    hear(socket);
    conn.stop(now);
}

/// Has a connection hear its peer, whatever its listener was told to drop: a handshake that ends after that has inherited it,
/// and would be deaf. What was dropped is sent again.
pub fn hear(socket: &impl AsFd) {
    let _ = require_ttl(socket, 0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    #[test]
    fn what_a_deaf_connection_missed_is_sent_again() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut socket, _) = listener.accept().unwrap();
        require_ttl(&socket, 255).unwrap();
        peer.write_all(b"late").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        assert!(socket.read(&mut [0; 4]).is_err(), "it is not deaf");
        hear(&socket);
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut four = [0; 4];
        socket.read_exact(&mut four).unwrap();
        assert_eq!(&four, b"late");
    }
}
