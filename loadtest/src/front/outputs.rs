//! The files of a run's results.

use super::flags::RunFlags;
use super::hgrm::distributions;
use super::save::{self, Contents};
use results::{Results, csv, ndjson};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A file of results: the flag that names it, its path, and what is written into it.
#[derive(Clone, Debug)]
struct Output {
    flag: &'static str,
    path: PathBuf,
    format: fn(&Results, &mut dyn io::Write) -> io::Result<()>,
}

impl Output {
    fn json(flag: &'static str, path: PathBuf) -> Output {
        Output { flag, path, format: Results::write }
    }

    /// The files of `--json` and `--csv`.
    fn files(json: Option<&Path>, csv: Option<&Path>) -> impl Iterator<Item = Output> {
        let json = json.map(|file| Output::json("--json", file.to_owned()));
        json.into_iter().chain(csv.map(|file| Output { flag: "--csv", path: file.to_owned(), format: csv::write }))
    }

    /// The files in a folder of a run.
    fn folder(flag: &'static str, folder: &Path) -> [Output; 3] {
        let slices = Output { flag, path: folder.join("slices.ndjson"), format: ndjson::write };
        let report = Output { flag, path: folder.join("report.html"), format: report };
        [Output::json(flag, folder.join("results.json")), slices, report]
    }
}

/// Writes the page on a run.
fn report(results: &Results, out: &mut dyn io::Write) -> io::Result<()> {
    out.write_all(pages::report(results).as_bytes())
}

/// Where the results of a run go.
#[derive(Debug)]
pub struct Outputs {
    /// The folder in which each run has a folder of its own.
    results: Option<PathBuf>,
    /// The folder of `--out`.
    out: Option<PathBuf>,
    /// The folder of `--hgrm`, with a file for each cell.
    hgrm: Option<PathBuf>,
    files: Vec<Output>,
}

impl Outputs {
    /// Checks before the load that each file can be written, so that a long run is not lost to a path that cannot be,
    /// and that no two flags name the same one. It leaves no file and no folder.
    ///
    /// # Errors
    /// One line that says how to correct the flags.
    pub fn check(flags: &RunFlags) -> Result<Outputs, String> {
        let mut files = Vec::new();
        files.extend(flags.out.iter().flat_map(|folder| Output::folder("--out", folder)));
        files.extend(Output::files(flags.json.as_deref(), flags.csv.as_deref()));
        let outputs =
            Outputs { results: flags.results.clone(), out: flags.out.clone(), hgrm: flags.hgrm.clone(), files };
        outputs.checked()
    }

    /// Checks the same for a program that writes its folder in `results` itself: what it has beside that are the files of
    /// `--json` and `--csv`.
    ///
    /// # Errors
    /// One line that says how to correct the flags.
    pub fn check_files(results: &Path, json: Option<&Path>, csv: Option<&Path>) -> Result<Outputs, String> {
        let files = Output::files(json, csv).collect();
        let outputs = Outputs { results: Some(results.to_owned()), out: None, hgrm: None, files };
        Ok(Outputs { results: None, ..outputs.checked()? })
    }

    fn checked(self) -> Result<Outputs, String> {
        let mut made = MadeFolders::default();
        for (flag, folder) in self.folders() {
            let usable = made.make(folder).and_then(|()| save::check_folder(folder));
            usable.map_err(|error| cannot_write(flag, folder, &error))?;
        }
        let mut known: Vec<(&str, PathBuf)> = Vec::new();
        for Output { flag, path, .. } in &self.files {
            let regular = save::check(path).map_err(|error| cannot_write(flag, path, &error))?;
            let Some(regular) = regular else { continue };
            if let Some((other, _)) = known.iter().find(|(_, known)| *known == regular) {
                return Err(format!("{other} and {flag} name the same file, {}: give two", regular.display()));
            }
            known.push((flag, regular));
        }
        Ok(self)
    }

    fn folders(&self) -> impl Iterator<Item = (&'static str, &PathBuf)> {
        let results = self.results.iter().map(|folder| ("--results", folder));
        let out = self.out.iter().map(|folder| ("--out", folder));
        results.chain(out).chain(self.hgrm.iter().map(|folder| ("--hgrm", folder)))
    }

