//! The files of a run's results.

use super::flags::RunFlags;
use nix::unistd::{AccessFlags, eaccess};
use results::{Results, csv};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Where the results of a run go.
#[derive(Debug)]
pub struct Outputs {
    /// The folder in which each run has a folder of its own.
    results: Option<PathBuf>,
    /// The files, each with the flag that names it.
    json: Vec<(&'static str, PathBuf)>,
    csv: Option<PathBuf>,
}

impl Outputs {
    /// Opens the files before the load, so that a long run is not lost to a path that cannot be written.
    ///
    /// # Errors
    /// One line that says how to correct the flags.
    pub fn open(flags: &RunFlags) -> Result<Outputs, String> {
        if let Some(folder) = &flags.results {
            make_writable(folder).map_err(|error| cannot_write("--results", folder, &error))?;
        }
        let mut json = Vec::new();
        if let Some(folder) = &flags.out {
            fs::create_dir_all(folder).map_err(|error| cannot_write("--out", folder, &error))?;
            json.push(("--out", folder.join("results.json")));
        }
        json.extend(flags.json.iter().map(|file| ("--json", file.clone())));
        let csv = flags.csv.iter().map(|file| ("--csv", file.clone()));
        for (flag, file) in json.iter().cloned().chain(csv) {
            OpenOptions::new()
                .append(true)
                .create(true)
                .open(&file)
                .map_err(|error| cannot_write(flag, &file, &error))?;
        }
        Ok(Outputs { results: flags.results.clone(), json, csv: flags.csv.clone() })
    }

    /// Writes the results to all files, and returns the paths of these.
    ///
    /// # Errors
    /// One line: which file could not be written.
    pub fn write(&self, results: &Results) -> Result<Vec<PathBuf>, String> {
        let mut files = self.json.clone();
        if let Some(folder) = &self.results {
            let folder = folder.join(&results.run_id);
            fs::create_dir_all(&folder).map_err(|error| cannot_write("--results", &folder, &error))?;
            files.push(("--results", folder.join("results.json")));
        }
        for (flag, path) in &files {
            write_file(flag, path, |file| results.write(file))?;
        }
        if let Some(path) = &self.csv {
            write_file("--csv", path, |file| csv::write(results, file))?;
        }
        Ok(files.into_iter().map(|(_, path)| path).chain(self.csv.clone()).collect())
    }
}

/// Writes the file that a flag names with `write`.
///
/// # Errors
/// One line: the file could not be written.
pub fn write_file(flag: &str, path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), String> {
    let written = File::create(path).map(BufWriter::new).and_then(|mut file| {
        write(&mut file)?;
        file.flush()
    });
    written.map_err(|error| cannot_write(flag, path, &error))
}

fn cannot_write(flag: &str, path: &Path, error: &io::Error) -> String {
    format!("{flag} {}: {error}; name a place that you may write to", path.display())
}

/// Makes the folder and checks that it is writable, so that a long run is not lost.
///
/// It asks the kernel instead of writing a file, because several load tests may share the folder. eaccess(3)
///
/// # Errors
/// The kernel's error: the folder cannot be made, or is not writable.
fn make_writable(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    Ok(eaccess(folder, AccessFlags::W_OK | AccessFlags::X_OK)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_made_and_the_check_leaves_no_file_in_it() {
        let folder = std::env::temp_dir().join(format!("loadtest-outputs-{}", std::process::id()));
        make_writable(&folder.join("a/b")).unwrap();
        assert_eq!(fs::read_dir(folder.join("a/b")).unwrap().count(), 0);
        fs::write(folder.join("file"), "").unwrap();
        assert!(make_writable(&folder.join("file")).is_err());
        assert!(make_writable(Path::new("/proc/nowhere")).is_err());
        fs::remove_dir_all(folder).unwrap();
    }
}
