//! For tests: a program that a test starts ends by itself after a while, so each wait for it and each read from it ends, too.

use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::unistd::alarm;

/// Lets SIGALRM kill the command's process after so many seconds: alarm(2), which outlives execve(2). A process that this one
/// forks has no alarm, and a Go program ignores the signal.
pub fn limit_lifetime(command: &mut Command, seconds: u32) -> &mut Command {
    let set_alarm = move || {
        alarm::set(seconds);
        Ok(())
    };
    // SAFETY: alarm(2) is one system call, which is safe between fork and exec.
    unsafe { command.pre_exec(set_alarm) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use nix::sys::signal::Signal;

    use super::*;

    #[test]
    fn a_program_that_does_not_end_is_killed() {
        let status = limit_lifetime(Command::new("sleep").arg("600"), 1).status().unwrap();
        assert_eq!(status.signal(), Some(Signal::SIGALRM as i32));
    }
}
