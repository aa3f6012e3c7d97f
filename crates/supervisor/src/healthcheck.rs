//! Asking a running service whether it is well.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use crate::{Failure, say};

const PATIENCE: Duration = Duration::from_secs(2);

/// Asks the admin endpoint for /healthz: exit code 0 for 200, else 1 and a line that says why.
pub(crate) fn run(admin: SocketAddr) -> Result<ExitCode, Failure> {
    let admin = reachable(admin);
    let why = match ask(admin) {
        Ok(status) if status.starts_with("HTTP/1.1 200 ") => return Ok(ExitCode::SUCCESS),
        Ok(status) => status,
        Err(error) => error.to_string(),
    };
    say("healthcheck", format_args!("http://{admin}/healthz: {why}"));
    Ok(ExitCode::FAILURE)
}

/// The status line.
fn ask(admin: SocketAddr) -> io::Result<String> {
    let mut socket = TcpStream::connect_timeout(&admin, PATIENCE)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    write!(socket, "GET /healthz HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    socket.take(4096).read_to_string(&mut answer)?;
    Ok(answer.lines().next().unwrap_or("no answer").to_owned())
}

/// Who listens on every address is asked on the loopback one.
fn reachable(mut admin: SocketAddr) -> SocketAddr {
    match admin {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => admin.set_ip(Ipv4Addr::LOCALHOST.into()),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => admin.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    admin
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_asked_on_loopback() {
        assert_eq!(reachable(([0, 0, 0, 0], 9080).into()), ([127, 0, 0, 1], 9080).into());
        assert_eq!(reachable("[::]:9080".parse().unwrap()), "[::1]:9080".parse().unwrap());
        assert_eq!(reachable(([10, 0, 0, 1], 1).into()), ([10, 0, 0, 1], 1).into());
    }
}
