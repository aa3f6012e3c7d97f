//! Tells the program which commit and which compiler it was made of. Without git, as in a container's build, the commit
//! is that of the variable `SOURCE_COMMIT`, or not known.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=SOURCE_COMMIT");
    println!("cargo::rerun-if-changed=build.rs");
    // The log changes with each commit and each checkout. A file that does not exist would make each build a new one.
    if let Some(log) = output("git", &["rev-parse", "--git-path", "logs/HEAD"]).filter(|log| Path::new(log).exists()) {
        println!("cargo::rerun-if-changed={log}");
    }
    let given = env::var("SOURCE_COMMIT").ok().filter(|commit| !commit.is_empty());
    if let Some(commit) = given.or_else(|| output("git", &["rev-parse", "--short=12", "HEAD"])) {
        println!("cargo::rustc-env=BUILT_OF_COMMIT={commit}");
    }
    let compiler = env::var("RUSTC").ok().and_then(|rustc| output(&rustc, &["-V"]));
    if let Some(compiler) = compiler {
        println!("cargo::rustc-env=BUILT_BY={compiler}");
    }
    let variable = |name| env::var(name).unwrap_or_default();
    let mut flags = format!("{}, opt-level {}, {}", variable("PROFILE"), variable("OPT_LEVEL"), variable("TARGET"));
    let of_rustc = variable("CARGO_ENCODED_RUSTFLAGS").replace('\x1f', " ");
    if !of_rustc.is_empty() {
        flags += &format!(", {of_rustc}");
    }
    println!("cargo::rustc-env=BUILT_WITH={flags}");
}

/// What a program prints, if it succeeds.
fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
