//! What there is to know of a guest: [`Guest`].

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use supervisor::{GuestProgram, Place};

use crate::built_in::{self, BE};
use crate::version;

/// Where programs are looked for, besides the folders in PATH: Debian has servers there.
const MORE_FOLDERS: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];

/// The name of what is no guest: `guest healthcheck` asks a running one.
pub(crate) const HEALTHCHECK: &str = "healthcheck";

const PORT: &str = "{port}";
const LISTEN: &str = "{listen}";
const FOLDER: &str = "{folder}";
/// The words that are replaced in a command, in the values of `env` and in configuration files.
const WORDS: [&str; 8] =
    [PORT, "{address}", LISTEN, "{files}", FOLDER, "{threads}", "{connections}", "{threads*connections}"];
/// The first word of a command that runs this program itself.
const SELF: &str = "{self}";

/// What a file of `--guests-file` has to look like.
const EXPECTED_IN_FILE: &str = "write a table for each guest, [mine], and below it command = './server --port {port}'";

/// A server of others: how to start it.
#[derive(Clone, Debug)]
pub struct Guest {
    /// The name of its target.
    pub name: String,
    source: Source,
    description: Description,
    /// The names and the texts of its configuration files, which are templates.
    files: &'static [(&'static str, &'static str)],
}

/// Where the description of a guest is from.
#[derive(Clone, Debug)]
enum Source {
    ReadyMade,
    /// The value of `--guest`.
    Text(String),
    /// The value of `--guests-file`.
    File(PathBuf),
}

/// The description of a guest: the file `guest.toml` of a ready-made one, or a table in a file of `--guests-file`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
struct Description {
    /// The command, which stays in the foreground: `sh -c` needs `exec` before its last command. In it, in `env` and in
    /// configuration files, these words are replaced: `{port}`, `{address}`, `{listen}` (address and port), `{files}` (the
    /// directory of `/files/`), `{folder}` (a directory of the guest's own, which has its configuration files), `{threads}`,
    /// `{connections}`, `{threads*connections}` (their product); `{self}` at the beginning of the command is this program.
    command: String,
    /// Variables for its environment.
    #[serde(default)]
    env: BTreeMap<String, String>,
    /// A command that prints its version.
    version: Option<String>,
    /// Debian's package that brings it.
    package: Option<String>,
    /// Files that have to be there, besides the program.
    #[serde(default)]
    needs: Vec<PathBuf>,
    /// Whether none of its processes ends while it serves. Otherwise, its CPU time is known in full only with a control group.
    #[serde(default)]
    keeps_processes: bool,
    /// The requests that it gets before it is measured: a program that compiles while it runs is slower at first.
    #[serde(default)]
    warm_up: u32,
}

impl Guest {
    pub(crate) fn ready_made(name: &str, description: &str, files: &'static [(&'static str, &'static str)]) -> Guest {
        let description = toml::from_str(description).expect("the tests read the description of each ready-made guest");
        Guest { name: name.into(), source: Source::ReadyMade, description, files }
    }

    /// The guest that `--guest` describes: `NAME=COMMAND`.
    ///
    /// # Errors
    /// One line that says what to write.
    pub fn from_text(text: &str) -> Result<Guest, String> {
        let expected = "write NAME=COMMAND, as in 'mine=./server --port {port}'";
        let (name, command) = text.split_once('=').ok_or(expected)?;
        let description = Description { command: command.trim().into(), ..Description::default() };
        let guest = Guest { name: name.trim().into(), source: Source::Text(text.into()), description, files: &[] };
        guest.checked().map_err(|why| format!("{why}; {expected}"))
    }

    /// The guests that a file describes: TOML, a table for each.
    ///
    /// # Errors
    /// One line that says what is wrong with the file.
    pub fn from_file(path: &Path) -> Result<Vec<Guest>, String> {
        let wrong = |why: String| format!("{}: {why}", path.display());
        let text = fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        let tables: BTreeMap<String, Description> = toml::from_str(&text).map_err(|error| {
            let line = error.span().map(|span| text[..span.start].matches('\n').count() + 1);
            let place = line.map(|line| format!("line {line}: ")).unwrap_or_default();
            wrong(format!("{place}{}; {EXPECTED_IN_FILE}", error.message().trim().replace('\n', ", ")))
        })?;
        if tables.is_empty() {
            return Err(wrong(format!("it describes no guest: {EXPECTED_IN_FILE}")));
        }
        let guest = |(name, description)| {
            Guest { name, source: Source::File(path.into()), description, files: &[] }.checked().map_err(wrong)
        };
        tables.into_iter().map(guest).collect()
    }

    fn checked(self) -> Result<Guest, String> {
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._".contains(c);
        if self.name.is_empty() || !self.name.chars().all(is_name) {
            return Err(format!("`{}` is no name for a guest: use a to z, 0 to 9, '-', '.' and '_'", self.name));
        }
        if self.name == HEALTHCHECK {
            return Err(format!("`{HEALTHCHECK}` is no name for a guest: it asks a running one whether it is healthy"));
        }
        if self.words()?.is_empty() {
            return Err(format!("{} has no command", self.name));
        }
        let Description { command, env, .. } = &self.description;
        let command = command.trim_start();
        let texts = || {
            let values = env.values().map(String::as_str);
            values.chain([command.strip_prefix(SELF).unwrap_or(command)])
        };
        if let Some(word) = texts().find_map(unknown) {
            let known = WORDS.join(", ");
            return Err(format!(
                "{}: {word} stands for nothing: there are {known}, and {SELF} as the first word of a command",
                self.name
            ));
        }
        // A configuration file, which is in the folder, says where the port goes.
        let port: &[&str] = if self.files.is_empty() { &[PORT, LISTEN] } else { &[PORT, LISTEN, FOLDER] };
        if !texts().any(|text| port.iter().any(|word| text.contains(word))) {
            return Err(format!("{}: its command does not say where {{port}} goes", self.name));
        }
        Ok(self)
    }

