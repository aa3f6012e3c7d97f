//! Programs for the event loop's API, written as one would write them for node's.

use std::cell::{Cell, RefCell};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use event_loop::{Server, create_server, queue_work, set_timeout};

/// The longest that a test waits for a server.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Runs the server on a thread of its own, which ends with the test program, and returns its address.
fn run(server: impl FnOnce() -> Server + Send + 'static) -> SocketAddr {
    let (sender, address) = channel();
    thread::spawn(move || {
        let listening = server().listen(0, "127.0.0.1").expect("a free port");
        sender.send(listening.address().expect("an address")).expect("the test waits for it");
        listening.run()
    });
    address.recv_timeout(TIMEOUT).expect("a server")
}

fn connect(server: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(server).expect("a connection");
    socket.set_read_timeout(Some(TIMEOUT)).expect("a time-out");
    socket
}

/// Sends a request for each path, all in one piece, the last with `Connection: close`, and returns the answers without
/// their Date.
fn ask(server: SocketAddr, paths: &[&str]) -> String {
    let mut socket = connect(server);
    let requests: String = paths.iter().map(|path| format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")).collect();
    let last = requests.rfind("Host").expect("a request");
    let requests = format!("{}Connection: close\r\n{}", &requests[..last], &requests[last..]);
    socket.write_all(requests.as_bytes()).expect("room");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("an answer");
    answer.split_inclusive("\r\n").filter(|line| !line.starts_with("Date: ")).collect()
}

fn bodies(answer: &str) -> Vec<&str> {
    answer.split("HTTP/1.1 ").skip(1).filter_map(|one| one.split_once("\r\n\r\n")).map(|(_, body)| body).collect()
}

/// The process of the example, which is killed when the test ends.
struct Example(Child);

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_example_prints_its_address_and_answers_hello_world() {
    if let Err(error) = TcpListener::bind("127.0.0.1:1337") {
        return eprintln!("skipped: port 1337 is not free: {error}");
    }
    // Cargo builds the examples before it runs the tests, and puts them into this folder.
    let tests = std::env::current_exe().expect("this program's path");
    let program = tests.ancestors().nth(2).expect("target/debug").join("examples/hello");
    let mut example = Example(Command::new(program).stdout(Stdio::piped()).spawn().expect("the example"));
    let stdout = example.0.stdout.take().expect("a pipe");
    let (sender, lines) = channel();
    thread::spawn(move || BufReader::new(stdout).lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    let line = lines.recv_timeout(TIMEOUT).expect("a line");
    assert_eq!(line, "Server running at http://127.0.0.1:1337/");
    let answer = ask("127.0.0.1:1337".parse().expect("an address"), &["/"]);
    assert!(answer.ends_with("\r\n\r\nHello World\n"), "{answer}");
}

#[test]
fn a_response_can_be_ended_in_a_later_callback() {
    let server = run(|| {
        create_server(|request, response| match request.path {
            "/timeout" => set_timeout(|| response.end("timeout"), Duration::from_millis(5)),
            "/work" => queue_work(|| 6 * 7, |given| response.end(format!("work {given}"))),
            path => response.end(path.to_owned()),
        })
    });
    let answer = ask(server, &["/timeout", "/1", "/work", "/2"]);
    assert_eq!(bodies(&answer), ["timeout", "/1", "work 42", "/2"], "{answer}");
}

#[test]
fn a_response_has_the_status_and_the_fields_of_write_head() {
    let server = run(|| {
        create_server(|request, mut response| match request.path {
            "/204" => {
                response.write_head(204, []);
                response.end("what a 204 does not have");
            }
            _ => {
                let fields = [("Content-Type", "text/html"), ("content-length", "99"), ("X-Powered-By", "callbacks")];
                response.write_head(404, fields);
                response.end("<p>No");
            }
        })
    });
    let expected = "HTTP/1.1 204 No Content\r\nServer: io-models\r\n\r\n\
        HTTP/1.1 404 Not Found\r\nServer: io-models\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\
        X-Powered-By: callbacks\r\nConnection: close\r\n\r\n<p>No";
    assert_eq!(ask(server, &["/204", "/"]), expected);
}

#[test]
fn a_response_without_write_head_has_only_the_fields_that_the_connection_adds() {
    let server = run(|| create_server(|_, response| response.end("plain")));
    let expected = "HTTP/1.1 200 OK\r\nServer: io-models\r\nContent-Length: 5\r\nConnection: close\r\n\r\nplain";
    assert_eq!(ask(server, &["/"]), expected);
}

/// A time-out's callback sets another time-out, whose callback ends its own response and those of two other requests.
/// The client of one of these has closed its connection.
#[test]
fn a_time_out_may_set_another_and_end_the_responses_of_other_requests() {
    let server = run(|| {
        let waiting = Rc::new(RefCell::new(Vec::new()));
        create_server(move |request, response| match request.path {
            "/wait" => waiting.borrow_mut().push(response),
            "/waiting" => response.end(waiting.borrow().len().to_string()),
            _ => {
                let waiting = Rc::clone(&waiting);
                let end_all = move || {
                    response.end("mine");
                    waiting.take().into_iter().for_each(|response| response.end("and yours"));
                };
                set_timeout(|| set_timeout(end_all, Duration::ZERO), Duration::ZERO);
            }
        })
    });
    let ask_to_wait = |socket: &mut TcpStream| {
        socket.write_all(b"GET /wait HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").expect("room");
    };
    let (mut stays, mut goes) = (connect(server), connect(server));
    ask_to_wait(&mut stays);
    ask_to_wait(&mut goes);
    let deadline = Instant::now() + TIMEOUT;
    while bodies(&ask(server, &["/waiting"])) != ["2"] {
        assert!(Instant::now() < deadline, "the server does not have both requests");
    }
    drop(goes);
    assert_eq!(bodies(&ask(server, &["/"])), ["mine"]);
    let mut answer = String::new();
    stays.read_to_string(&mut answer).expect("an answer");
    assert_eq!(bodies(&answer), ["and yours"]);
    assert_eq!(bodies(&ask(server, &["/waiting"])), ["0"]);
}

#[test]
fn a_response_that_no_callback_ends_is_a_500() {
    let server = run(|| create_server(|_, response| drop(response)));
    assert!(ask(server, &["/"]).starts_with("HTTP/1.1 500 "));
}

#[test]
fn callbacks_share_what_they_hold_without_a_lock() {
    let server = run(|| {
        let count = Rc::new(Cell::new(0));
        create_server(move |_, response| {
            let count = Rc::clone(&count);
            set_timeout(
                move || {
                    count.set(count.get() + 1);
                    response.end(count.get().to_string());
                },
                Duration::ZERO,
            );
        })
    });
    assert_eq!(bodies(&ask(server, &["/"; 5])), ["1", "2", "3", "4", "5"]);
}
