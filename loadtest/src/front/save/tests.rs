//! Tests of what is left in a folder when a file was written, or could not be.

use super::*;
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, symlink};

/// An empty folder that only this test uses, and the names in it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("loadtest-save-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        Folder(folder)
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn new(out: &mut dyn Write) -> io::Result<()> {
    out.write_all(b"new")
}

#[test]
fn a_file_that_fails_leaves_the_old_one_and_nothing_else() {
    let folder = Folder::new("fails");
    let path = folder.0.join("a.json");
    let full = |out: &mut dyn Write| out.write_all(b"half").and(Err(ErrorKind::StorageFull.into()));
    assert_eq!(save(&path, &full).unwrap_err().kind(), ErrorKind::StorageFull);
    assert!(folder.names().is_empty());
    fs::write(&path, "old").unwrap();
    assert_eq!(save(&path, &full).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!((fs::read_to_string(&path).unwrap().as_str(), folder.names()), ("old", vec!["a.json".into()]));
    save(&path, &new).unwrap();
    assert_eq!((fs::read_to_string(&path).unwrap().as_str(), folder.names()), ("new", vec!["a.json".into()]));
}

#[test]
fn a_replaced_file_keeps_its_mode_and_a_new_one_has_that_of_any_new_file() {
    let folder = Folder::new("mode");
    let (kept, made) = (folder.0.join("kept"), folder.0.join("made"));
    fs::write(&kept, "old, and longer").unwrap();
    fs::set_permissions(&kept, Permissions::from_mode(0o640)).unwrap();
    save(&kept, &new).unwrap();
    let mode = |path: &Path| metadata(path).unwrap().mode() & 0o7777;
    assert_eq!((mode(&kept), fs::read_to_string(&kept).unwrap().as_str()), (0o640, "new"));
    save(&made, &new).unwrap();
    fs::write(folder.0.join("usual"), "").unwrap();
    assert_eq!(mode(&made), mode(&folder.0.join("usual")));
}

#[test]
fn a_private_file_is_private_also_while_it_is_written() {
    let folder = Folder::new("private");
    let path = folder.0.join("private");
    fs::write(&path, "old").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    let modes = |out: &mut dyn Write| {
        let mode = |name| metadata(folder.0.join(name)).unwrap().mode() & 0o7777;
        folder.names().into_iter().try_for_each(|name| writeln!(out, "{:o}", mode(name)))
    };
    save(&path, &modes).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "600\n600\n", "the temporary file and the old one");
}

#[test]
fn the_owner_of_a_replaced_file_stays() {
    if !nix::unistd::geteuid().is_root() {
        return println!("skipped: only root can make a file of another owner");
    }
    let folder = Folder::new("owner");
    let path = folder.0.join("a");
    fs::write(&path, "old").unwrap();
    std::os::unix::fs::chown(&path, Some(12345), Some(54321)).unwrap();
    save(&path, &new).unwrap();
    let found = metadata(&path).unwrap();
    assert_eq!((found.uid(), found.gid(), fs::read_to_string(&path).unwrap().as_str()), (12345, 54321, "new"));
}

#[test]
fn a_link_stays_and_what_it_leads_to_is_written() {
    let folder = Folder::new("link");
    let (link, nowhere) = (folder.0.join("link"), folder.0.join("nowhere"));
    symlink("file", &link).unwrap();
    for _ in 0..2 {
        save(&link, &new).unwrap(); // the file does not exist at first
        assert!(link.is_symlink() && fs::read_to_string(folder.0.join("file")).unwrap() == "new");
    }
    assert_eq!(check(&link).unwrap(), check(&folder.0.join("file")).unwrap());
    symlink("missing/file", &nowhere).unwrap();
    assert_eq!(check(&nowhere).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(folder.names(), ["file", "link", "nowhere"]);
}

#[test]
fn a_pipe_and_a_device_are_written_in_place() {
    let folder = Folder::new("pipe");
    let pipe = folder.0.join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_eq!(check(&pipe).unwrap(), None, "the check does not wait for a reader");
    let read = std::thread::spawn({
        let pipe = pipe.clone();
        move || {
            let mut text = String::new();
            File::open(pipe).unwrap().read_to_string(&mut text).map(|_| text)
        }
    });
    save(&pipe, &new).unwrap();
    assert_eq!(read.join().unwrap().unwrap(), "new");
    assert!(metadata(&pipe).unwrap().file_type().is_fifo());
    assert_eq!(save(Path::new("/dev/full"), &new).unwrap_err().kind(), ErrorKind::StorageFull);
    assert!(metadata("/dev/full").unwrap().file_type().is_char_device());
}

#[test]
fn the_check_finds_what_cannot_be_written_and_leaves_nothing() {
    let folder = Folder::new("check");
    let path = |name: &str| folder.0.join(name);
    assert_eq!(check(&path("new")).unwrap(), Some(fs::canonicalize(&folder.0).unwrap().join("new")));
    assert_eq!(check(&folder.0).unwrap_err().kind(), ErrorKind::IsADirectory);
    assert_eq!(check(&path("new/")).unwrap_err().kind(), ErrorKind::IsADirectory);
    assert_eq!(check(&path("missing/new")).unwrap_err().kind(), ErrorKind::NotFound);
    assert!(check(Path::new("/proc/new")).is_err() && check_folder(Path::new("/proc")).is_err());
    check_folder(&folder.0).unwrap();
    assert!(folder.names().is_empty());
}
