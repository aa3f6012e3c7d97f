//! The flags that say what requests carry: header fields, a body, and paths from a file.

use super::path_file;
use clap::Args;
use results::Plan;
use results::content::{Body, Content, NOTHING, carries_body, method_and_path};
use results::paths::{LIST, PathList, PathOrder};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The largest body of a request, in bytes: results.json has the body of each workload, and it has to be small enough to
/// be read again.
const LARGEST_BODY: u64 = 64 << 20;

/// What the requests carry.
#[derive(Debug, Args)]
pub struct ContentFlags {
    /// Header field of every measured request and of those of --busy and --slow-readers, as in 'Accept: text/html';
    /// repeatable
    #[arg(short = 'H', long = "header", value_name = "FIELD", value_parser = parse_header)]
    headers: Vec<String>,
    /// Body of the requests whose method is not GET or HEAD
    #[arg(long, value_name = "TEXT", conflicts_with = "body_file")]
    body: Option<String>,
    /// File with this body, of at most 64 MiB
    #[arg(long, value_name = "FILE")]
    body_file: Option<PathBuf>,
    /// Request the paths of --workload-file in a random order, which the seed decides, instead of that of the file
    #[arg(long)]
    shuffle_paths: bool,
}

impl ContentFlags {
    /// What the requests of each workload carry: the header fields, the body if the method has one, and the paths of a list:
    /// one of `lists`, or that of a file.
    ///
    /// # Errors
    /// One line that says how to correct the flags.
    pub fn content(
        &self,
        plan: &Plan,
        lists: &BTreeMap<String, PathList>,
    ) -> Result<BTreeMap<String, Content>, String> {
        let body = match (&self.body, &self.body_file) {
            (Some(text), _) => Body(text.clone().into_bytes()),
            (None, Some(path)) => Body(read_body(path)?),
            (None, None) => Body::default(),
        };
        let has_body = |workload: &str| carries_body(method_and_path(workload).0);
        if !body.0.is_empty() && !plan.requested().into_iter().any(|workload| has_body(workload)) {
            return Err("a body: GET and HEAD have none; name the method, as in --workload 'POST /path'".into());
        }
        let headers_alone = Content { headers: self.headers.clone(), ..Content::default() };
        if headers_alone.count_headers("Host") > 1 {
            return Err("--header Host: a request has one (RFC 9112, 3.2); give it once".into());
        }
        let order = if self.shuffle_paths { PathOrder::Shuffled } else { PathOrder::InOrder };
        let content = plan.requested().into_iter().map(|workload| {
            let body = if has_body(workload) { body.clone() } else { Body::default() };
            let paths = match (lists.get(workload), workload.strip_prefix(LIST)) {
                (Some(list), _) => Some(list.clone()),
                (None, Some(file)) => Some(path_file::read(Path::new(file), order)?),
                (None, None) => None,
            };
            Ok((workload.clone(), Content { body, paths, ..headers_alone.clone() }))
        });
        let content: BTreeMap<_, _> = content.collect::<Result<_, String>>()?;
        if self.shuffle_paths && content.values().all(|content| content.paths.is_none()) {
            return Err("--shuffle-paths: there is one path a workload; give a list with --workload-file".into());
        }
        Ok(content.into_iter().filter(|(_, content)| *content != NOTHING).collect())
    }
}

/// Reads the file of `--body-file`; one without an end (/dev/zero) has too many bytes, too.
fn read_body(path: &Path) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LARGEST_BODY + 1).read_to_end(&mut body));
    match read {
        Err(error) => Err(format!("--body-file {}: {error}; name a file that you may read", path.display())),
        Ok(length) if length as u64 > LARGEST_BODY => {
            let most = LARGEST_BODY >> 20;
            Err(format!("--body-file {}: a body has at most {most} MiB; name a smaller file", path.display()))
        }
        Ok(_) => Ok(body),
    }
}

/// Checks a header field: a name, a colon, and a value of visible characters and spaces. RFC 9110, 5.1 and 5.5
fn parse_header(text: &str) -> Result<String, String> {
    let wrong = |why: &str| format!("'{text}': {why}; write it as in 'Accept: text/html'");
    let (name, value) = text.split_once(':').ok_or_else(|| wrong("there is no colon in it"))?;
    let is_token = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(wrong("the name has a character that does not belong there, or is empty"));
    }
    if value.chars().any(|c| c.is_control() && c != '\t') {
        return Err(wrong("the value has a control character"));
    }
    for (own, instead) in [
        ("Content-Length", "it follows from --body"),
        ("Transfer-Encoding", "the body is sent as it is"),
        ("Connection", "say it with --requests-per-connection"),
    ] {
        if name.eq_ignore_ascii_case(own) {
            return Err(wrong(instead));
        }
    }
    Ok(format!("{name}: {}", value.trim()))
}
