//! The files that the transcripts request, in addition to the default ones of `app`.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::sys::stat::Mode;

/// The entity tag of `ten.txt`.
pub const TEN_ETAG: &str = "\"a-ae1b981bc490a00\"";
/// The Last-Modified of the fixture's files, between the second before it and the second after it.
pub const MODIFIED: [&str; 3] =
    ["Sun, 06 Nov 1994 08:49:36 GMT", "Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:38 GMT"];

/// The last modification of the file `future`, as a date and in seconds after the epoch.
pub const FUTURE: &str = "Fri, 31 Dec 9999 23:59:59 GMT";
const FUTURE_SECONDS: u64 = 253_402_300_799;

/// Makes the directory to serve, as `files` within `dir`; deletes an earlier one.
pub fn make(dir: &Path) -> io::Result<PathBuf> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => fs::create_dir_all(dir)?,
    }
    let root = dir.join("files");
    app::make_files(&root)?;
    fs::create_dir(root.join("sub"))?;
    for (name, text) in [
        ("ten.txt", "0123456789"),
        ("empty", ""),
        ("page.html", "<p>Hello</p>\n"),
        ("a b.txt", "a space\n"),
        ("é", "not ASCII\n"),
        ("sub/inner", "inner\n"),
        ("../outside", "this file must not be served\n"),
    ] {
        fs::write(root.join(name), text)?;
        let date = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        File::options().write(true).open(root.join(name))?.set_modified(date)?;
    }
    fs::write(root.join("future"), "0123456789")?;
    let future = SystemTime::UNIX_EPOCH + Duration::from_secs(FUTURE_SECONDS);
    File::options().write(true).open(root.join("future"))?.set_modified(future)?;
    symlink("ten.txt", root.join("link"))?;
    symlink("../outside", root.join("way-out"))?;
    symlink("sub", root.join("sublink"))?;
    nix::unistd::mkfifo(&root.join("fifo"), Mode::S_IRWXU)?;
    Ok(root)
}
