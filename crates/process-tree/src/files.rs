//! Reads and parses the files of `/proc/PID`, with one buffer for all of them.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::linux::fs::MetadataExt as _;
use std::time::Duration;

use crate::switches::Switches;

/// Reads small files of /proc without allocating memory for each.
#[derive(Debug)]
pub(crate) struct Files {
    path: String,
    bytes: Vec<u8>,
}

/// The fields of `/proc/PID/stat` that this crate uses: proc_pid_stat(5). Times are in clock ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub zombie: bool,
    pub ppid: i32,
    pub minor_faults: u64,
    pub reaped_minor_faults: u64,
    pub major_faults: u64,
    pub reaped_major_faults: u64,
    pub user: u64,
    pub system: u64,
    pub reaped_user: u64,
    pub reaped_system: u64,
    pub threads: u64,
    /// In ticks since boot. Pids are reused, so only the pid and the start time together identify a process.
    pub started: u64,
}

impl Files {
    pub fn new() -> Files {
        Files { path: String::with_capacity(64), bytes: vec![0; 32 * 1024] }
    }

    /// The `stat` of a process.
    pub fn stat(&mut self, pid: i32) -> io::Result<Stat> {
        let bytes = self.read(format_args!("/proc/{pid}/stat"))?;
        parse_stat(bytes).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "/proc/PID/stat is not understood"))
    }

    /// The thread ids of a process; the main thread comes first.
    pub fn threads(&mut self, pid: i32) -> io::Result<Vec<i32>> {
        Ok(numeric_names_in(self.path(format_args!("/proc/{pid}/task")))?.collect())
    }

    /// Appends the children of this thread to `pids`.
    pub fn children(&mut self, pid: i32, tid: i32, pids: &mut Vec<i32>) -> io::Result<()> {
        let bytes = self.read(format_args!("/proc/{pid}/task/{tid}/children"))?;
        pids.extend(bytes.split(|b| *b == b' ').filter_map(number).map(|pid| pid as i32));
        Ok(())
    }

    /// The proportional set size of the process in bytes: a page that N processes share counts 1/N in each.
    ///
    /// # Errors
    /// [`io::ErrorKind::Unsupported`] if the kernel does not have it: gVisor, and Linux before 4.14.
    pub fn pss(&mut self, pid: i32) -> io::Result<u64> {
        let unsupported = || io::Error::new(io::ErrorKind::Unsupported, "/proc/PID/smaps_rollup has no Pss");
        match self.read(format_args!("/proc/{pid}/smaps_rollup")).map(|bytes| (bytes.is_empty(), field(bytes, "Pss:")))
        {
            Ok((_, Some(kib))) => Ok(kib * 1024),
            // A kernel thread, and a process that is ending, have no memory, and the file is empty.
            Ok((true, None)) => Ok(0),
            Ok((false, None)) => Err(unsupported()),
            // A process that is ending has the file, and cannot open it: ESRCH.
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.stat(pid).is_ok() => Err(unsupported()),
            Err(error) => Err(error),
        }
    }

    /// The peak resident set size of the process, in bytes.
    pub fn peak_rss(&mut self, pid: i32) -> io::Result<u64> {
        let bytes = self.read(format_args!("/proc/{pid}/status"))?;
        let peak = field(bytes, "VmHWM:");
        Ok(peak.ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, "/proc/PID/status has no VmHWM"))? * 1024)
    }

    /// The context switches of one thread.
    pub fn switches(&mut self, pid: i32, tid: i32) -> io::Result<Switches> {
        let bytes = self.read(format_args!("/proc/{pid}/task/{tid}/status"))?;
        Ok(Switches {
            voluntary: field(bytes, "voluntary_ctxt_switches:").ok_or(io::ErrorKind::Unsupported)?,
            involuntary: field(bytes, "nonvoluntary_ctxt_switches:").ok_or(io::ErrorKind::Unsupported)?,
        })
    }

    /// How many descriptors the process has open.
    pub fn open_fds(&mut self, pid: i32) -> io::Result<u64> {
        let path = self.path(format_args!("/proc/{pid}/fd"));
        // Since Linux 6.2 the size of this directory is the number of its entries, which proc_pid_fd(5) does not
        // mention. To list ten thousand entries takes milliseconds.
        match std::fs::metadata(path)?.st_size() {
            0 => Ok(std::fs::read_dir(path)?.count() as u64),
            entries => Ok(entries),
        }
    }

    fn path(&mut self, path: std::fmt::Arguments<'_>) -> &str {
        self.path.clear();
        self.path.write_fmt(path).expect("writing to a String does not fail");
        &self.path
    }

    /// Reads a whole file. `std::fs::read` would first ask for the size and the position, which these files do not
    /// have.
    fn read(&mut self, path: std::fmt::Arguments<'_>) -> io::Result<&[u8]> {
        let mut file = File::open(self.path(path))?;
        let mut len = 0;
        loop {
            match file.read(&mut self.bytes[len..]) {
                Ok(0) => return Ok(&self.bytes[..len]),
                Ok(n) => len += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if len == self.bytes.len() {
                self.bytes.resize(2 * len, 0);
            }
        }
    }
}

