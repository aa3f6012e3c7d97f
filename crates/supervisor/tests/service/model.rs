//! The models under test: small servers whose routes and names make them misbehave in certain ways.

use std::ffi::OsStr;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use app::App;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{ForkResult, alarm, fork, pause};
use supervisor::{Model, Resource};

use crate::running::LIFETIME;

pub fn by_name(name: &OsStr) -> Option<Model> {
    let model = |name, serve, connection_takes| Some(Model { connection_takes, ..Model::new(name, serve) });
    match name.to_str()? {
        "plain" => model("plain", serve, Resource::Descriptor),
        "processes" => model("processes", serve, Resource::Process),
        "unsupported" => model(
            "unsupported",
            |_, _| Err(io::Error::new(ErrorKind::Unsupported, "not permitted here")),
            Resource::Descriptor,
        ),
        "short" => model("short", |_, _| serve_with_a_loop_that_lacks_memory(), Resource::Descriptor),
        "failing" => model("failing", |_, _| Err(io::Error::other("out of luck")), Resource::Descriptor),
        "panicking" => model("panicking", |_, _| panic!("by design"), Resource::Descriptor),
        _ => None,
    }
}

/// One loop waits until SIGTERM; the other one cannot begin.
fn serve_with_a_loop_that_lacks_memory() -> io::Result<()> {
    let loops = AtomicUsize::new(0);
    driver::on_each_thread(2, || {
        if loops.fetch_add(1, Ordering::SeqCst) == 0 {
            let stop = driver::Sigterm::new()?;
            let mut fds = [PollFd::new(stop.as_fd(), PollFlags::POLLIN)];
            return Ok(poll(&mut fds, PollTimeout::NONE).map(drop)?);
        }
        Err(io::Error::new(ErrorKind::QuotaExceeded, "no memory for another loop"))
    })
}

/// Serves one connection at a time, and one request on each. After SIGTERM it still serves the connections in the
/// backlog.
fn serve(listener: TcpListener, app: App) -> io::Result<()> {
    alarm::set(LIFETIME); // the supervisor's alarm is its own: a fork does not copy it
    let stop = driver::Sigterm::new()?;
    listener.set_nonblocking(true)?;
    loop {
        let mut fds = [PollFd::new(listener.as_fd(), PollFlags::POLLIN), PollFd::new(stop.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::NONE)?;
        let stopping = fds[1].any() == Some(true);
        match listener.accept() {
            Ok((socket, _)) => {
                app.counters().opened();
                let _ = respond(socket, &app); // an error concerns only this connection
                app.counters().closed();
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock && stopping => return Ok(()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

fn respond(mut socket: TcpStream, app: &App) -> io::Result<()> {
    let begun = Instant::now();
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        if socket.read(&mut byte)? == 0 {
            return Ok(());
        }
        request.push(byte[0]);
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let text = match path.split('/').collect::<Vec<_>>()[..] {
        ["", "sleep", ms] => {
            std::thread::sleep(Duration::from_millis(ms.parse().unwrap_or(0)));
            String::new()
        }
        ["", "state", name, value] => {
            app.state(name, value);
            String::new()
        }
        ["", "take", us] => {
            app.counters().syscall_took(scoreboard::Syscall::Read, Duration::from_micros(us.parse().unwrap_or(0)));
            String::new()
        }
        // A child burns so much CPU time, and is then reaped and counted, as models do it.
        ["", "burn", ms] => {
            let child = in_child(move || burn(Duration::from_millis(ms.parse().unwrap_or(0))));
            let (mut status, mut usage) = (0, std::mem::MaybeUninit::uninit());
            // SAFETY: both pointers are to our own variables; wait4 fills in the usage when it succeeds.
            let usage = unsafe {
                assert_eq!(libc::wait4(child, &mut status, 0, usage.as_mut_ptr()), child);
                usage.assume_init()
            };
            app.counters().reaped(&usage);
            String::new()
        }
        // A child that does not end by itself, for a long time.
        ["", "orphan"] => in_child(|| {
            alarm::set(60); // in case no other process kills it
            loop {
                pause(); // SIGTERM is blocked here
            }
        })
        .to_string(),
        // A grandchild burns CPU time. Its parent exits without waiting for it, so the subreaper inherits it.
        ["", "grandchild"] => in_child(|| {
            in_child(|| burn(Duration::from_millis(200)));
        })
        .to_string(),
        _ => "Hello World\n".to_owned(),
    };
    write!(socket, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{text}", text.len())?;
    socket.shutdown(Shutdown::Write)?; // closing would not end the stream: an orphan has a copy of the descriptor
    app.counters().served(scoreboard::Route::Root as usize, 200, begun.elapsed());
    Ok(())
}

/// Forks a child that calls `run` and exits. Returns its pid.
fn in_child(run: impl FnOnce()) -> libc::pid_t {
    // SAFETY: this process has one thread, so the child may do everything that its parent may.
    match unsafe { fork() } {
        Ok(ForkResult::Parent { child }) => child.as_raw(),
        Ok(ForkResult::Child) => {
            run();
            // SAFETY: `_exit` is async-signal-safe.
            unsafe { libc::_exit(0) }
        }
        Err(errno) => panic!("{errno}"),
    }
}

/// Keeps the CPU busy until this process has used `time` of CPU time.
fn burn(time: Duration) {
    while clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map(Duration::from).is_ok_and(|used| used < time) {
        std::hint::black_box((0..1000).sum::<u64>());
    }
}
