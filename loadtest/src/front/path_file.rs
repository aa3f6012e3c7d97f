//! A file with a path on each line: [`read`].

use results::paths::{PathList, PathOrder};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// The largest file, in bytes: more than a million paths.
const LARGEST: u64 = 64 << 20;

/// Reads the paths of a file. Empty lines are passed over.
///
/// # Errors
/// One line that names the file, and the line in it that is no path.
pub fn read(file: &Path, order: PathOrder) -> Result<PathList, String> {
    let wrong = |why: &str| format!("--workload-file {}: {why}", file.display());
    let opened = File::open(file).map_err(|error| wrong(&format!("{error}; name a file that you may read")))?;
    let (mut paths, mut bytes) = (Vec::new(), 0);
    for (number, line) in BufReader::new(opened.take(LARGEST + 1)).lines().enumerate() {
        let line = line.map_err(|error| wrong(&format!("{error}; name a file of text that you may read")))?;
        bytes += line.len() as u64 + 1;
        let path = line.trim();
        if path.is_empty() {
            continue;
        }
        if !path.starts_with('/') || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            let shown: String = path.chars().take(60).collect();
            let why = format!("line {}: '{}' is no path; write '/files/64k'", number + 1, shown.escape_default());
            return Err(wrong(&why));
        }
        paths.push(path.to_owned());
    }
    match () {
        () if bytes > LARGEST => Err(wrong(&format!("it is larger than {} MiB; name a smaller one", LARGEST >> 20))),
        () if paths.is_empty() => Err(wrong("there is no path in it; write one on each line, as in '/files/64k'")),
        () => Ok(PathList::new(paths, order)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read from a file with this text.
    fn read_text(name: &str, text: &[u8]) -> Result<PathList, String> {
        let file = std::env::temp_dir().join(format!("loadtest-paths-{name}-{}", std::process::id()));
        std::fs::write(&file, text).unwrap();
        let read = read(&file, PathOrder::InOrder);
        std::fs::remove_file(&file).unwrap();
        read
    }

    #[test]
    fn each_line_is_a_path() {
        let list = read_text("good", b"/b\r\n\n /a \n/b?c=d").unwrap();
        assert_eq!((&*list.paths, list.number), (&["/b", "/a", "/b?c=d"].map(str::to_owned)[..], 3));
        assert_eq!(list, read_text("same", b"/b\n/a\n/b?c=d\n").unwrap());
        assert_ne!(list, read_text("other", b"/b\n/a\n/b?c=e\n").unwrap());
    }

    #[test]
    fn what_is_no_list_is_refused_with_what_to_write() {
        for (name, text, words) in [
            ("empty", &b"\n \n"[..], "there is no path in it"),
            ("name", b"/a\nfiles", "line 2: 'files' is no path; write '/files/64k'"),
            ("space", b"/a b", "line 1: '/a b' is no path"),
            ("binary", b"\xff\n", "name a file of text"),
        ] {
            let why = read_text(name, text).unwrap_err();
            assert!(why.starts_with("--workload-file ") && why.contains(words) && why.lines().count() == 1, "{why}");
        }
        assert!(read(Path::new("/nowhere"), PathOrder::InOrder).unwrap_err().contains("name a file that you may read"));
        assert!(read(Path::new("/dev/zero"), PathOrder::InOrder).is_err());
    }
}
