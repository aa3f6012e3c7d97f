//! The files that are served without `--files`: the same bytes, sizes and dates on every machine.

use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use nix::unistd::AccessFlags;
use std::ffi::OsString;
use std::fs::{File, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Names and sizes in bytes.
const FILES: [(&str, usize); 4] = [("1k", 1 << 10), ("64k", 64 << 10), ("1m", 1 << 20), ("10m", 10 << 20)];

/// Their Last-Modified, in seconds after the epoch: the first of January 2024.
const MODIFIED: u64 = 1_704_067_200;

/// Where temporary files are, if `$TMPDIR` does not say it.
const TEMPORARY: &str = "/tmp";

/// Creates the directory of the default files, if it does not exist, and returns its path.
///
/// Each user has one, to which no other user may write. Others may read it: a server that root has started serves it as another
/// user. It is in memory if possible, so that every machine serves the files through the same file system: beneath `$TMPDIR` if
/// that is set, else beneath `/tmp` or `/dev/shm` if one of them is a tmpfs, else beneath `/tmp`.
///
/// # Errors
/// Its path is not a directory, another user owns it, or other users may write to it.
pub fn default_files_dir() -> io::Result<PathBuf> {
    let uid = nix::unistd::geteuid().as_raw();
    let name = format!("io-models-{uid}");
    if let Some(given) = absolute(std::env::var_os("TMPDIR"))? {
        return own_dir(given.join(name), uid);
    }
    let in_memory = [TEMPORARY, "/dev/shm"].into_iter().find(|place| is_usable_tmpfs(Path::new(place)));
    own_dir(Path::new(in_memory.unwrap_or(TEMPORARY)).join(name), uid)
}

/// The directory of temporary files: `$TMPDIR`, or `/tmp` if that is empty or not set. The path is absolute: a server may have
/// another working directory.
///
/// # Errors
/// `$TMPDIR` is relative, and the working directory is gone.
pub fn temporary_dir() -> io::Result<PathBuf> {
    Ok(absolute(std::env::var_os("TMPDIR"))?.unwrap_or(TEMPORARY.into()))
}

/// The directory that a variable names, if it is set and not empty, as an absolute path.
fn absolute(variable: Option<OsString>) -> io::Result<Option<PathBuf>> {
    variable.filter(|dir| !dir.is_empty()).map(std::path::absolute).transpose()
}

/// Whether the file system is in memory: tmpfs(5). One in which this process may not create files does not count.
fn is_usable_tmpfs(dir: &Path) -> bool {
    is_tmpfs(dir) && nix::unistd::access(dir, AccessFlags::W_OK).is_ok()
}

/// Whether the files of a directory are in memory: tmpfs(5).
pub fn is_tmpfs(dir: &Path) -> bool {
    statfs(dir).is_ok_and(|file_system| file_system.filesystem_type() == TMPFS_MAGIC)
}

fn own_dir(dir: PathBuf, uid: u32) -> io::Result<PathBuf> {
    match std::fs::create_dir(&dir) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
            return Err(io::Error::new(e.kind(), format!("cannot create {}: {e}", dir.display())));
        }
        _ => {}
    }
    let meta = dir.symlink_metadata()?; // does not follow a symlink, which another user could have made
    if !meta.is_dir() || meta.uid() != uid || meta.mode() & 0o022 != 0 {
        let why = format!("{} is no directory that only you may write to; remove it, or choose another", dir.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    std::fs::set_permissions(&dir, Permissions::from_mode(0o755))?; // whatever the umask was
    Ok(dir)
}

/// Creates the default files, `1k 64k 1m 10m`, in `dir`, and `dir` itself. Files that exist already are kept.
///
/// Several services may do this at the same time, since a file appears complete or not at all.
pub fn make_files(dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    for (name, size) in FILES {
        let path = dir.join(name);
        let exists = path.symlink_metadata().is_ok_and(|meta| meta.is_file() && meta.len() == size as u64);
        if !exists {
            make_file(dir, &path, size)?;
        }
    }
    Ok(())
}

fn make_file(dir: &Path, path: &Path, size: usize) -> io::Result<()> {
    // Two services may have the same pid if their containers share the volume.
    let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
    let unfinished = dir.join(format!(".{}-{nanos}", std::process::id()));
    let made = write_file(&unfinished, size).and_then(|()| std::fs::rename(&unfinished, path));
    if made.is_err() {
        let _ = std::fs::remove_file(&unfinished);
    }
    made
}

fn write_file(path: &Path, size: usize) -> io::Result<()> {
    let mut out = BufWriter::new(File::create_new(path)?);
    let mut left = size;
    for line in lines() {
        let piece = &line[..left.min(line.len())];
        out.write_all(piece)?;
        left -= piece.len();
        if left == 0 {
            break;
        }
    }
    let file = out.into_inner()?;
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(MODIFIED))
}

