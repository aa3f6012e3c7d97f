//! Writes a file so that it is there whole or not at all.
//!
//! The contents go to a temporary file in the same folder, which then takes the name of the file: rename(2) replaces a
//! file in one step. A crash or a full disk leaves the old file as it was. After a crash, the temporary file
//! `.loadtest-*.tmp` may be left over.

use nix::unistd::{AccessFlags, Gid, Uid, eaccess, fchown};
use std::fs::{self, File, Metadata, OpenOptions, Permissions, metadata};
use std::io::{self, BufWriter, ErrorKind, Write, stderr, stdout};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// What writes the contents; it may be called a second time for another attempt.
pub type Contents<'c> = &'c dyn Fn(&mut dyn Write) -> io::Result<()>;

/// Where the contents of a path go.
#[derive(Debug)]
enum Place {
    /// To a stream of this process, for a path such as /dev/stdout. To open the path instead would give a second
    /// offset: the contents and what is printed would overwrite each other.
    Stream(OwnedFd),
    /// Into the file itself: a device, a pipe, or a path of /proc, which no other file can replace.
    Special(PathBuf),
    /// To a regular file, which is replaced, or which does not exist yet. Symbolic links are resolved.
    Regular(PathBuf, Option<Metadata>),
}

impl Place {
    fn of(path: &Path) -> io::Result<Place> {
        let found = match metadata(path) {
            Ok(found) => found,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Place::Regular(new_file(path)?, None)),
            Err(error) => return Err(error),
        };
        if found.is_dir() {
            return Err(ErrorKind::IsADirectory.into());
        }
        let is = |stream: &OwnedFd| {
            File::from(stream.try_clone()?).metadata().map(|its| (its.dev(), its.ino()) == (found.dev(), found.ino()))
        };
        for stream in [stdout().as_fd(), stderr().as_fd()] {
            let stream = stream.try_clone_to_owned()?;
            if is(&stream)? {
                return Ok(Place::Stream(stream));
            }
        }
        let folder = fs::canonicalize(folder_of(path))?;
        if !found.is_file() || folder.starts_with("/proc") {
            return Ok(Place::Special(path.to_owned()));
        }
        Ok(Place::Regular(fs::canonicalize(path)?, Some(found)))
    }
}

/// Writes the file.
///
/// A file that is replaced keeps its mode and its owner. It is written in place where that is not possible, and where
/// its folder or a mount point does not permit to replace it.
///
/// # Errors
/// The kernel's error. A regular file is as it was then, unless it had to be written in place.
pub fn save(path: &Path, contents: Contents<'_>) -> io::Result<()> {
    match Place::of(path)? {
        Place::Stream(stream) => match write_all(File::from(stream), contents) {
            // It is no failure that the reader of a pipe has gone away (`| head`).
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            written => written.map(drop),
        },
        Place::Special(path) => write_in_place(&path, contents),
        Place::Regular(path, None) => replace(&path, None, contents),
        Place::Regular(path, Some(old)) => {
            eaccess(&path, AccessFlags::W_OK)?; // rename(2) would replace a write-protected file, too
            match replace(&path, Some(&old), contents) {
                Err(error) if cannot_be_replaced(&error) => write_in_place(&path, contents),
                replaced => replaced,
            }
        }
    }
}

/// Checks that the file could be written now, and leaves everything as it was. Returns the path of the regular file
/// that it is or would be, without symbolic links.
///
/// # Errors
/// The kernel's error, as from [`save`].
pub fn check(path: &Path) -> io::Result<Option<PathBuf>> {
    match Place::of(path)? {
        Place::Stream(_) => Ok(None),
        Place::Special(path) => Ok(eaccess(&path, AccessFlags::W_OK).map(|()| None)?),
        Place::Regular(path, None) => Temporary::beside(&path).map(|_| Some(path)),
        Place::Regular(path, Some(_)) => Ok(eaccess(&path, AccessFlags::W_OK).map(|()| Some(path))?),
    }
}

/// Checks that a file could be made in the folder now, and leaves everything as it was.
///
/// # Errors
/// The kernel's error: no file can be made there.
pub fn check_folder(folder: &Path) -> io::Result<()> {
    Temporary::beside(&folder.join("file")).map(drop)
}

/// The error says that the old file has to stay, but not that it cannot be written: its folder is not writable
/// (EACCES, EPERM), its owner cannot be kept (EPERM), or it is a mount point (EBUSY, as a file in a container).
fn cannot_be_replaced(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ResourceBusy)
}

/// The path of a file that does not exist yet, in a folder that does. A symbolic link that leads nowhere is followed.
fn new_file(path: &Path) -> io::Result<PathBuf> {
    if let Ok(link) = fs::read_link(path) {
        let to = folder_of(path).join(link);
        return if to == path { Err(ErrorKind::NotFound.into()) } else { new_file(&to) };
    }
    // A path that ends with a slash names a folder, although `file_name` knows nothing of that.
    let name = path.file_name().filter(|_| !path.as_os_str().as_encoded_bytes().ends_with(b"/"));
    Ok(fs::canonicalize(folder_of(path))?.join(name.ok_or(ErrorKind::IsADirectory)?))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn write_in_place(path: &Path, contents: Contents<'_>) -> io::Result<()> {
    write_all(OpenOptions::new().write(true).truncate(true).open(path)?, contents).map(drop)
}

fn write_all(file: File, contents: Contents<'_>) -> io::Result<File> {
    let mut buffered = BufWriter::new(file);
    contents(&mut buffered)?;
    buffered.into_inner().map_err(io::IntoInnerError::into_error)
}

fn replace(path: &Path, old: Option<&Metadata>, contents: Contents<'_>) -> io::Result<()> {
    let mut temporary = Temporary::beside(path)?;
    // This comes before the contents, which a user that may not read the old file shall not read either.
    if let Some(old) = old {
        let new = temporary.file.metadata()?;
        if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
            fchown(&temporary.file, Some(Uid::from_raw(old.uid())), Some(Gid::from_raw(old.gid())))?;
        }
        temporary.file.set_permissions(Permissions::from_mode(old.mode() & 0o7777))?;
    }
    let file = write_all(temporary.file.try_clone()?, contents)?;
    file.sync_all()?; // or else a power failure could leave the new name with no contents
    fs::rename(&temporary.path, path)?;
    temporary.is_renamed = true;
    Ok(())
}

/// A new file with a name of its own, which is removed unless it has taken another name.
struct Temporary {
    path: PathBuf,
    file: File,
    is_renamed: bool,
}

impl Temporary {
    /// In the folder of `path`.
    fn beside(path: &Path) -> io::Result<Temporary> {
        let name = format!(".loadtest-{}-{:08x}.tmp", std::process::id(), fastrand::u32(..));
        let path = path.with_file_name(name);
        let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        Ok(Temporary { path, file, is_renamed: false })
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.is_renamed {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests;