    /// Writes the results to all files. Returns the paths of those that were written, and a line for each that could
    /// not be.
    pub fn write(&self, results: &Results) -> (Vec<PathBuf>, Vec<String>) {
        let mut files = self.files.clone();
        if let Some(folder) = &self.results {
            files.extend(Output::folder("--results", &folder.join(&results.run_id)));
        }
        let (mut written, mut failures) = (Vec::new(), Vec::new());
        for Output { flag, path, format } in files {
            let folder = if matches!(flag, "--out" | "--results") { path.parent() } else { None };
            let made = folder.map_or(Ok(()), fs::create_dir_all).map_err(|error| cannot_write(flag, &path, &error));
            match made.and_then(|()| write_file(flag, &path, &|file| format(results, file))) {
                Ok(()) => written.push(path),
                Err(why) => failures.push(why),
            }
        }
        if let Some(folder) = &self.hgrm {
            match write_distributions(folder, results) {
                Ok(()) => written.push(folder.clone()),
                Err(why) => failures.push(why),
            }
        }
        (written, failures)
    }
}

/// Writes the files of a run into a folder, which is made if it does not exist: results.json, slices.ndjson and report.html.
///
/// # Errors
/// One line: a file could not be written.
pub fn write_folder(flag: &'static str, folder: &Path, results: &Results) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|error| cannot_write(flag, folder, &error))?;
    for Output { flag, path, format } in Output::folder(flag, folder) {
        write_file(flag, &path, &|file| format(results, file))?;
    }
    Ok(())
}

/// Writes the latencies of each cell into the folder.
fn write_distributions(folder: &Path, results: &Results) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|error| cannot_write("--hgrm", folder, &error))?;
    for distribution in distributions(results) {
        write_file("--hgrm", &folder.join(&distribution.name), &|file| distribution.write(file))?;
    }
    Ok(())
}

/// Writes the file that a flag names.
///
/// # Errors
/// One line: the file could not be written. A regular file is as it was then.
pub fn write_file(flag: &str, path: &Path, contents: Contents<'_>) -> Result<(), String> {
    save::save(path, contents).map_err(|error| cannot_write(flag, path, &error))
}

fn cannot_write(flag: &str, path: &Path, error: &io::Error) -> String {
    let what = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room, or name another place",
        _ => "name a place that you may write to",
    };
    format!("{flag} {}: {error}; {what}", path.display())
}

/// Folders that were made for a check, and are removed after it.
#[derive(Default)]
struct MadeFolders(Vec<PathBuf>);

impl MadeFolders {
    fn make(&mut self, folder: &Path) -> io::Result<()> {
        let missing: Vec<&Path> = folder.ancestors().take_while(|folder| !folder.exists()).collect();
        let missing = missing.into_iter().filter(|folder| !folder.as_os_str().is_empty());
        self.0.extend(missing.map(Path::to_owned).collect::<Vec<_>>().into_iter().rev());
        fs::create_dir_all(folder)
    }
}

impl Drop for MadeFolders {
    /// Leaves a folder into which another program has put something meanwhile.
    fn drop(&mut self) {
        self.0.iter().rev().for_each(|folder| drop(fs::remove_dir(folder)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Args, Command, FromArgMatches};
    use std::os::unix::fs::symlink;

    fn check(arguments: &[&str]) -> Result<Outputs, String> {
        let command = RunFlags::augment_args(Command::new("test").no_binary_name(true));
        let matches = command.try_get_matches_from(arguments).unwrap();
        Outputs::check(&RunFlags::from_arg_matches(&matches).unwrap())
    }

    #[test]
    fn the_check_leaves_nothing_and_finds_files_that_are_named_twice() {
        let folder = std::env::temp_dir().join(format!("loadtest-outputs-{}", std::process::id()));
        fs::create_dir_all(folder.join("empty")).unwrap();
        let at = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        symlink("same", at("link")).unwrap();
        check(&["--results", &at("a/b"), "--out", &at("a/c"), "--json", &at("new")]).unwrap();
        assert!(!folder.join("a").exists() && !folder.join("new").exists());
        for (json, csv) in [("same", "same"), ("same", "empty/../same"), ("same", "link"), ("./same", "same")] {
            let why = check(&["--json", &at(json), "--csv", &at(csv)]).unwrap_err();
            assert!(why.contains("--json and --csv name the same file"), "{why}");
        }
        let why = check(&["--json", &at("out/results.json"), "--out", &at("out/x/..")]).unwrap_err();
        assert!(why.contains("--out and --json name the same file"), "{why}");
        check(&["--json", "/dev/null", "--csv", "/dev/null"]).unwrap();
        for wrong in [["--out", &at("link/x")], ["--json", &at("missing/x")], ["--results", "/proc/nowhere"]] {
            fs::write(at("same"), "").unwrap();
            assert!(check(&wrong).unwrap_err().contains("name a place that you may write to"), "{wrong:?}");
        }
        let mut left: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["empty", "link", "same"]);
        fs::remove_dir_all(folder).unwrap();
    }
}
