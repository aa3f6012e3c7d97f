use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::ready_made;

/// A folder for a test, which is removed with this value.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("io-models-test-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }

    /// A file in it, with that text and mode.
    fn file(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn place(&self, listen: &str) -> Place {
        let listen: SocketAddr = listen.parse().unwrap();
        Place { listen, files: "/srv/my files".into(), folder: self.0.clone(), threads: 3, connections: 80 }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn each_ready_made_guest_is_well_described() {
    for guest in ready_made() {
        let name = guest.name.clone();
        assert_eq!(guest.arguments(), [name.as_str()]);
        let command = guest.description.command.clone();
        assert!(guest.description.package.is_some() || command.starts_with("{self} "), "{name} names no package");
        guest.checked().unwrap();
    }
}

#[test]
fn the_text_of_a_guest_is_its_name_and_its_command() {
    let text = " mine = ./server --port {port} ";
    let guest = Guest::from_text(text).unwrap();
    assert_eq!((&*guest.name, &*guest.description.command), ("mine", "./server --port {port}"));
    assert_eq!(guest.arguments(), ["--guest", text]);
    assert!(Guest::from_text("a-1.b_2=server {listen}").is_ok());
    let of_others = "mine=sh -c 'x=1; { exec ./server ${x} {} {A} {port}; }'";
    assert!(Guest::from_text(of_others).is_ok(), "braces in which there is no word of ours");
}

#[test]
fn a_text_that_describes_no_guest_is_answered_by_what_to_write() {
    for (text, why) in [
        ("./server --port {port}", "write NAME=COMMAND"),
        ("=./server {port}", "`` is no name"),
        ("My Server=./server {port}", "`My Server` is no name"),
        ("../x=./server {port}", "`../x` is no name"),
        ("healthcheck=./server {port}", "`healthcheck` is no name"),
        ("mine=", "mine has no command"),
        ("mine=  ", "mine has no command"),
        ("mine=./server", "mine: its command does not say where {port} goes"),
        ("mine=./server {folder}", "mine: its command does not say where {port} goes"),
        (
            "mine=./server {port} {prot}",
            "mine: {prot} stands for nothing: there are {port}, {address}, {listen}, {files}, ",
        ),
        ("mine=./server {port} {self}", "mine: {self} stands for nothing"),
        ("mine=./server --port 'x {port}", "mine: a quotation mark in its command is not closed"),
    ] {
        let line = Guest::from_text(text).unwrap_err();
        assert!(
            line.contains(why) && line.ends_with("write NAME=COMMAND, as in 'mine=./server --port {port}'"),
            "{line}"
        );
        assert!(!line.contains('\n'), "{line}");
    }
}

#[test]
fn a_file_describes_guests() {
    let folder = Folder::new("file");
    let text = "[one]\ncommand = 'one {port}'\n[two]\ncommand = 'two'\nenv = { PORT = '{port}' }\npackage = 'twos'\nwarm_up = 7\n";
    let path = folder.file("guests.toml", text, 0o644);
    let guests = Guest::from_file(&path).unwrap();
    let names: Vec<&str> = guests.iter().map(|guest| &*guest.name).collect();
    assert_eq!(names, ["one", "two"]);
    assert_eq!((guests[0].warm_up(), guests[1].warm_up()), (0, 7));
    assert_eq!(guests[1].arguments(), ["--guests-file", path.to_str().unwrap(), "two"]);
}

#[test]
fn the_error_of_a_file_names_the_file_the_line_and_what_to_write() {
    let folder = Folder::new("wrong-file");
    for (text, why) in [
        ("[one]\ncomand = 'x {port}'\n", "line 2: unknown field `comand`, expected one of `command`"),
        ("[one]\npackage = 'x'\n", "line 1: missing field `command`"),
        ("[one]\ncommand = 'x {port}'\n\n[two]\ncommand = 5\n", "line 5: invalid type"),
        ("one = 5\n", "line 1: invalid type: integer `5`, expected a table"),
        ("[one]\ncommand = 'x {port}\n", "line 2: "),
        ("[one]\ncommand = 'x {port}'\n[one]\n", "line 3: duplicate key"),
        ("", "it describes no guest"),
    ] {
        let path = folder.file("guests.toml", text, 0o644);
        let line = Guest::from_file(&path).unwrap_err();
        assert!(line.starts_with(&format!("{}: {why}", path.display())), "{line}");
        assert!(line.contains("command = './server --port {port}'") && !line.contains('\n'), "{line}");
    }
    let path = folder.file("guests.toml", "[One]\ncommand = 'x {port}'\n", 0o644);
    let line = Guest::from_file(&path).unwrap_err();
    assert!(line.contains("guests.toml: `One` is no name for a guest"), "{line}");
    let path = folder.file("guests.toml", "[one]\ncommand = 'x {port}'\nenv = { A = '{prot}' }\n", 0o644);
    let line = Guest::from_file(&path).unwrap_err();
    assert!(line.contains("guests.toml: one: {prot} stands for nothing: there are {port}, "), "{line}");
    let line = Guest::from_file(Path::new("/nowhere/at/all.toml")).unwrap_err();
    assert!(line.starts_with("/nowhere/at/all.toml: No such file"), "{line}");
}

#[test]
fn a_missing_program_is_named_with_its_package() {
    let missing = |description: &str| Guest::ready_made("it", description, &[]).missing();
    let line = missing("command = 'no-such-program {port}'\npackage = 'some-package'");
    assert_eq!(line.as_deref(), Some("it: there is no program no-such-program: install the package some-package"));
    let line = missing("command = './no-such-program {port}'");
    assert_eq!(line.as_deref(), Some("it: there is no program ./no-such-program"));
    let line = missing("command = 'sh {port}'\nneeds = ['/', '/nowhere/at/all']\npackage = 'some-package'");
    assert_eq!(line.as_deref(), Some("it: there is no /nowhere/at/all: install the package some-package"));
    assert_eq!(missing("command = 'sh {port}'\nneeds = ['/']"), None);
    assert_eq!(missing("command = '{self} hyper {listen}'"), None);
}

#[test]
fn a_file_that_is_not_executable_is_no_program() {
    let folder = Folder::new("mode");
    let program = folder.file("server", "#!/bin/sh\n", 0o644);
    let description = format!("command = '{} {{port}}'", program.display());
    let guest = Guest::ready_made("it", &description, &[]);
    let line = guest.missing().unwrap();
    assert_eq!(line, format!("it: {} is not executable: change that with chmod +x", program.display()));
    let line = guest.prepare(&folder.place("127.0.0.1:1")).unwrap_err();
    assert!(!line.contains("it: "), "the supervisor puts the name before it: {line}");
    folder.file("server", "#!/bin/sh\n", 0o755);
    assert_eq!(guest.missing(), None);
}

#[test]
fn words_in_the_command_in_variables_and_in_files_are_replaced() {
    let folder = Folder::new("words");
    let description = "command = \"sh -c 'exec x' {port} {address} {listen} --files={files} {folder}/it.conf {threads} {connections} {threads*connections}\"\n\
                       env = { PORT = '{port}' }";
    let guest = Guest::ready_made("it", description, &[("it.conf", "listen [{listen}]; {unknown}")]);
    let program = guest.prepare(&folder.place("[::1]:8080")).unwrap();
    assert!(program.words[0].ends_with("/sh"), "{:?}", program.words);
    let conf = format!("{}/it.conf", folder.0.display());
    assert_eq!(
        program.words[1..],
        ["-c", "exec x", "8080", "::1", "[::1]:8080", "--files=/srv/my files", &conf, "3", "80", "240"],
        "a value with a space stays one word"
    );
    assert_eq!(program.env["PORT"], "8080");
    assert_eq!(fs::read_to_string(conf).unwrap(), "listen [[::1]:8080]; {unknown}");
    assert_eq!(program.facts["command"], guest.description.command);
    assert!(!program.facts.contains_key("version"));
}

#[test]
fn this_program_runs_its_built_in_guests_itself() {
    let folder = Folder::new("self");
    let guest = Guest::from_text("mine={self} hyper {listen}").unwrap();
    let program = guest.prepare(&folder.place("127.0.0.1:8080")).unwrap();
    assert_eq!(program.words, ["/proc/self/exe", "be", "hyper", "127.0.0.1:8080"]);
}

#[test]
fn the_version_is_asked_for() {
    let folder = Folder::new("version");
    let program = folder.file("server", "echo server/1.2.3 >&2\n", 0o755);
    let path = program.display();
    let guest = Guest::ready_made("it", &format!("command = '{path} {{port}}'\nversion = 'sh {path} -v'"), &[]);
    let program = guest.prepare(&folder.place("127.0.0.1:1")).unwrap();
    assert_eq!(program.facts["version"], "1.2.3");
}

#[test]
fn each_ready_made_guest_that_is_installed_says_its_version() {
    let folder = Folder::new("versions");
    for guest in ready_made() {
        match guest.missing() {
            Some(missing) => println!("skipped: {missing}"),
            None => {
                let version = guest.version(&folder.0, Duration::from_secs(600));
                let is_number = version.is_some_and(|version| version.contains('.'));
                assert!(is_number, "{} says no version", guest.name);
            }
        }
    }
}