/// Endless lines of 63 characters from xorshift64: readable text that a compressor finds random.
fn lines() -> impl Iterator<Item = [u8; 64]> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut x = 0x2545_f491_4f6c_dd1d_u64;
    std::iter::from_fn(move || {
        let mut line = [b'\n'; 64];
        for letter in &mut line[..63] {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            *letter = LETTERS[(x >> 58) as usize];
        }
        Some(line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::TempDir;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn files_are_made_once_even_by_several_threads() {
        let dir = TempDir::new();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| make_files(dir.path()).unwrap());
            }
        });
        let mut names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["10m", "1k", "1m", "64k"], "and no unfinished file");
        let inode = || std::fs::metadata(dir.path().join("1k")).unwrap().ino();
        let before = inode();
        make_files(dir.path()).unwrap();
        assert_eq!(inode(), before);
        for (name, size) in FILES {
            let meta = std::fs::metadata(dir.path().join(name)).unwrap();
            assert_eq!((meta.len(), meta.mtime()), (size as u64, MODIFIED as i64), "{name}");
        }
        let large = std::fs::read(dir.path().join("64k")).unwrap();
        assert!(large.starts_with(&std::fs::read(dir.path().join("1k")).unwrap()));
        assert!(large.is_ascii());
    }

    #[test]
    fn a_directory_of_a_variable_is_absolute() {
        let here = std::env::current_dir().unwrap();
        for (variable, expected) in [
            (None, None),
            (Some(""), None),
            (Some("/var/tmp"), Some("/var/tmp".into())),
            (Some("of/a/test"), Some(here.join("of/a/test"))),
        ] {
            assert_eq!(absolute(variable.map(OsString::from)).unwrap(), expected);
        }
        assert_eq!(TEMPORARY, "/tmp");
    }

    #[test]
    fn a_file_system_in_memory_is_known() {
        assert!(!is_tmpfs(Path::new("/proc")) && !is_tmpfs(Path::new("/nowhere")));
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        let is_shm = mounts.lines().any(|line| line.contains(" /dev/shm tmpfs "));
        assert_eq!(is_tmpfs(Path::new("/dev/shm")), is_shm);
    }

    #[test]
    fn a_file_of_the_wrong_size_is_made_again() {
        let dir = TempDir::new();
        std::fs::write(dir.path().join("1k"), "half").unwrap();
        make_files(dir.path()).unwrap();
        assert_eq!(std::fs::metadata(dir.path().join("1k")).unwrap().len(), 1024);
    }

    #[test]
    fn a_directory_that_others_can_write_to_is_refused() {
        let dir = TempDir::new();
        let uid = nix::unistd::geteuid().as_raw();
        let path = own_dir(dir.path().join("files"), uid).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o755);
        own_dir(path.clone(), uid).expect("a second time");
        own_dir(path.clone(), uid + 1).expect_err("another's");
        std::fs::set_permissions(&path, Permissions::from_mode(0o770)).unwrap();
        own_dir(path.clone(), uid).expect_err("writable by the group");
        std::os::unix::fs::symlink(&path, dir.path().join("link")).unwrap();
        own_dir(dir.path().join("link"), uid).expect_err("a symlink");
    }
}
