use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime};

use http1::{Body, Reply};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, FcntlArg, OFlag, OpenHow, ResolveFlag, fcntl, openat, openat2};
use nix::sys::stat::Mode;

use crate::conditions::{Conditions, Validators, Verdict, value};
use crate::date;
use crate::handlers::Fields;
use crate::range::Span;

/// A name may denote anything: `O_NONBLOCK` avoids a wait on a FIFO, `O_NOCTTY` a controlling terminal.
const READ: OFlag = OFlag::O_RDONLY.union(OFlag::O_CLOEXEC).union(OFlag::O_NONBLOCK).union(OFlag::O_NOCTTY);
/// A directory that is only used to open files beneath it.
const DIRECTORY: OFlag = OFlag::O_PATH.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);

/// The files beneath a directory.
pub struct Files {
    root: OwnedFd,
    /// openat2(2) has failed: Linux is older than 5.6, or a seccomp filter does not know the call.
    lacks_openat2: AtomicBool,
}

impl Files {
    /// Opens the directory; the error's text names it.
    pub fn beneath(root: &Path) -> io::Result<Files> {
        let fd = openat(AT_FDCWD, root, DIRECTORY, Mode::empty()).map_err(|errno| {
            let e = io::Error::from(errno);
            io::Error::new(e.kind(), format!("cannot open the directory of files {}: {e}", root.display()))
        })?;
        Ok(Files { root: fd, lacks_openat2: AtomicBool::new(false) })
    }

    /// Answers a GET or HEAD for the file of that name, which is percent-decoded.
    pub fn answer(&self, name: &[u8], method: &str, fields: Fields<'_, '_>, now: Instant) -> Reply {
        match self.open(name) {
            Ok((file, meta)) => reply(file, &meta, media_type(name), method, fields, date::second(now)),
            Err(errno) => Reply::status(status(errno)),
        }
    }

    /// Opens a regular file; `ENOENT` if the name denotes anything else.
    fn open(&self, name: &[u8]) -> Result<(File, std::fs::Metadata), Errno> {
        // RESOLVE_BENEATH would let `a/../b` pass, but no client sends dot segments (RFC 3986, 5.2.4).
        if name.split(|&b| b == b'/').any(|segment| matches!(segment, b"" | b"." | b"..")) || name.contains(&0) {
            return Err(Errno::ENOENT);
        }
        let file = File::from(self.open_beneath(OsStr::from_bytes(name))?);
        let meta = file.metadata().map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or(libc::EIO)))?;
        if !meta.is_file() {
            return Err(Errno::ENOENT);
        }
        // With O_NONBLOCK, io_uring would fail a read of a file outside the page cache with EAGAIN: io_rw_init_file()
        // in io_uring/rw.c.
        fcntl(&file, FcntlArg::F_SETFL(OFlag::empty()))?;
        Ok((file, meta))
    }

    fn open_beneath(&self, name: &OsStr) -> Result<OwnedFd, Errno> {
        if self.lacks_openat2.load(Ordering::Relaxed) {
            return self.walk(name);
        }
        let how = OpenHow::new().flags(READ).resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
        match openat2(&self.root, name, how) {
            Err(Errno::ENOSYS | Errno::EPERM) => {
                let opened = self.walk(name);
                // EPERM may also be due to the file. The call is at fault only if walking succeeds.
                self.lacks_openat2.fetch_or(opened.is_ok(), Ordering::Relaxed);
                opened
            }
            opened => opened,
        }
    }

    /// The same without openat2(2): opens one segment after the other, none of which may be a symlink.
    fn walk(&self, name: &OsStr) -> Result<OwnedFd, Errno> {
        let mut directory = None;
        let mut names = name.as_bytes().split(|&b| b == b'/').map(OsStr::from_bytes).peekable();
        while let Some(name) = names.next() {
            let flags = if names.peek().is_some() { DIRECTORY } else { READ };
            let at = directory.as_ref().unwrap_or(&self.root);
            directory = Some(openat(at, name, flags | OFlag::O_NOFOLLOW, Mode::empty())?);
        }
        directory.ok_or(Errno::ENOENT)
    }
}

/// The status of the reply if a file cannot be opened: openat2(2), ERRORS.
fn status(errno: Errno) -> u16 {
    match errno {
        Errno::EACCES | Errno::EPERM => 403,
        Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM => 503,
        Errno::EIO => 500,
        _ => 404, // absent, a symlink, outside the root, a socket, or a name that is too long
    }
}

