//! The `healthcheck` mode: asks the admin endpoint of a running service whether it is healthy.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use crate::flags::ServiceFlags;
use crate::{Failure, log};

const TIMEOUT: Duration = Duration::from_secs(2);

/// Asks the admin endpoint for /healthz: exit code 0 for 200, else 1 and a line that says why.
///
/// A service binds one of the addresses of a name, so all of them are asked in the same order.
pub(crate) fn run(flags: &ServiceFlags) -> Result<ExitCode, Failure> {
    let mut reasons = Vec::new();
    for address in flags.admin.found.iter().copied().map(address_to_connect) {
        let why = match request_status(address) {
            Ok(status) if status.starts_with("HTTP/1.1 200 ") => return Ok(ExitCode::SUCCESS),
            Ok(status) => status,
            Err(error) => error.to_string(),
        };
        reasons.push(format!("http://{address}/healthz: {why}"));
    }
    log("healthcheck", format_args!("{}", reasons.join(", ")));
    Ok(ExitCode::FAILURE)
}

/// Requests /healthz and returns the status line.
fn request_status(admin: SocketAddr) -> io::Result<String> {
    let mut socket = TcpStream::connect_timeout(&admin, TIMEOUT)?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    write!(socket, "GET /healthz HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n")?;
    let mut response = String::new();
    socket.take(4096).read_to_string(&mut response)?;
    Ok(response.lines().next().unwrap_or("no answer").to_owned())
}

/// The address to connect to: the loopback address, if the service listens on all addresses.
pub(crate) fn address_to_connect(mut bound: SocketAddr) -> SocketAddr {
    match bound {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => bound.set_ip(Ipv4Addr::LOCALHOST.into()),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => bound.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    bound
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_on_all_addresses_is_reached_by_loopback() {
        assert_eq!(address_to_connect(([0, 0, 0, 0], 9080).into()), ([127, 0, 0, 1], 9080).into());
        assert_eq!(address_to_connect("[::]:9080".parse().unwrap()), "[::1]:9080".parse().unwrap());
        assert_eq!(address_to_connect(([10, 0, 0, 1], 1).into()), ([10, 0, 0, 1], 1).into());
    }
}
