//! The smallest HTTP client that tells a whole answer from a cut one.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, connect, setsockopt, socket, sockopt};
use nix::sys::time::TimeVal;

use crate::service::PATIENCE;

/// How long an answer may take, or a piece of one that is read by itself, even if the server never falls silent.
const LONGEST: Duration = Duration::from_secs(120);
/// The most lines of a head, and the most bytes of each.
const MOST_LINES: usize = 1000;
const LONGEST_LINE: u64 = 64 << 10;

/// A connection to a server. Every call on it ends: it has a time-out for silence, and a deadline.
pub struct Client(BufReader<Bounded>);

/// A stream that is read until the deadline only.
struct Bounded {
    stream: TcpStream,
    deadline: Instant,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if Instant::now() > self.deadline {
            return Err(io::Error::new(ErrorKind::TimedOut, "the answer does not end"));
        }
        self.stream.read(buffer)
    }
}

/// The head of a response.
#[derive(Debug)]
pub struct Head {
    pub status: u16,
    /// The length of the content in bytes.
    pub length: usize,
    /// Did the server say that it will close?
    pub close: bool,
}

/// A whole response.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub close: bool,
    pub body: Vec<u8>,
}

/// A GET request with no field but Host.
pub fn request(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes()
}

/// The same, with `Connection: close`.
pub fn last_request(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").into_bytes()
}

/// Sends one GET request on a new connection, and reads the answer.
pub fn get(server: SocketAddr, path: &str) -> io::Result<Answer> {
    let mut client = Client::connect(server)?;
    client.send(&last_request(path))?;
    client.answer()
}

impl Client {
    pub fn connect(server: SocketAddr) -> io::Result<Client> {
        Client::connect_within(server, PATIENCE)
    }

    pub fn connect_within(server: SocketAddr, time: Duration) -> io::Result<Client> {
        Client::over(TcpStream::connect_timeout(&server, time)?)
    }

    /// A connection whose receive buffer has this size from the start, and keeps it: SO_RCVBUF of socket(7).
    pub fn connect_with_buffer(server: SocketAddr, bytes: usize) -> io::Result<Client> {
        let family = if server.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let socket = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
        setsockopt(&socket, sockopt::RcvBuf, &bytes)?;
        setsockopt(&socket, sockopt::SendTimeout, &TimeVal::new(PATIENCE.as_secs() as i64, 0))?; // connect(2), too
        connect(socket.as_raw_fd(), &SockaddrStorage::from(server))?;
        Client::over(socket.into())
    }

    fn over(stream: TcpStream) -> io::Result<Client> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Client(BufReader::with_capacity(1 << 10, Bounded { stream, deadline: Instant::now() + LONGEST })))
    }

    pub fn stream(&self) -> &TcpStream {
        &self.0.get_ref().stream
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.get_mut().stream.write_all(bytes)
    }

    pub fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.send(&request(path))?;
        self.answer()
    }

    /// Reads a whole answer.
    pub fn answer(&mut self) -> io::Result<Answer> {
        let Head { status, length, close } = self.head()?;
        let mut body = vec![0; length];
        self.read_exact(&mut body)?;
        if close && !self.0.fill_buf()?.is_empty() {
            return Err(io::Error::new(ErrorKind::InvalidData, "bytes behind the last answer"));
        }
        Ok(Answer { status, close, body })
    }

    /// Reads the head of an answer.
    pub fn head(&mut self) -> io::Result<Head> {
        let bad = |line: &str| io::Error::new(ErrorKind::InvalidData, format!("a line of the head: {line:?}"));
        self.renew();
        let mut line = self.line()?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(|| bad(&line))?;
        let mut head = Head { status, length: 0, close: false };
        for _ in 0..MOST_LINES {
            line = self.line()?;
            match line.split_once(": ") {
                Some((name, length)) if name.eq_ignore_ascii_case("Content-Length") => {
                    head.length = length.parse().map_err(|_| bad(&line))?;
                }
                Some((name, value)) => head.close |= name.eq_ignore_ascii_case("Connection") && value == "close",
                None if line.is_empty() => return Ok(head),
                None => return Err(bad(&line)),
            }
        }
        Err(bad("more lines than any head has"))
    }

    /// Reads the next bytes of an answer. Its deadline begins anew.
    pub fn read_exact(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.renew();
        self.0.read_exact(bytes)
    }

    fn renew(&mut self) {
        self.0.get_mut().deadline = Instant::now() + LONGEST;
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.0.by_ref().take(LONGEST_LINE).read_line(&mut line)?;
        let whole = line.strip_suffix("\r\n").map(str::to_owned);
        whole.ok_or_else(|| io::Error::new(ErrorKind::UnexpectedEof, format!("the stream ended behind {line:?}")))
    }

    /// Would a read return at once, with bytes or with the end of the stream?
    pub fn is_readable(&self) -> bool {
        self.stream().set_nonblocking(true).expect("a socket");
        let peeked = self.stream().peek(&mut [0]);
        self.stream().set_nonblocking(false).expect("a socket");
        !peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }
}