fn reply(
    file: File,
    meta: &std::fs::Metadata,
    content_type: &'static str,
    method: &str,
    request_fields: Fields<'_, '_>,
    now: SystemTime,
) -> Reply {
    let field = |name| value(&request_fields(name));
    let size = meta.size();
    let modified_ns = i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec());
    let validators = Validators::of(size, modified_ns, now);
    let conditions = Conditions {
        if_match: field("If-Match"),
        if_none_match: field("If-None-Match"),
        if_modified_since: field("If-Modified-Since"),
        if_unmodified_since: field("If-Unmodified-Since"),
        if_range: field("If-Range"),
    };
    match conditions.evaluate(&validators) {
        Verdict::Proceed => {}
        Verdict::NotModified => {
            let fields = vec![("ETag", validators.etag.clone()), ("Last-Modified", validators.last_modified())];
            return Reply { status: 304, mark: 0, content_type: "", fields, body: Body::None };
        }
        Verdict::Failed => return Reply::status(412),
    }
    let span = match field("Range") {
        // Range is defined for GET only: RFC 9110, 14.2.
        Some(range) if method == "GET" && conditions.range_counts(&validators) => Span::parse(&range, size),
        _ => Span::Whole,
    };
    let (status, offset, len) = match span {
        Span::Whole => (200, 0, size),
        Span::Part { offset, len } => (206, offset, len),
        Span::Unsatisfiable => return Reply::status(416).with("Content-Range", format!("bytes */{size}")),
    };
    let last_modified = validators.last_modified();
    let mut fields = vec![("Accept-Ranges", "bytes".to_owned()), ("ETag", validators.etag)];
    fields.push(("Last-Modified", last_modified));
    if status == 206 {
        fields.push(("Content-Range", format!("bytes {offset}-{}/{size}", offset + len - 1)));
    }
    let body = Body::File { file: Arc::new(file), offset, len };
    Reply { status, mark: 0, content_type, fields, body }
}

/// The Content-Type for a file name's extension.
fn media_type(name: &[u8]) -> &'static str {
    let extension = Path::new(OsStr::from_bytes(name)).extension().map(OsStr::as_bytes).unwrap_or_default();
    match extension {
        b"html" | b"htm" => "text/html; charset=utf-8",
        b"txt" | b"md" => "text/plain; charset=utf-8",
        b"css" => "text/css; charset=utf-8",
        b"js" => "text/javascript; charset=utf-8",
        b"json" => "application/json",
        b"svg" => "image/svg+xml",
        b"png" => "image/png",
        b"jpg" | b"jpeg" => "image/jpeg",
        b"gif" => "image/gif",
        b"webp" => "image/webp",
        b"ico" => "image/vnd.microsoft.icon",
        b"pdf" => "application/pdf",
        b"wasm" => "application/wasm",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::TempDir;
    use std::os::unix::fs::symlink;

    /// Opens the file in both ways, which must agree. Returns its length.
    fn opened(files: &Files, name: &str) -> Option<u64> {
        let lengths = [false, true].map(|lacks| {
            files.lacks_openat2.store(lacks, Ordering::Relaxed);
            files.open(name.as_bytes()).ok().map(|(_, meta)| meta.len())
        });
        assert_eq!(lengths[0], lengths[1], "{name}");
        lengths[0]
    }

    #[test]
    fn only_regular_files_beneath_the_root_are_opened() {
        let dir = TempDir::new();
        let root = dir.path().join("root");
        std::fs::create_dir_all(root.join("sub")).unwrap();
        std::fs::write(dir.path().join("outside"), "no").unwrap();
        std::fs::write(root.join("plain"), "plain").unwrap();
        std::fs::write(root.join("sub/inner"), "inner!").unwrap();
        symlink("plain", root.join("link")).unwrap();
        symlink("../outside", root.join("out")).unwrap();
        symlink("sub", root.join("sublink")).unwrap();
        nix::unistd::mkfifo(&root.join("fifo"), Mode::S_IRUSR).unwrap();

        let files = Files::beneath(&root).unwrap();
        assert_eq!(opened(&files, "plain"), Some(5));
        assert_eq!(opened(&files, "sub/inner"), Some(6));
        for name in [
            "",
            "/",
            ".",
            "..",
            "../outside",
            "sub/../plain",
            "./plain",
            "sub//inner",
            "/plain",
            "plain/",
            "sub",
            "link",
            "out",
            "sublink/inner",
            "fifo",
            "absent",
            "plain\0",
        ] {
            assert_eq!(opened(&files, name), None, "{name:?}");
        }
    }

    #[test]
    fn an_opened_file_blocks_again() {
        let dir = TempDir::new();
        std::fs::write(dir.path().join("plain"), "plain").unwrap();
        let (file, _) = Files::beneath(dir.path()).unwrap().open(b"plain").unwrap();
        let flags = OFlag::from_bits_retain(fcntl(&file, FcntlArg::F_GETFL).unwrap());
        assert!(!flags.contains(OFlag::O_NONBLOCK));
    }

    #[test]
    fn the_error_names_a_missing_root() {
        let error = Files::beneath(Path::new("/no/such/place")).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().contains("/no/such/place"), "{error}");
    }
}
