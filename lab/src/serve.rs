//! `lab serve`: only starts the models and the guests, so that other clients can use them.

use std::io::{self, Write};
use std::net::TcpListener;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use lab::MODELS;
use loadtest::front::{Exit, Failure, say};
use loadtest::stop_on_signals;
use pages::servers;

use crate::cli::ServeArgs;
use crate::launch::Placement;
use crate::service::Service;

/// The ports of Grafana and Prometheus in docker-compose.yml. They stay free for them, unless a flag names one.
const LEFT_OUT: [u16; 2] = [3000, 9090];

/// Starts the models and the guests, prints their addresses, and waits for a signal.
///
/// # Errors
/// A line that says which of them does not start, or has ended.
pub fn serve(args: &ServeArgs) -> Result<Exit, Failure> {
    let stop = stop_on_signals();
    let mut ports = Ports::new("--port", args.port, 8081);
    let mut admin_ports = Ports::new("--admin-port", args.admin_port, 9081);
    let mut services = Vec::new();
    args.servers.left_out.iter().for_each(|line| say(line));
    for server in args.servers.all() {
        if stop.load(Relaxed) {
            return Ok(Exit::Interrupted);
        }
        let name = server.name();
        // The second port is chosen while the first one is held, so they differ.
        let (listen, held) = ports.take(name).map_err(Failure::usage)?;
        let (admin, also_held) = admin_ports.take(name).map_err(Failure::usage)?;
        drop((held, also_held));
        let placement = Placement {
            ports: (listen, admin),
            files: args.files.as_deref(),
            cpus: None,
            set: args.servers.set.get(name),
            grace: None,
            shows_routine: true,
            is_for_a_trial: false,
            connections: None,
            stop,
        };
        let service = match Service::start(server, &placement) {
            Err(_) if stop.load(Relaxed) => break,
            started => started.map_err(Failure::usage)?,
        };
        print(&format!("{name:24} http://{}   metrics http://{}/metrics", service.listen, service.admin));
        services.push(service);
    }
    let listed = services.iter().zip(args.servers.all()).map(|(service, server)| servers::Server {
        name: server.name().to_owned(),
        listen: service.listen.to_string(),
        admin: service.admin.to_string(),
        paths: paths(server.name()),
    });
    match crate::pages::index(servers::page(&listed.collect::<Vec<_>>())) {
        Ok(address) => print(&format!("{:24} http://{address}", "all of them, as links")),
        Err(error) => say(&format!("there is no page with links to them: {error}")),
    }
    print("Ctrl-C stops them.");
    while !stop.load(Relaxed) {
        std::thread::sleep(Duration::from_millis(50));
        for service in &mut services {
            if let Some(why) = service.exit_message() {
                services.iter().for_each(Service::terminate);
                return Err(Failure(Exit::Failed, why));
            }
        }
    }
    services.iter().for_each(Service::terminate); // all at once; `drop` then waits for each
    Ok(Exit::Done)
}

/// What a server answers: every model has the same paths, a guest a few of them or others.
fn paths(name: &str) -> &'static [&'static str] {
    match MODELS.iter().any(|model| model.name == name) {
        true => &["/", "/files/1k", "/sleep/100", "/work/1000000", "/counter", "/nods"],
        false => &["/"],
    }
}

/// Prints a line to standard output. It is no failure when its reader has gone away.
fn print(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Hands out ports, one after the other.
struct Ports {
    flag: &'static str,
    /// The first port, and whether the flag has named it.
    first: u16,
    is_named: bool,
    /// The next port. It is larger than every port when there are none left.
    next: u32,
}

impl Ports {
    fn new(flag: &'static str, named: Option<u16>, default: u16) -> Ports {
        let first = named.unwrap_or(default);
        Ports { flag, first, is_named: named.is_some(), next: first.into() }
    }

    /// The next free port of the loopback interface, and a listener that holds it. If the first port is 0, the kernel
    /// will choose each of them.
    ///
    /// Ports in use are passed over, if the user has not asked for them.
    fn take(&mut self, server: &str) -> Result<(u16, Option<TcpListener>), String> {
        if self.first == 0 {
            return Ok((0, None));
        }
        let flag = self.flag;
        loop {
            let port = u16::try_from(self.next).map_err(|_| format!("{flag} is too high for so many servers"))?;
            self.next += 1;
            if LEFT_OUT.contains(&port) && port != self.first {
                continue;
            }
            match TcpListener::bind(("127.0.0.1", port)) {
                Ok(listener) => return Ok((port, Some(listener))),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    let in_use = format!("{server}: 127.0.0.1:{port} is in use");
                    if self.is_named {
                        let what_to_do = format!("stop what listens there, or choose other ports with {flag}");
                        return Err(format!("{in_use}: {what_to_do}"));
                    }
                    say(&format!("{in_use}, so the next port is taken; {flag} chooses others"));
                }
                Err(error) => {
                    let why = format!("{server}: cannot listen on 127.0.0.1:{port}: {error}");
                    return Err(format!("{why}; choose other ports with {flag}"));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The `n` ports that are handed out, each with its listener.
    fn take(ports: &mut Ports, n: usize) -> Vec<(u16, Option<TcpListener>)> {
        (0..n).map(|_| ports.take("epoll").expect("there are free ports")).collect()
    }

    #[test]
    fn the_ports_of_grafana_and_prometheus_are_left_out() {
        for left_out in LEFT_OUT {
            let mut ports = Ports::new("--port", None, left_out - 2);
            assert!(take(&mut ports, 10).iter().all(|&(port, _)| port != left_out));
        }
    }

    #[test]
    fn a_port_in_use_is_passed_over_unless_a_flag_asks_for_it() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = taken.local_addr().expect("its address").port();
        let next = Ports::new("--port", None, port).take("epoll");
        if port < u16::MAX {
            assert!(next.is_ok_and(|(other, _)| other > port));
        }
        let why = Ports::new("--port", Some(port), 8081).take("epoll").map(|_| ()).unwrap_err();
        assert!(why.contains(&format!("127.0.0.1:{port} is in use")) && why.contains("--port"), "{why}");
    }

    #[test]
    fn there_is_no_port_above_65535() {
        let mut ports = Ports::new("--admin-port", None, u16::MAX);
        ports.next += 1;
        assert!(ports.take("epoll").map(|_| ()).unwrap_err().contains("--admin-port is too high"));
    }

    #[test]
    fn port_0_leaves_the_choice_to_the_kernel() {
        assert!(take(&mut Ports::new("--port", Some(0), 8081), 3).iter().all(|&(port, _)| port == 0));
    }
}
