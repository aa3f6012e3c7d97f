//! A machine that does not permit the model.

use std::io::{self, ErrorKind};
use std::os::unix::process::CommandExt;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc::{self, SYS_io_setup, SYS_io_uring_register, SYS_io_uring_setup, c_long};
use nix::sys::prctl::set_no_new_privs;
use nix::sys::signal::Signal;

use crate::client::Client;
use crate::service::{command, spawn, wait_for};

pub fn io_uring_is_forbidden(model: &'static str) {
    is_forbidden(model, SYS_io_uring_setup, SYS_io_uring_register, "io_uring is not permitted here: a seccomp profile");
}

pub fn io_setup_is_forbidden(model: &'static str) {
    is_forbidden(model, SYS_io_setup, SYS_io_setup, "io_setup is not permitted here: a seccomp profile");
}

/// A seccomp filter forbids the system calls with these numbers, and the service says so.
fn is_forbidden(model: &'static str, first: c_long, last: c_long, why: &str) {
    let mut command = command(model, &[]);
    // SAFETY: two system calls, and no memory but the stack's.
    unsafe { command.pre_exec(move || forbid(first, last)) };
    let service = spawn(model, command);
    wait_for("the service to notice", || service.metric("server_supported") == 0.0);
    wait_for("health", || service.admin_page("/healthz") == "unsupported\n");
    let info = service.admin_page("/info");
    assert!(info.contains(&format!("\"unsupported\": \"{why}")), "{info}");
    let refused = Client::connect(service.listen).err().map(|error| error.kind());
    assert_eq!(refused, Some(ErrorKind::ConnectionRefused), "a connection that is never served would hang");

    let cpu = service.cpu_of_waiting(Duration::from_millis(500));
    assert_eq!(cpu, Duration::ZERO, "no process of the model runs");
    assert_eq!(service.metric("server_restarts_total"), 0.0, "the model was restarted, which cannot help");
    service.signal(Signal::SIGTERM);
    let ended = service.ended();
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert_eq!(ended.said.matches("not permitted").count(), 1, "{}", ended.said);
}

/// Makes the calls fail with EPERM, as the profile of a container does: seccomp(2).
fn forbid(first: c_long, last: c_long) -> io::Result<()> {
    const NUMBER: u32 = 0; // the offset of `nr` in struct seccomp_data
    let step = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let mut program = [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, NUMBER),
        step(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 0, 2, first as u32),
        step(libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K, 1, 0, last as u32),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    set_no_new_privs()?; // without it, only root may install a filter
    // SAFETY: the kernel copies the program, which lives until after the call, by its length.
    let set = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    Errno::result(set)?;
    Ok(())
}
