//! The kernel's files in /proc and /sys.

use std::fs;
use std::path::PathBuf;

/// A fact by its name; `None` where it cannot be known.
pub type Fact = (&'static str, Option<String>);

/// The files beneath a folder: `/`, or another one in tests.
pub struct Files(PathBuf);

impl Files {
    pub fn at(folder: impl Into<PathBuf>) -> Files {
        Files(folder.into())
    }

    /// The contents of a file, without spaces around them; `None` if it cannot be read, or is empty.
    pub fn text(&self, path: &str) -> Option<String> {
        let text = fs::read_to_string(self.0.join(path)).ok()?.trim().to_owned();
        (!text.is_empty()).then_some(text)
    }

    /// The bytes of a file.
    pub fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        fs::read(self.0.join(path)).ok()
    }

    /// The names in a folder, ascending; none if there is no such folder.
    pub fn names(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.0.join(path)).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }
}

/// A folder with these files, which exists as long as the value.
#[cfg(test)]
pub struct MadeFiles(PathBuf);

#[cfg(test)]
impl MadeFiles {
    pub fn new(name: &str, files: &[(&str, &str)]) -> MadeFiles {
        let folder = std::env::temp_dir().join(format!("loadtest-{name}-{}", std::process::id()));
        for (path, text) in files {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        MadeFiles(folder)
    }

    pub fn files(&self) -> Files {
        Files::at(&self.0)
    }
}

#[cfg(test)]
impl Drop for MadeFiles {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
