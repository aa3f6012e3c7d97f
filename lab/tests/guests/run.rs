//! A short run of the lab with guests, of which nothing may be left afterwards.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::common::{lab, text};
use crate::processes::folder;

/// A short load. Its requests have time on a busy machine.
const LOAD: [&str; 8] = ["--trials", "1", "-c", "2", "--timeout", "5m", "--connect-timeout", "5m"];

/// What a run has printed and left.
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    /// Null if there is none.
    pub results: Value,
    /// The files in the folder for temporary files.
    pub left: Vec<PathBuf>,
}

impl Ran {
    /// The cell of a target under a workload.
    pub fn cell(&self, target: &str, workload: &str) -> &Value {
        let cells = self.results["cells"].as_array().expect("cells");
        let found = cells.iter().find(|cell| cell["target"] == target && cell["workload"] == workload);
        found.unwrap_or_else(|| panic!("no cell of {target} {workload}: {}\n{}", self.results, self.stderr))
    }

    /// The CPU time of a request, in microseconds, if it is known.
    pub fn cost(&self, target: &str, workload: &str) -> Option<f64> {
        self.cell(target, workload)["server"]["cpu_us_per_request"]["median"].as_f64()
    }

    /// The log that was kept, the only file that is left.
    pub fn log(&self) -> String {
        let [log] = &self.left[..] else { panic!("{:?} are left: {}", self.left, self.stderr) };
        assert!(self.stderr.contains(&log.display().to_string()), "{log:?} is not named: {}", self.stderr);
        fs::read_to_string(log).expect("a log")
    }
}

/// The lab with a folder of its own for temporary files.
pub fn lab_in(temporary: &Path, args: &[&str]) -> Command {
    fs::create_dir_all(temporary.join("tmp")).expect("a folder");
    fs::create_dir_all(temporary.join("files")).expect("a folder");
    fs::write(temporary.join("files/small"), "small\n").expect("a file");
    let mut command = lab(args);
    command.env("TMPDIR", temporary.join("tmp")).current_dir(temporary);
    command.arg("--files").arg(temporary.join("files"));
    command
}

/// Runs the lab to its end with a short trial, and makes sure that nothing of it runs on.
pub fn run(test: &str, args: &[&str]) -> Ran {
    run_for(test, "300ms", args)
}

/// As [`run`], with a trial of this duration.
pub fn run_for(test: &str, duration: &str, args: &[&str]) -> Ran {
    let temporary = folder(&format!("guests-{test}"));
    let out = temporary.join("out");
    let mut command = lab_in(&temporary, &[args, &LOAD, &["-d", duration]].concat());
    let output = command.arg("--out").arg(&out).output().expect("the lab runs");
    assert_none_left(&temporary);
    let results = fs::read(out.join("results.json")).unwrap_or_default();
    Ran {
        code: output.status.code(),
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
        results: serde_json::from_slice(&results).unwrap_or_default(),
        left: left(&temporary),
    }
}

/// The files in the folder for temporary files.
pub fn left(temporary: &Path) -> Vec<PathBuf> {
    fs::read_dir(temporary.join("tmp")).expect("a folder").map(|entry| entry.expect("one").path()).collect()
}

/// Waits until no process runs that a lab in this folder has started.
pub fn assert_none_left(temporary: &Path) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let left = processes(temporary);
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "{left:?} are left");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The command lines of all processes that have this folder for temporary files in their environment.
pub fn processes(temporary: &Path) -> Vec<String> {
    let variable = format!("TMPDIR={}", temporary.join("tmp").display());
    let has_it = |folder: &Path| {
        let environment = fs::read(folder.join("environ")).unwrap_or_default();
        environment.split(|&byte| byte == 0).any(|entry| entry == variable.as_bytes())
    };
    let all = fs::read_dir("/proc").expect("/proc").flatten().map(|entry| entry.path());
    let ours = all.filter(|folder| has_it(folder));
    ours.map(|folder| text(&fs::read(folder.join("cmdline")).unwrap_or_default()).replace('\0', " ")).collect()
}

/// Whether this machine can run a ready-made guest; otherwise says that a test is skipped.
pub fn has_guest(name: &str) -> bool {
    let guest = guest::ready_made().into_iter().find(|guest| guest.name == name).expect("a ready-made guest");
    let missing = guest.missing();
    missing.iter().for_each(|why| println!("skipped: {why}"));
    missing.is_none()
}

/// Whether a program is installed; otherwise says that a test is skipped.
pub fn is_installed(program: &str) -> bool {
    let found = Command::new(program).arg("--help").stdin(Stdio::null()).output().is_ok();
    if !found {
        println!("skipped: no {program}");
    }
    found
}

/// A guest that is bare hyper, after a shell has run `before`.
pub fn hyper_after(name: &str, before: &str) -> String {
    format!("{name}=sh -c '{before} exec \"$0\" be hyper 127.0.0.1:{{port}}' {}", env!("CARGO_BIN_EXE_lab"))
}
