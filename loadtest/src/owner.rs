//! Files that belong to the user, though a container starts as root.

use nix::unistd::{Gid, Uid, chown, geteuid, setgid, setgroups, setuid};
use std::fs::metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Root becomes the owner of `folder`; anybody else stays who they are.
///
/// A folder that was not there when it was mounted has been made by Docker and is root's: it is given to the owner of
/// `like` first. Takes CAP_SETUID, CAP_SETGID and, for the second case, CAP_CHOWN. To be called before any thread is
/// started.
///
/// # Errors
/// One of the two is not there, or a capability is missing.
pub fn become_owner(folder: &Path, like: &Path) -> io::Result<()> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let ids = |path: &Path| metadata(path).map(|meta| (Uid::from_raw(meta.uid()), Gid::from_raw(meta.gid())));
    let (mut uid, mut gid) = ids(folder)?;
    if uid.is_root() {
        (uid, gid) = ids(like)?;
        if uid.is_root() {
            return Ok(());
        }
        chown(folder, Some(uid), Some(gid))?;
    }
    setgroups(&[])?;
    setgid(gid)?;
    Ok(setuid(uid)?)
}
