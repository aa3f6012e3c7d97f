//! The smallest HTTP client that tells a whole answer from a cut one.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, connect, setsockopt, socket, sockopt};

use crate::service::PATIENCE;

/// A connection to a server.
pub struct Client(pub BufReader<TcpStream>);

/// The head of an answer.
#[derive(Debug)]
pub struct Head {
    pub status: u16,
    /// Bytes of content.
    pub length: usize,
    /// Did the server say that it will close?
    pub close: bool,
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub close: bool,
    pub body: Vec<u8>,
}

/// A GET request without more ado.
pub fn request(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes()
}

/// The same, as the last one of its connection.
pub fn last_request(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").into_bytes()
}

/// One request, with a connection of its own.
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

    /// One whose receive buffer is small from the start, and stays so: SO_RCVBUF of socket(7).
    pub fn connect_with_buffer(server: SocketAddr, bytes: usize) -> io::Result<Client> {
        let family = if server.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let socket = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
        setsockopt(&socket, sockopt::RcvBuf, &bytes)?;
        connect(socket.as_raw_fd(), &SockaddrStorage::from(server))?;
        Client::over(socket.into())
    }

    fn over(stream: TcpStream) -> io::Result<Client> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Client(BufReader::with_capacity(1 << 10, stream)))
    }

    pub fn stream(&self) -> &TcpStream {
        self.0.get_ref()
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.get_mut().write_all(bytes)
    }

    pub fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.send(&request(path))?;
        self.answer()
    }

    /// A whole answer, or an error.
    pub fn answer(&mut self) -> io::Result<Answer> {
        let Head { status, length, close } = self.head()?;
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        if close && !self.0.fill_buf()?.is_empty() {
            return Err(io::Error::new(ErrorKind::InvalidData, "more after the last answer"));
        }
        Ok(Answer { status, close, body })
    }

    /// The head of an answer.
    pub fn head(&mut self) -> io::Result<Head> {
        let bad = |line: &str| io::Error::new(ErrorKind::InvalidData, format!("a line of the head: {line:?}"));
        let mut line = self.line()?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(|| bad(&line))?;
        let mut head = Head { status, length: 0, close: false };
        loop {
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
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        let whole = line.strip_suffix("\r\n").map(str::to_owned);
        whole.ok_or_else(|| io::Error::new(ErrorKind::UnexpectedEof, format!("the end after {line:?}")))
    }

    /// Is there something to be read, or the end?
    pub fn is_readable(&self) -> bool {
        self.stream().set_nonblocking(true).expect("a socket");
        let peeked = self.stream().peek(&mut [0]);
        self.stream().set_nonblocking(false).expect("a socket");
        !peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }
}