/// The entries of a directory whose names are numbers.
pub(crate) fn numeric_names_in(directory: &str) -> io::Result<impl Iterator<Item = i32> + use<>> {
    Ok(std::fs::read_dir(directory)?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()))
}

/// Whether /proc means by this error that the process or thread no longer exists.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ESRCH | libc::ENOENT))
}

/// Converts the clock ticks of `/proc` to time: proc_pid_stat(5). They are those of sysconf(3), `_SC_CLK_TCK`, usually 10 ms,
/// and not those of the kernel's own clock.
pub fn ticks(count: u64) -> Duration {
    let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100) as u64;
    Duration::from_nanos(count * (1_000_000_000 / per_second))
}

fn parse_stat(line: &[u8]) -> Option<Stat> {
    // The second field is the name of the command in parentheses. It may contain spaces and parentheses.
    let name_end = line.iter().rposition(|b| *b == b')')?;
    let fields: Vec<&[u8]> = line.get(name_end + 2..)?.split(|b| *b == b' ').take(20).collect();
    let at = |number_in_manual: usize| fields.get(number_in_manual - 3).and_then(|field| number(field));
    Some(Stat {
        zombie: matches!(fields.first()?, [b'Z' | b'X' | b'x']),
        ppid: at(4)? as i32,
        minor_faults: at(10)?,
        reaped_minor_faults: at(11)?,
        major_faults: at(12)?,
        reaped_major_faults: at(13)?,
        user: at(14)?,
        system: at(15)?,
        reaped_user: at(16)?,
        reaped_system: at(17)?,
        threads: at(20)?,
        started: at(22)?,
    })
}

/// The number in the line that begins with `name`.
fn field(text: &[u8], name: &str) -> Option<u64> {
    text.split(|b| *b == b'\n').find_map(|line| line.strip_prefix(name.as_bytes())).and_then(number)
}

/// The number at the start of the bytes, after white space and before a unit.
fn number(bytes: &[u8]) -> Option<u64> {
    let digits = bytes.trim_ascii_start();
    let end = digits.iter().position(|b| !b.is_ascii_digit()).unwrap_or(digits.len());
    std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_name_may_contain_parentheses_and_look_like_other_fields() {
        let line = b"7 (a) Z 9 (b)) S 3 7 7 0 -1 4194304 10 11 12 13 14 15 16 17 20 0 5 0 22 1000 100\n";
        let stat = parse_stat(line).unwrap();
        assert_eq!((stat.zombie, stat.ppid, stat.minor_faults, stat.reaped_major_faults), (false, 3, 10, 13));
        assert_eq!((stat.user, stat.reaped_system, stat.threads, stat.started), (14, 17, 5, 22));
    }

    #[test]
    fn a_truncated_stat_line_is_rejected() {
        assert_eq!(parse_stat(b""), None);
        assert_eq!(parse_stat(b"7 (sh)"), None);
        assert_eq!(parse_stat(b"7 (sh) S 3 7 7"), None);
    }

    #[test]
    fn voluntary_switches_are_not_mistaken_for_nonvoluntary_ones() {
        let status = b"nonvoluntary_ctxt_switches:\t7\nvoluntary_ctxt_switches:\t5\n";
        assert_eq!(field(status, "voluntary_ctxt_switches:"), Some(5));
        assert_eq!(field(b"Rss: 1 kB\nPss:     416 kB\n", "Pss:"), Some(416));
    }

    #[test]
    fn the_files_of_this_process_can_be_read() {
        let pid = std::process::id() as i32;
        let mut files = Files::new();
        assert!(files.stat(pid).unwrap().threads >= 1);
        assert!(files.pss(pid).unwrap() > 100 * 1024);
        assert!(files.open_fds(pid).unwrap() >= 3);
    }
}
