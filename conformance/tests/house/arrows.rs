//! Which crate may use which.

use std::collections::BTreeSet;
use std::process::Command;

use crate::path;

/// What each crate may use of ours; `*` stands for every service. A dependency that is not here fails the test.
const ARROWS: &[(&str, &[&str])] = &[
    ("http1", &[]),
    ("linux-only", &[]),
    ("scoreboard", &["linux-only"]),
    ("process-tree", &["linux-only", "cpu-list"]),
    ("cpu-list", &["linux-only"]),
    ("test-lifetime", &["linux-only"]), // only tests use it
    ("app", &["http1", "scoreboard"]),
    ("driver", &["http1", "scoreboard"]),
    ("supervisor", &["app", "cpu-list", "http1", "driver", "scoreboard", "process-tree"]),
    ("*", &["supervisor", "app", "http1", "driver", "scoreboard"]),
    // The three that are built on epoll: what differs is what each adds to its loop.
    ("posix-aio", &["supervisor", "app", "http1", "driver", "scoreboard", "epoll"]),
    ("linux-aio", &["supervisor", "app", "http1", "driver", "scoreboard", "epoll"]),
    ("event-loop", &["supervisor", "app", "http1", "driver", "scoreboard", "epoll"]),
    // hyper speaks HTTP there, so ours would be a mistake.
    ("framework", &["supervisor", "app", "driver", "scoreboard"]),
    ("guest-hyper", &[]), // a server of others, so nothing of ours is in it
    ("guest", &["supervisor", "guest-hyper"]),
    ("results", &[]),
    ("pages", &["results"]),
    ("loadtest", &["results", "pages", "app", "cpu-list", "process-tree"]),
    ("lab", &["*", "supervisor", "loadtest", "results", "pages", "app", "cpu-list", "process-tree", "guest"]),
];

#[test]
fn every_dependency_between_crates_was_agreed() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline", "--manifest-path"])
        .arg(path("Cargo.toml"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let name = |package: &serde_json::Value| package["name"].as_str().expect("a name").to_owned();
    let ours: BTreeSet<String> = packages.iter().map(name).collect();
    let services: BTreeSet<String> = packages
        .iter()
        .filter(|package| package["manifest_path"].as_str().is_some_and(|path| path.contains("/services/")))
        .map(name)
        .collect();
    assert!(services.contains("epoll"), "services/ was not found in {ours:?}");

    let mut wrong = Vec::new();
    for package in packages {
        let from = name(package);
        if from == "conformance" {
            continue; // it tests everything, so it may use everything
        }
        let named = ARROWS.iter().find(|(name, _)| *name == from);
        let any_service = || ARROWS.iter().find(|(name, _)| *name == "*" && services.contains(&from));
        let Some((_, allowed)) = named.or_else(any_service) else {
            wrong.push(format!("{from} is a crate that ARROWS lacks"));
            continue;
        };
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let to = name(dependency);
            // A crate's own tests may use what they like.
            if !ours.contains(&to) || dependency["kind"] == "dev" {
                continue;
            }
            let is_agreed = allowed.contains(&&*to) || services.contains(&to) && allowed.contains(&"*");
            if !is_agreed {
                wrong.push(format!("{from} -> {to}"));
            }
        }
    }
    assert!(wrong.is_empty(), "dependencies that were not agreed: {wrong:?}");
}
