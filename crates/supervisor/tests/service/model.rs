//! The models under test: small servers that misbehave on demand.

use std::ffi::OsStr;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use app::App;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{ForkResult, alarm, fork, pause};
use supervisor::{Model, Resource};

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
        "failing" => model("failing", |_, _| Err(io::Error::other("out of luck")), Resource::Descriptor),
        "panicking" => model("panicking", |_, _| panic!("by design"), Resource::Descriptor),
        _ => None,
    }
}

/// One connection at a time, one request each; at SIGTERM the queue is taken dry.
fn serve(listener: TcpListener, app: App) -> io::Result<()> {
    let stop = driver::Sigterm::new()?;
    listener.set_nonblocking(true)?;
    loop {
        let mut fds = [PollFd::new(listener.as_fd(), PollFlags::POLLIN), PollFd::new(stop.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::NONE)?;
        let stopping = fds[1].any() == Some(true);
        match listener.accept() {
            Ok((socket, _)) => {
                app.counters().opened();
                let _ = answer(socket, &app); // the peer's error
                app.counters().closed();
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock && stopping => return Ok(()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

fn answer(mut socket: TcpStream, app: &App) -> io::Result<()> {
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
        // A child burns that much CPU and is waited for, as a model does it.
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
        // A child that will not end by itself.
        ["", "orphan"] => in_child(|| {
            alarm::set(60); // should nobody kill it
            loop {
                pause(); // SIGTERM is blocked here
            }
        })
        .to_string(),
        // The same, by a child that leaves it to whoever is its subreaper.
        ["", "grandchild"] => in_child(|| {
            in_child(|| burn(Duration::from_millis(200)));
        })
        .to_string(),
        _ => "Hello World\n".to_owned(),
    };
    write!(socket, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{text}", text.len())?;
    socket.shutdown(Shutdown::Write)?; // an orphan holds it, too
    app.counters().served(scoreboard::Route::Root as usize, 200, begun.elapsed());
    Ok(())
}

/// Forks a child that runs this and ends; gives its pid.
fn in_child(run: impl FnOnce()) -> libc::pid_t {
    // SAFETY: this process has one thread, so the child may do whatever we may.
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

/// Keeps the CPU busy until this process has used that much of it.
fn burn(time: Duration) {
    while clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map(Duration::from).is_ok_and(|used| used < time) {
        std::hint::black_box((0..1000).sum::<u64>());
    }
}
