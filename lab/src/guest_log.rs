//! What a guest of a run writes: it is kept only if the guest fails.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// Lines and bytes at the end of a log that are shown.
const LAST_LINES: usize = 5;
const LAST_BYTES: u64 = 4096;

/// Where the log of each guest is kept whose failure was reported.
static KEPT: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());

/// The log of a guest: a file without a name, which is gone with the last process that has it open, even if that is killed.
pub struct GuestLog {
    guest: String,
    file: File,
}

/// A log that was kept.
pub struct Kept {
    pub path: PathBuf,
    /// Its last lines, if this is the first time that the guest's log is kept.
    pub last_lines: Vec<String>,
}

impl GuestLog {
    /// A new one.
    ///
    /// # Errors
    /// The kernel's error, with the path.
    pub fn new(guest: &str) -> io::Result<GuestLog> {
        let (file, path) = new_file(&format!("{guest}-output"))?;
        fs::remove_file(path)?;
        Ok(GuestLog { guest: guest.into(), file })
    }

    /// A path by which the processes of the same user open it. proc_pid_fd(5)
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd())
    }

    /// Keeps it in the folder for temporary files. The logs of a guest that fails several times come into the same file. `None` if
    /// the guest has written nothing.
    ///
    /// # Errors
    /// The kernel's error, with the path.
    pub fn keep(&mut self) -> io::Result<Option<Kept>> {
        let length = self.file.seek(SeekFrom::End(0))?;
        if length == 0 {
            return Ok(None);
        }
        self.file.rewind()?;
        let mut all = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut copy, path, is_first) = match all.get(&self.guest) {
            Some(path) => (OpenOptions::new().append(true).open(path)?, path.clone(), false),
            None => {
                let (copy, path) = new_file(&self.guest)?;
                all.insert(self.guest.clone(), path.clone());
                (copy, path, true)
            }
        };
        io::copy(&mut self.file, &mut copy)?;
        let last_lines = if is_first { self.last_lines(length)? } else { Vec::new() };
        Ok(Some(Kept { path, last_lines }))
    }

    fn last_lines(&mut self, length: u64) -> io::Result<Vec<String>> {
        self.file.seek(SeekFrom::Start(length.saturating_sub(LAST_BYTES)))?;
        let mut end = Vec::new();
        self.file.by_ref().take(LAST_BYTES).read_to_end(&mut end)?;
        let end = String::from_utf8_lossy(&end);
        let lines: Vec<&str> = end.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
        Ok(lines[lines.len().saturating_sub(LAST_LINES)..].iter().map(|line| (*line).to_owned()).collect())
    }
}

/// Makes a file for temporary use, which other users cannot read.
fn new_file(name: &str) -> io::Result<(File, PathBuf)> {
    let folder = app::temporary_dir()?; // absolute, so that the user finds it from anywhere
    let mut number = 0;
    loop {
        let path = folder.join(format!("io-models-{name}-{}-{number}.log", std::process::id()));
        match OpenOptions::new().create_new(true).read(true).append(true).mode(0o600).open(&path) {
            Ok(file) => return Ok((file, path)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_log_is_kept_with_what_others_have_written_to_it() {
        let mut log = GuestLog::new("of-a-test").unwrap();
        assert!(log.keep().unwrap().is_none());
        let mut guest = OpenOptions::new().create(true).append(true).open(log.path()).unwrap();
        for line in 1..=1000 {
            writeln!(guest, "line {line}\n").unwrap();
        }
        let kept = log.keep().unwrap().expect("it is not empty");
        assert_eq!(kept.last_lines, ["line 996", "line 997", "line 998", "line 999", "line 1000"]);
        let length = fs::metadata(&kept.path).unwrap().len();
        let again = log.keep().unwrap().expect("it is not empty");
        assert_eq!((&again.path, again.last_lines.len()), (&kept.path, 0));
        assert_eq!(fs::metadata(&kept.path).unwrap().len(), 2 * length);
        fs::remove_file(kept.path).unwrap();
    }
}