    /// The arguments that make the program `guest` run this one.
    pub fn arguments(&self) -> Vec<OsString> {
        match &self.source {
            Source::ReadyMade => vec![self.name.clone().into()],
            Source::Text(text) => vec!["--guest".into(), text.into()],
            Source::File(path) => vec!["--guests-file".into(), path.into(), self.name.clone().into()],
        }
    }

    /// Why this machine cannot run it: what is not installed, and the package that brings it.
    pub fn missing(&self) -> Option<String> {
        self.lacks().map(|what| format!("{}: {what}", self.name))
    }

    /// The same without the name.
    fn lacks(&self) -> Option<String> {
        let Description { package, needs, .. } = &self.description;
        let program = self.words().ok()?.into_iter().next()?;
        let what = match self.program() {
            None if Path::new(&program).is_file() => {
                return Some(format!("{program} is not executable: change that with chmod +x"));
            }
            None => format!("there is no program {program}"),
            Some(_) => format!("there is no {}", needs.iter().find(|path| !path.exists())?.display()),
        };
        let install = package.as_ref().map(|package| format!(": install the package {package}"));
        Some(what + &install.unwrap_or_default())
    }

    /// The requests that it has to get before it is measured, 0 if it is as fast as ever from the start.
    pub fn warm_up(&self) -> u32 {
        self.description.warm_up
    }

    /// The words of its command, as a shell would split them.
    fn words(&self) -> Result<Vec<String>, String> {
        let words = shlex::split(&self.description.command);
        words.ok_or_else(|| format!("{}: a quotation mark in its command is not closed", self.name))
    }

    /// The path of its program; `None` if there is none.
    fn program(&self) -> Option<PathBuf> {
        match &*self.words().ok()?.into_iter().next()? {
            SELF => Some("/proc/self/exe".into()),
            program => find(program),
        }
    }

    /// Writes its configuration files, and makes its command line.
    pub(crate) fn prepare(&self, place: &Place) -> Result<GuestProgram, String> {
        if let Some(why) = self.lacks() {
            return Err(why);
        }
        for (name, template) in self.files {
            let path = place.folder.join(name);
            fs::write(&path, filled(template, place)).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        let mut words: Vec<String> = self.words()?.iter().map(|word| filled(word, place)).collect();
        let is_self = words[0] == SELF;
        words[0] = self.program().ok_or("its program is gone")?.to_string_lossy().into_owned();
        if is_self {
            words.insert(1, BE.into());
        }
        let env = self.description.env.iter().map(|(name, value)| (name.clone(), filled(value, place)));
        let mut facts = BTreeMap::from([("command".to_owned(), self.description.command.clone())]);
        facts.extend(self.version(&place.folder, version::TIMEOUT).map(|version| ("version".to_owned(), version)));
        let keeps_processes = self.description.keeps_processes;
        Ok(GuestProgram { words, env: env.collect(), log: None, once: false, keeps_processes, facts })
    }

    /// What its program says of its version within `limit`; that of a built-in guest is known.
    fn version(&self, folder: &Path, limit: Duration) -> Option<String> {
        if let [SELF, name, ..] = *self.words().ok()?.iter().map(String::as_str).collect::<Vec<_>>() {
            return built_in::version(name).map(str::to_owned);
        }
        let words = shlex::split(self.description.version.as_ref()?)?;
        let (program, args) = words.split_first()?;
        version::ask(&find(program)?, args, folder, limit)
    }
}

/// Replaces the words of a template.
fn filled(template: &str, place: &Place) -> String {
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let values = [
        place.listen.port().to_string(),
        place.listen.ip().to_string(),
        place.listen.to_string(),
        path(&place.files),
        path(&place.folder),
        place.threads.to_string(),
        place.connections.to_string(),
        place.threads.saturating_mul(place.connections).to_string(),
    ];
    WORDS.iter().zip(values).fold(template.to_owned(), |text, (word, value)| text.replace(word, &value))
}

/// The first word in braces that is none of [`WORDS`]. `${name}` is not meant: it is a variable of a shell.
fn unknown(text: &str) -> Option<&str> {
    let begins = text.match_indices('{').map(|(begin, _)| begin).filter(|&begin| !text[..begin].ends_with('$'));
    let mut words = begins.filter_map(|begin| {
        let end = begin + text[begin..].find('}')?;
        let is_word = end > begin + 1 && text[begin + 1..end].bytes().all(|byte| byte.is_ascii_lowercase());
        is_word.then(|| &text[begin..=end])
    });
    words.find(|word| !WORDS.contains(word))
}

/// The path of a program that is executable: as it is, if it has a slash in it, else in a folder of PATH.
fn find(program: &str) -> Option<PathBuf> {
    let is_executable =
        |path: &PathBuf| path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0);
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(is_executable);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(MORE_FOLDERS.map(PathBuf::from));
    folders.map(|folder| folder.join(program)).find(is_executable)
}

#[cfg(test)]
mod tests;
