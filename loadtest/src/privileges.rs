//! Gives up root privileges, so that a container which starts as root writes result files that belong to the user.

use nix::sys::prctl::set_dumpable;
use nix::unistd::{Gid, Uid, chown, geteuid, setgid, setgroups, setuid};
use std::fs::metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// If the process runs as root, it takes the identity of the owner of `folder`; otherwise nothing happens.
///
/// If the folder did not exist when it was mounted, Docker has made it and root owns it. The folder is then first given
/// to the owner of `like`. This needs CAP_SETUID and CAP_SETGID, and CAP_CHOWN for the second case. It must be called
/// before any thread is started.
///
/// # Errors
/// One of the two paths does not exist, or a capability is missing.
pub fn drop_privileges_to_owner(folder: &Path, like: &Path) -> io::Result<()> {
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
    setuid(uid)?;
    // Otherwise /proc/<pid>/fd would stay root's, by which a guest opens the file for its output: proc_pid_fd(5), PR_SET_DUMPABLE(2const).
    Ok(set_dumpable(true)?)
}
