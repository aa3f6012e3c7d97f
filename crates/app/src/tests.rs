use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use http1::Want;

use super::*;

/// An empty directory, removed when it is dropped.
pub struct TempDir(PathBuf);

impl TempDir {
    pub fn new() -> TempDir {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("app-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        TempDir(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct Fixture {
    app: App,
    _dir: TempDir,
}

fn fixture() -> Fixture {
    let dir = TempDir::new();
    std::fs::write(dir.path().join("ten.txt"), "0123456789").unwrap();
    std::fs::write(dir.path().join("empty"), "").unwrap();
    let date = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
    std::fs::File::options().write(true).open(dir.path().join("ten.txt")).unwrap().set_modified(date).unwrap();
    let store = dir.path().join(".nods.db");
    prepare_store(&store).unwrap();
    let settings = Settings::with_files(dir.path(), store);
    Fixture { app: App::new(settings, Scoreboard::map().unwrap()).unwrap(), _dir: dir }
}

/// The reply of a new connection to one request, without its Date. Sleeps take no time.
fn answer(app: &App, method: &str, path: &str, fields: &str) -> String {
    exchange(app, &format!("{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{fields}\r\n"))
}

/// The same for a form that is posted.
fn post(app: &App, path: &str, fields: &str, form: &str) -> String {
    let (head, length) = ("HTTP/1.1\r\nHost: test\r\nConnection: close", form.len());
    exchange(app, &format!("POST {path} {head}\r\nContent-Length: {length}\r\n{fields}\r\n{form}"))
}

fn exchange(app: &App, request: &str) -> String {
    let mut now = Instant::now();
    let mut conn = app.connect(now);
    let mut out = Vec::new();
    loop {
        match conn.want() {
            Want::Read => conn.received(request.as_bytes(), now),
            Want::Write { bytes, .. } => {
                out.extend_from_slice(bytes);
                let n = bytes.len();
                conn.sent(n, now);
            }
            Want::SendFile(piece) => {
                let mut bytes = vec![0; piece.len as usize];
                piece.file.read_exact_at(&mut bytes, piece.offset).unwrap();
                out.extend_from_slice(&bytes);
                conn.sent(bytes.len(), now);
            }
            Want::Sleep(until) => {
                now = until;
                conn.woke(now);
            }
            Want::Shut => conn.shut(now),
            Want::Close => break,
            Want::Block(job) => conn.done(job.run(), now),
            other => panic!("{other:?}"),
        }
    }
    let text = String::from_utf8(out).unwrap();
    text.split_inclusive("\r\n").filter(|line| !line.starts_with("Date: ")).collect()
}

#[track_caller]
fn expect(reply: &str, status: &str, parts: &[&str]) {
    assert!(reply.starts_with(&format!("HTTP/1.1 {status} ")), "{reply}");
    for part in parts {
        assert!(reply.contains(part), "{part} not in {reply}");
    }
}

#[test]
fn each_route_answers() {
    let Fixture { app, .. } = &fixture();
    expect(&answer(app, "GET", "/", ""), "200", &["Content-Type: text/plain\r\n", "\r\n\r\nHello World\n"]);
    expect(&answer(app, "GET", "/?a=b", ""), "200", &["Hello World\n"]);
    expect(&answer(app, "GET", "/sleep/20", ""), "200", &["\r\n\r\nslept 20 ms\n"]);
    expect(&answer(app, "GET", "/sleep/60001", ""), "400", &["from 0 to 60000\n"]);
    expect(&answer(app, "GET", "/sleep/", ""), "400", &[]);
    expect(&answer(app, "GET", "/work/1000", ""), "200", &["Content-Length: 17\r\n"]);
    expect(&answer(app, "GET", "/work/1000000001", ""), "400", &["from 0 to 1000000000\n"]);
    expect(&answer(app, "GET", "/nowhere", ""), "404", &["404 Not Found\n"]);
    expect(&answer(app, "GET", "/%zz", ""), "400", &["percent-encoding"]);
    expect(&answer(app, "GET", "/%63ounter", ""), "200", &["\r\n\r\n0\n"]);
}

#[test]
fn head_is_get_without_the_content() {
    let Fixture { app, .. } = &fixture();
    for path in ["/", "/files/ten.txt", "/files/none", "/sleep/1", "/work/10", "/counter", "/nods", "/sleep/x"] {
        let get = answer(app, "GET", path, "");
        let head = answer(app, "HEAD", path, "");
        assert_eq!(get[..=get.find("\r\n\r\n").unwrap() + 3], head, "{path}");
    }
}

#[test]
fn the_counter_counts_posts() {
    let Fixture { app, .. } = &fixture();
    expect(&answer(app, "POST", "/counter", ""), "200", &["\r\n\r\n1\n"]);
    expect(&answer(&app.worker(), "POST", "/counter", ""), "200", &["\r\n\r\n2\n"]);
    expect(&answer(app, "GET", "/counter", ""), "200", &["\r\n\r\n2\n"]);
}

#[test]
fn a_racy_counter_counts_right_with_one_worker() {
    let Fixture { app, .. } = &fixture();
    let settings = Settings { racy: true, ..app.settings().clone() };
    let racy = App::new(settings, Scoreboard::map().unwrap()).unwrap();
    expect(&answer(&racy, "POST", "/counter", ""), "200", &["\r\n\r\n1\n"]);
    expect(&answer(&racy, "POST", "/counter", ""), "200", &["\r\n\r\n2\n"]);
}

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";
const ALICE: &str = "Content-Type: application/x-www-form-urlencoded\r\nCookie: account=alice\r\n";

fn nods(app: &App) -> String {
    let nods = answer(app, "GET", "/nods", "");
    expect(&nods, "200", &["Content-Type: text/plain; charset=utf-8\r\n"]);
    nods.split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[test]
fn a_nod_is_saved_and_shown() {
    let Fixture { app, .. } = &fixture();
    assert_eq!(nods(app), "");
    let saved = post(app, "/nod", ALICE, "nod=Hello");
    expect(&saved, "303", &["Location: /\r\n", "Content-Length: 0\r\n"]);
    assert!(!saved.contains("Content-Type"), "{saved}");
    let cookies = "Cookie: theme=dark; account=bob\r\nCookie: account=carol\r\n";
    expect(&post(app, "/nod", &format!("{FORM}{cookies}"), "x=1&nod=a+b%26%C3%A9%0A%00&nod=2"), "303", &[]);
    let parameter = "CONTENT-TYPE: Application/X-WWW-Form-URLEncoded ; charset=x\r\nCookie: account=carol\r\n";
    expect(&post(app, "/nod", parameter, &format!("nod={}", "é".repeat(1000))), "303", &[]);
    assert_eq!(nods(app), format!("carol: {}\nbob: a b&é\\n\\u{{0}}\nalice: Hello\n", "é".repeat(1000)));
}

#[test]
fn the_latest_hundred_nods_are_shown() {
    let Fixture { app, .. } = &fixture();
    for n in 0..105 {
        expect(&post(app, "/nod", ALICE, &format!("nod={n}")), "303", &[]);
    }
    let expected: String = (5..105).rev().map(|n| format!("alice: {n}\n")).collect();
    assert_eq!(nods(app), expected);
}

#[test]
fn a_nod_is_refused_for_its_first_error() {
    let Fixture { app, .. } = &fixture();
    let unknown = format!("{FORM}Cookie: account=mallory\r\n");
    let long = format!("nod={}", "x".repeat(1001));
    for (fields, form, status, part) in [
        ("", "", "415", "application/x-www-form-urlencoded"),
        ("Content-Type: text/plain\r\nCookie: account=alice\r\n", "nod=x", "415", ""),
        (FORM, "", "401", "WWW-Authenticate: Cookie realm=\"nods\"\r\n"),
        (&unknown, "nod=x", "401", "cookie account=<name>"),
        (ALICE, "", "400", "expected a field nod"),
        (ALICE, "nod=", "400", "expected a field nod"),
        (ALICE, "node=x", "400", "expected a field nod"),
        (ALICE, "nod=%ff", "400", "not UTF-8"),
        (ALICE, "nod=x&b=%C3", "400", "not UTF-8"),
        (ALICE, &long, "400", "at most 1000 characters, and this one has 1001"),
    ] {
        expect(&post(app, "/nod", fields, form), status, &[part]);
    }
    expect(&answer(app, "GET", "/nod", ""), "405", &["Allow: POST, OPTIONS\r\n"]);
    expect(&answer(app, "DELETE", "/nods", ""), "405", &["Allow: GET, HEAD, OPTIONS\r\n"]);
    expect(&answer(app, "OPTIONS", "/nod", ""), "204", &["Allow: POST, OPTIONS\r\n"]);
    assert_eq!(nods(app), "");
}

#[test]
fn a_store_that_fails_is_answered_with_503_until_it_works_again() {
    let Fixture { app, _dir: dir } = &fixture();
    let settings = Settings { store: dir.path().join("none"), ..app.settings().clone() };
    let app = App::new(settings, Scoreboard::map().unwrap()).unwrap();
    for _ in 0..20 {
        expect(&post(&app, "/nod", ALICE, "nod=x"), "503", &["store does not answer"]);
        expect(&answer(&app, "GET", "/nods", ""), "503", &[]);
    }
    prepare_store(&dir.path().join("none")).unwrap();
    expect(&post(&app, "/nod", ALICE, "nod=x"), "303", &[]); // the failed calls have given their connections back
}

#[test]
fn many_threads_share_the_connections_to_the_store() {
    const THREADS: usize = 32;
    const EACH: usize = 5;
    let Fixture { app, .. } = &fixture();
    let small = || std::thread::Builder::new().stack_size(256 << 10); // as small as a helper thread's
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let app = *app;
            let save = move || (0..EACH).for_each(|n| app.shared.store.save("bob", &format!("{thread} {n}")).unwrap());
            small().spawn(save).unwrap()
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let texts: std::collections::HashSet<_> = app.shared.store.latest(1000).unwrap().into_iter().collect();
    assert_eq!(texts.len(), THREADS * EACH);
    let open = std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok());
    let database = app.settings().store.canonicalize().unwrap();
    assert!(open.filter(|file| *file == database).count() <= 8);
}

#[test]
fn a_file_that_is_no_store_is_refused() {
    let dir = TempDir::new();
    let text = dir.path().join("text");
    std::fs::write(&text, "this is not a database, but a text of some length").unwrap();
    for (file, why) in [
        (text.as_path(), "not a database"),
        (dir.path(), "unable to open"),
        (&dir.path().join("none/nods.db"), "unable to open"),
        (Path::new(":memory:"), "write-ahead log"),
    ] {
        let error = prepare_store(file).unwrap_err().to_string();
        assert!(error.contains(why) && !error.contains('\n'), "{error}");
    }
}

#[test]
fn a_refused_method_is_answered_with_those_that_are_allowed() {
    let Fixture { app, .. } = &fixture();
    expect(&answer(app, "POST", "/", ""), "405", &["Allow: GET, HEAD, OPTIONS\r\n"]);
    expect(&answer(app, "DELETE", "/counter", ""), "405", &["Allow: GET, HEAD, POST, OPTIONS\r\n"]);
    expect(&answer(app, "BREW", "/", ""), "501", &[]);
    expect(&answer(app, "get", "/", ""), "501", &[]);
    expect(&answer(app, "PUT", "/nowhere", ""), "404", &[]);
    let options = answer(app, "OPTIONS", "*", "");
    expect(&options, "204", &["Allow: GET, HEAD, POST, OPTIONS\r\n"]);
    assert!(!options.contains("Content-"), "{options}");
}

#[test]
fn files_have_validators_and_ranges() {
    let Fixture { app, .. } = &fixture();
    let whole = answer(app, "GET", "/files/ten.txt", "");
    expect(&whole, "200", &["Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n", "Accept-Ranges: bytes\r\n"]);
    expect(&whole, "200", &["Content-Type: text/plain; charset=utf-8\r\n", "\r\n\r\n0123456789"]);
    let etag = whole.lines().find_map(|line| line.strip_prefix("ETag: ")).unwrap();

    let not_modified =
        answer(app, "GET", "/files/ten.txt", &format!("If-None-Match: \"x\"\r\nIf-None-Match: W/{etag}\r\n"));
    expect(&not_modified, "304", &[&format!("ETag: {etag}\r\n"), "Last-Modified: "]);
    assert!(not_modified.ends_with("\r\n\r\n") && !not_modified.contains("Content-"), "{not_modified}");
    expect(&answer(app, "GET", "/files/ten.txt", "If-Match: \"x\"\r\n"), "412", &[]);
    expect(&answer(app, "GET", "/files/none", "If-Match: \"x\"\r\n"), "404", &[]);

    let part = answer(app, "GET", "/files/ten.txt", "Range: bytes=2-4\r\n");
    expect(&part, "206", &["Content-Range: bytes 2-4/10\r\n", "Content-Length: 3\r\n", "\r\n\r\n234"]);
    expect(&answer(app, "GET", "/files/ten.txt", "Range: bytes=10-\r\n"), "416", &["Content-Range: bytes */10\r\n"]);
    expect(&answer(app, "HEAD", "/files/ten.txt", "Range: bytes=2-4\r\n"), "200", &["Content-Length: 10\r\n"]);
    let stale = "Range: bytes=2-4\r\nIf-Range: \"x\"\r\n";
    expect(&answer(app, "GET", "/files/ten.txt", stale), "200", &["0123456789"]);
    expect(&answer(app, "GET", "/files/empty", ""), "200", &["Content-Length: 0\r\n"]);
    expect(&answer(app, "GET", "/files/empty", "Range: bytes=0-\r\n"), "416", &["bytes */0\r\n"]);
}

#[test]
fn replies_are_counted_under_their_route() {
    let Fixture { app, .. } = &fixture();
    for path in ["/", "/files/ten.txt", "/files/none", "/sleep/1", "/work/1", "/counter", "/nod", "/nods", "/nowhere"] {
        answer(app, "GET", path, "");
    }
    let requests = app.shared.board.totals().requests.map(|by_status| by_status.iter().sum::<u64>());
    assert_eq!(requests, [1, 1, 2, 1, 1, 1, 1, 1]);
}

#[test]
fn an_open_file_outlives_its_name() {
    let Fixture { app, _dir: dir } = &fixture();
    let now = Instant::now();
    let mut conn = app.connect(now);
    conn.received(b"GET /files/ten.txt HTTP/1.1\r\nHost: a\r\n\r\n", now);
    std::fs::remove_file(dir.path().join("ten.txt")).unwrap();
    let Want::Write { bytes, more: true } = conn.want() else { panic!() };
    let n = bytes.len();
    conn.sent(n, now);
    let Want::SendFile(piece) = conn.want() else { panic!() };
    let mut text = String::new();
    (&**piece.file).read_to_string(&mut text).unwrap();
    assert_eq!(text, "0123456789");
}
