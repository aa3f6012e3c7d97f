//! A machine that does not permit the model, or lacks what it needs.

use std::io::{self, ErrorKind};
use std::os::unix::process::CommandExt;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc::{self, SYS_io_setup, SYS_io_uring_register, SYS_io_uring_setup, c_long};
use nix::sys::prctl::set_no_new_privs;
use nix::sys::signal::Signal;

use crate::client::Client;
use crate::proc::children;
use crate::service::{command, spawn, wait_for};

pub fn io_uring_is_forbidden(model: &'static str) {
    is_forbidden(model, SYS_io_uring_setup, SYS_io_uring_register, "io_uring is not permitted here: a seccomp profile");
}

pub fn io_setup_is_forbidden(model: &'static str) {
    is_forbidden(model, SYS_io_setup, SYS_io_setup, "io_setup is not permitted here: a seccomp profile");
}

pub fn io_uring_has_no_memory(model: &'static str) {
    lacks(model, SYS_io_uring_setup, Errno::ENOMEM, "no memory for io_uring: raise the limit on locked memory");
}

pub fn io_setup_has_no_room(model: &'static str) {
    lacks(
        model,
        SYS_io_setup,
        Errno::EAGAIN,
        "too many asynchronous reads on this machine: raise sysctl fs.aio-max-nr",
    );
    lacks(model, SYS_io_setup, Errno::ENOMEM, "no memory for asynchronous reads: raise");
}

/// A seccomp filter forbids the system calls with these numbers, as the profile of a container does.
fn is_forbidden(model: &'static str, first: c_long, last: c_long, why: &str) {
    let restarts = says_why(model, first, last, Errno::EPERM, why);
    assert_eq!(restarts, 0.0, "the model was restarted, which cannot help");
}

/// The system call has no memory or no room. That may pass, so the model is started again, but not for ever.
fn lacks(model: &'static str, call: c_long, errno: Errno, why: &str) {
    let restarts = says_why(model, call, call, errno, why);
    assert!((2.0..20.0).contains(&restarts), "the model was started again {restarts} times");
}

/// The system calls with these numbers fail, and the service says why. Gives how often the model was started again.
fn says_why(model: &'static str, first: c_long, last: c_long, errno: Errno, why: &str) -> f64 {
    let mut command = command(model, &[]);
    // SAFETY: two system calls, and no memory but the stack's.
    unsafe { command.pre_exec(move || fail(first, last, errno)) };
    let service = spawn(model, command);
    wait_for("the service to notice", || service.metric("server_supported") == 0.0);
    wait_for("health", || service.admin_page("/healthz") == "unsupported\n");
    let info = service.admin_page("/info");
    assert!(info.contains(&format!("\"unsupported\": \"{why}")), "{info}");
    let refused = Client::connect(service.listen).err().map(|error| error.kind());
    assert_eq!(refused, Some(ErrorKind::ConnectionRefused), "a connection that is never served would hang");

    assert_eq!(children(service.pid()), [], "no process of the model runs");
    let cpu = service.cpu_of_waiting(Duration::from_millis(500));
    // Not exactly 0: the group's time and the supervisor's own, which is taken off, are not read at the same instant.
    assert!(cpu < Duration::from_millis(1), "without a process of the model, {cpu:?} of CPU in 500 ms");
    let restarts = service.metric("server_restarts_total");
    service.signal(Signal::SIGTERM);
    let ended = service.ended();
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert_eq!(ended.said.matches(why).count(), 1, "{}", ended.said);
    restarts
}

/// Makes the calls fail with that error: seccomp(2).
fn fail(first: c_long, last: c_long, errno: Errno) -> io::Result<()> {
    const NUMBER: u32 = 0; // the offset of `nr` in struct seccomp_data
    let step = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let mut program = [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, NUMBER),
        step(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 0, 2, first as u32),
        step(libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K, 1, 0, last as u32),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | errno as u32),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    set_no_new_privs()?; // without it, only root may install a filter
    // SAFETY: the kernel copies the program, which lives until after the call, by its length.
    let set = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    Errno::result(set)?;
    Ok(())
}
