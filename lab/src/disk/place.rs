//! Where files are: the file system of a directory, and the block device beneath it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::stat::{major, minor};

/// Where the files of a directory are.
#[derive(Debug, PartialEq, Eq)]
pub struct Place {
    /// The type of the file system, as `ext4`.
    pub file_system: String,
    /// The name of the block device, as `vda`.
    pub device: String,
}

impl Place {
    /// The place of a directory.
    ///
    /// # Errors
    /// A line that says why its disk cannot be measured, and what to do.
    pub fn of(dir: &Path) -> Result<Place, String> {
        let wrong = |why: &str| format!("--dir {}: {why}; name a directory on a disk", dir.display());
        let failed = |error: std::io::Error| wrong(&error.to_string());
        let number = fs::metadata(dir).map_err(failed)?.dev();
        let mounts = fs::read_to_string("/proc/self/mountinfo").map_err(failed)?;
        let mount = Mount::of(&mounts, &dir.canonicalize().map_err(failed)?).unwrap_or_default();
        let by_number = fs::canonicalize(format!("/sys/dev/block/{}:{}", major(number), minor(number)));
        // btrfs has a number of its own for each of its trees, which is no device's.
        let by_source =
            || fs::canonicalize(Path::new("/sys/class/block").join(mount.source.strip_prefix("/dev/").ok()?)).ok();
        let device = by_number.ok().or_else(by_source);
        match device.as_deref().and_then(Path::file_name) {
            Some(device) => Ok(Place { file_system: mount.file_system, device: device.to_string_lossy().into() }),
            None => Err(wrong(&format!("it is on {}, and the kernel names no disk beneath that", mount.file_system))),
        }
    }
}

/// A mounted file system.
#[derive(Debug, Default, PartialEq, Eq)]
struct Mount {
    file_system: String,
    source: PathBuf,
}

impl Mount {
    /// The one that a path is on, from the lines of `/proc/self/mountinfo`: proc_pid_mountinfo(5). Of several at the same
    /// place, the last one is seen.
    fn of(mounts: &str, path: &Path) -> Option<Mount> {
        let parse = |line: &str| {
            let (before, after) = line.split_once(" - ")?;
            let point = PathBuf::from(before.split_whitespace().nth(4)?.replace("\\040", " "));
            let mut after = after.split_whitespace();
            let mount = Mount { file_system: after.next()?.into(), source: after.next()?.into() };
            path.starts_with(&point).then_some((point.components().count(), mount))
        };
        mounts.lines().filter_map(parse).max_by_key(|(depth, _)| *depth).map(|(_, mount)| mount)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_on_the_nearest_mount() {
        let mounts = "22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n\
                      30 22 0:25 / /tmp rw - tmpfs tmpfs rw\n\
                      31 22 0:26 /a /my\\040disk rw master:1 - btrfs /dev/sda2 rw\n\
                      32 22 0:27 / /tmp rw - xfs /dev/sdb rw\n";
        for (path, file_system, source) in [
            ("/home/a", "ext4", "/dev/vda1"),
            ("/tmp", "xfs", "/dev/sdb"),
            ("/tmpfile", "ext4", "/dev/vda1"),
            ("/my disk/b", "btrfs", "/dev/sda2"),
        ] {
            let mount = Mount { file_system: file_system.into(), source: source.into() };
            assert_eq!(Mount::of(mounts, Path::new(path)), Some(mount), "{path}");
        }
        assert_eq!(Mount::of("", Path::new("/")), None);
    }

    #[test]
    fn a_directory_that_is_on_no_disk_is_refused_with_what_to_do() {
        let why = Place::of(Path::new("/proc")).unwrap_err();
        assert!(why.starts_with("--dir /proc: it is on proc") && why.ends_with("name a directory on a disk"), "{why}");
        let why = Place::of(Path::new("/no/such/place")).unwrap_err();
        assert!(why.starts_with("--dir /no/such/place: No such file"), "{why}");
    }
}
