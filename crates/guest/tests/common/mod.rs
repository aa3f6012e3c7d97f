//! What every test needs that runs the program `guest`.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use nix::unistd::Pid;

/// If something does not happen within this time, the test fails. The slowest thing, the start and the end of more than a
/// thousand processes, takes a few seconds on a machine that is not busy.
const TIMEOUT: Duration = Duration::from_secs(120);

/// A variable that every process of a test has in its environment, with a value of its own.
pub const MARK: &str = "IO_MODELS_TEST_OF_GUEST";

/// The processes with this mark, but for zombies, which have no environment.
pub fn processes(mark: &str) -> Vec<Pid> {
    let mark = format!("{MARK}={mark}");
    let has_mark = |environment: &[u8]| environment.split(|&byte| byte == 0).any(|var| var == mark.as_bytes());
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let marked =
        pids.filter(|pid: &i32| std::fs::read(format!("/proc/{pid}/environ")).is_ok_and(|text| has_mark(&text)));
    marked.map(Pid::from_raw).collect()
}

/// Where the guest and the admin endpoint listen, from the line in which the program says it.
pub fn addresses(stderr: &mut impl BufRead) -> (SocketAddr, SocketAddr) {
    let mut output = String::new();
    loop {
        let mut line = String::new();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "it did not start: {output}");
        if let Some((_, rest)) = line.split_once(": listening on http://") {
            let (listen, admin) = rest.trim_end().split_once(", admin on http://").unwrap();
            return (listen.parse().unwrap(), admin.parse().unwrap());
        }
        output += &line;
    }
}

/// A connection whose reads end.
pub fn connect(address: SocketAddr) -> io::Result<BufReader<TcpStream>> {
    let socket = TcpStream::connect_timeout(&address, TIMEOUT)?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    Ok(BufReader::new(socket))
}

/// Status and body of the answer to a request on a connection of its own.
pub fn get(address: SocketAddr, path: &str) -> io::Result<(u16, Vec<u8>)> {
    ask(&mut connect(address)?, address, path)
}

/// Status and body of the answer to a request on this connection.
pub fn ask(socket: &mut BufReader<TcpStream>, address: SocketAddr, path: &str) -> io::Result<(u16, Vec<u8>)> {
    // In one piece: the kernel would hold a second one back until the first is acknowledged.
    socket.get_mut().write_all(format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut line = || {
        let mut line = String::new();
        socket.read_line(&mut line).map(|_| line.to_ascii_lowercase())
    };
    let status = line()?.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or(io::ErrorKind::InvalidData)?;
    let mut length = None;
    while let Some((name, value)) = line()?.trim_end().split_once(": ") {
        if name == "content-length" {
            length = value.parse().ok();
        }
    }
    let mut body = Vec::new();
    match length {
        Some(length) => {
            body.resize(length, 0);
            socket.read_exact(&mut body)?;
        }
        None => drop(socket.read_to_end(&mut body)?), // to the end of the connection
    }
    Ok((status, body))
}

/// Calls `condition` again and again until it returns true.
pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
