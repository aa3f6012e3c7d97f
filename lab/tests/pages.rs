//! `lab pages` as a browser uses it.

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use common::{lab, output, text};

/// A folder of results with a server of its pages, both of which go with it.
struct Pages {
    folder: PathBuf,
    server: Child,
    address: String,
}

impl Pages {
    fn of(name: &str) -> Pages {
        let folder = std::env::temp_dir().join(format!("lab-pages-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let args = ["pages", "--listen", "127.0.0.1:0", "--dashboards", "http://localhost:3000/d", "--results"];
        let mut server = lab(&args).arg(&folder).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(server.stderr.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().rsplit("http://").next().unwrap().to_owned();
        Pages { folder, server, address }
    }

    /// Puts results that another program has kept into the folder of a run.
    fn add(&self, run: &str, golden: &str) {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/results/tests/golden");
        fs::create_dir_all(self.folder.join(run)).unwrap();
        fs::copy(kept.join(golden), self.folder.join(run).join("results.json")).unwrap();
    }

    fn ask(&self, path: &str) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address).unwrap();
        BufReader::new(stream)
    }

    /// The head of the answer, in lower case, and its body.
    fn get(&self, path: &str) -> (String, String) {
        let mut answer = String::new();
        self.ask(path).read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_lowercase(), body.to_owned())
    }

    fn status(&self, path: &str) -> u16 {
        self.get(path).0.split(' ').nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn runs_are_listed_shown_and_put_side_by_side() {
    let pages = Pages::of("list");
    let empty = pages.get("/").1;
    assert!(empty.contains("There is no run yet") && empty.contains("http://localhost:3000/d"), "{empty}");
    assert_eq!(pages.status("/newest"), 404);
    pages.add("closed", "closed.json");
    pages.add("again", "again.json");
    pages.add("board", "board.json");
    pages.add("broken", "README.md");
    let (head, list) = pages.get("/");
    for name in ["closed", "again", "board"] {
        assert!(list.contains(&format!("href=\"/runs/{name}\"")), "{name}: {list}");
        assert_eq!(pages.status(&format!("/runs/{name}")), 200, "{name}");
    }
    assert!(list.contains("It cannot be shown: results.json: it is no results.json"), "{list}");
    for header in
        ["content-security-policy: default-src 'none'", "x-content-type-options: nosniff", "x-frame-options: deny"]
    {
        assert!(head.contains(header), "{header}: {head}");
    }
    assert!(pages.get("/newest").0.contains("location: /runs/"));
    assert!(pages.get("/runs/closed").1.contains("All figures of this load in a table"));
    let two = pages.get("/compare?from=closed&to=again").1;
    assert!(two.contains("What changed?") && two.contains("second run"), "{two}");
    assert!(two.contains("href=\"/runs/closed\"") && two.contains("href=\"/runs/again\""), "{two}");
    assert_eq!(pages.status("/compare?from=closed&to=nothing"), 404);
    assert_eq!(pages.status("/compare"), 400);
    let json: serde_json::Value = serde_json::from_str(&pages.get("/runs/closed/results.json").1).unwrap();
    assert!(json["cells"].is_array());
}

#[test]
fn nothing_but_results_is_served() {
    let pages = Pages::of("outside");
    pages.add("run", "closed.json");
    fs::write(pages.folder.join("run/secret.txt"), "secret").unwrap();
    fs::write(pages.folder.join("secret"), "secret").unwrap();
    fs::create_dir_all(pages.folder.join("linked")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", pages.folder.join("linked/results.json")).unwrap();
    std::os::unix::fs::symlink("/etc", pages.folder.join("etc")).unwrap();
    for path in [
        "/secret",
        "/runs/run/secret.txt",
        "/runs/run/report.html",
        "/runs/secret",
        "/runs/linked",
        "/runs/linked/results.json",
        "/runs/etc/passwd",
        "/runs/..",
        "/runs/../secret",
        "/runs/%2e%2e/results.json",
        "/runs/..%2fsecret",
        "/runs/run%00/results.json",
        "/runs//results.json",
        "/runs/run/..%2f..%2fsecret/live",
    ] {
        let (head, body) = pages.get(path);
        assert!(head.starts_with("http/1.1 404") || head.starts_with("http/1.1 400"), "{path}: {head}");
        assert!(!body.contains("root:") && body != "secret", "{path}");
    }
}

#[test]
fn a_run_that_goes_on_is_followed_and_becomes_its_report() {
    let pages = Pages::of("live");
    let file = pages.folder.join("now/live.ndjson");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    let begun = r#"{"event":"begun","run_id":"now","command":null,"targets":["a"],"loads":[],"trials":4}"#;
    fs::write(&file, format!("{begun}\n")).unwrap();
    let page = pages.get("/newest").0;
    assert!(page.contains("location: /runs/now"), "{page}");
    let page = pages.get("/runs/now").1;
    assert!(page.contains("data-events=\"/runs/now/live\"") && page.contains("0 trials of 4"), "{page}");
    assert!(pages.get("/").1.contains("goes on now"));

    let mut lines = pages.ask("/runs/now/live").lines().map(Result::unwrap);
    let has = |text: &'static str| move |line: &String| line.contains(text);
    assert!(lines.any(|line| has("0 trials of 4")(&line)));
    // Half a line is not read until it is whole.
    let mut writer = fs::OpenOptions::new().append(true).open(&file).unwrap();
    writer.write_all(b"{\"event\":\"block\",\"done\":2,").unwrap();
    writer.write_all(b"\"planned\":9}\n").unwrap();
    assert!(lines.any(|line| has("block 3 of 9")(&line)));
    pages.add("now", "closed.json");
    fs::remove_file(&file).unwrap();
    assert!(lines.any(|line| line == "event: report"));
    assert!(lines.any(|line| line.starts_with("data: ") && line.contains("All figures of this load")));
    assert_eq!(pages.status("/runs/now"), 200);

    // One that ends without results says so.
    fs::create_dir_all(pages.folder.join("gone")).unwrap();
    let mut lines = pages.ask("/runs/gone/live").lines().map(Result::unwrap);
    assert!(lines.any(|line| line == "event: gone"));
}

#[test]
fn wrong_usage_is_a_line_that_says_what_to_do() {
    let refused = |args: &[&str]| {
        let refused = output(&[&["pages"], args].concat());
        assert_eq!(refused.status.code(), Some(2));
        text(&refused.stderr)
    };
    let why = refused(&["--results", "/nowhere"]);
    assert!(why.contains("--results /nowhere: No such file or directory"), "{why}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = std::env::temp_dir();
    let why = refused(&["--results", folder.to_str().unwrap(), "--listen", &address]);
    assert!(why.contains(&address) && why.contains("choose another address"), "{why}");
}
