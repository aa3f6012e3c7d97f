//! The folder of results, as far as pages may see it: files with known names in folders of runs, and nothing else.
//!
//! Each folder on the way is opened relative to the one above, and no symbolic link is followed (`O_NOFOLLOW`, open(2)), so
//! whatever a name holds, no file outside is ever opened.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, SystemTime};

use nix::dir::Dir;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::Mode;
use results::live;

const FOLDER: OFlag = OFlag::O_DIRECTORY.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);
/// A FIFO would wait for its writer without `O_NONBLOCK`.
const FILE: OFlag = OFlag::O_NOFOLLOW.union(OFlag::O_NONBLOCK).union(OFlag::O_CLOEXEC);

/// The results of a run.
pub const RESULTS: &str = "results.json";
/// The slices of its trials.
pub const SLICES: &str = "slices.ndjson";

/// A run that has written nothing for so long was killed.
const SILENCE: Duration = Duration::from_secs(120);

/// The folder of results.
pub struct Runs(OwnedFd);

/// The name of a run's folder, or of an experiment's folder in that of a lecture: letters, digits and a few signs, so it needs no
/// escape in a URL and is no hidden file.
pub fn is_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_+.".contains(&byte);
    !name.is_empty() && name.len() <= 255 && !name.starts_with('.') && name.bytes().all(is_allowed)
}

impl Runs {
    /// Opens the folder.
    ///
    /// # Errors
    /// There is no such folder, or it may not be read.
    pub fn open(folder: &Path) -> io::Result<Runs> {
        Ok(Runs(open(folder, OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?))
    }

    /// The names of the folders in it, in no order. A folder that is no run is among them.
    pub fn names(&self) -> io::Result<Vec<String>> {
        let mut dir = Dir::openat(self.0.as_fd(), ".", FOLDER, Mode::empty())?;
        let names = dir.iter().filter_map(|entry| entry.ok()?.file_name().to_str().ok().map(str::to_owned));
        Ok(names.filter(|name| is_name(name)).collect())
    }

    /// Opens a file of a run; `run` has the names of the folders on the way.
    ///
    /// # Errors
    /// There is no such file, or it is none: a link, a folder, a FIFO.
    pub fn file(&self, run: &[&str], file: &'static str) -> io::Result<File> {
        let mut folder = openat(self.0.as_fd(), ".", FOLDER, Mode::empty())?;
        for name in run {
            if !is_name(name) {
                return Err(io::ErrorKind::NotFound.into());
            }
            folder = openat(folder.as_fd(), OsStr::new(name), FOLDER, Mode::empty())?;
        }
        let file = File::from(openat(folder.as_fd(), file, FILE, Mode::empty())?);
        if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    /// When a run that goes on has last written what happens, which it does at least every few seconds; `None` if it does not go on, or was killed.
    pub fn goes_on(&self, run: &str) -> Option<SystemTime> {
        let (written, _) = self.written(&[run], live::FILE)?;
        let is_fresh = written.elapsed().is_ok_and(|age| age < SILENCE) || written > SystemTime::now();
        is_fresh.then_some(written)
    }

    /// When a file of a run was written, and its length.
    pub fn written(&self, run: &[&str], file: &'static str) -> Option<(SystemTime, u64)> {
        let metadata = self.file(run, file).ok()?.metadata().ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn nothing_outside_the_folder_is_opened() {
        let top = std::env::temp_dir().join(format!("lab-pages-folder-{}", std::process::id()));
        let folder = top.join("results");
        fs::create_dir_all(folder.join("run")).unwrap();
        fs::create_dir_all(folder.join("fifo")).unwrap();
        fs::create_dir_all(folder.join("folder/results.json")).unwrap();
        fs::create_dir_all(top.join("outside")).unwrap();
        fs::write(top.join("outside/results.json"), "secret").unwrap();
        fs::write(top.join("results.json"), "secret").unwrap();
        fs::write(folder.join("run/results.json"), "{}").unwrap();
        fs::create_dir_all(folder.join("link")).unwrap();
        symlink(top.join("outside/results.json"), folder.join("link/results.json")).unwrap();
        symlink(top.join("outside"), folder.join("linked")).unwrap();
        nix::unistd::mkfifo(&folder.join("fifo/results.json"), Mode::S_IRWXU).unwrap();
        let runs = Runs::open(&folder).unwrap();
        assert!(runs.file(&["run"], RESULTS).is_ok());
        for wrong in [
            &["linked"][..],
            &["link"],
            &["fifo"],
            &["folder"],
            &[".."],
            &["run", ".."],
            &["../outside"],
            &["."],
            &[""],
            &["run/"],
        ] {
            assert!(runs.file(wrong, RESULTS).is_err(), "{wrong:?}");
        }
        let mut names = runs.names().unwrap();
        names.sort();
        assert_eq!(names, ["fifo", "folder", "link", "linked", "run"]);
        fs::remove_dir_all(top).unwrap();
    }

    #[test]
    fn a_name_is_that_of_a_run() {
        for name in ["20261128-011249-0d3c", "a+b", "x_1.2"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", ".", "..", ".hidden", "a/b", "a b", "a\0", "ü", "%2e%2e", "<script>", &"a".repeat(256)] {
            assert!(!is_name(name), "{name}");
        }
    }
}
