//! The command line of this process.

/// The command line as a shell would read it, so that a run can be repeated. The program has its name without its folder, and the
/// password of a URL is left out. `None` if an argument is no UTF-8, or has a byte that no shell takes.
pub fn command() -> Option<String> {
    let words: Option<Vec<String>> = std::env::args_os().map(|word| word.into_string().ok()).collect();
    line(&words?)
}

fn line(words: &[String]) -> Option<String> {
    let (program, arguments) = words.split_first()?;
    let program = program.rsplit('/').next().unwrap_or(program);
    let words: Vec<String> =
        [program.to_owned()].into_iter().chain(arguments.iter().map(|word| without_password(word))).collect();
    shlex::try_join(words.iter().map(String::as_str)).ok()
}

/// The word without the passwords of the URLs in it (RFC 3986, 3.2.1).
fn without_password(word: &str) -> String {
    let mut parts = word.split(' ');
    let first = without_one(parts.next().unwrap_or_default());
    parts.fold(first, |all, part| format!("{all} {}", without_one(part)))
}

fn without_one(word: &str) -> String {
    let Some((scheme, rest)) = word.split_once("://") else { return word.to_owned() };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let Some((user, _)) = authority.rsplit_once('@').and_then(|(info, _)| info.split_once(':')) else {
        return word.to_owned();
    };
    let after = &rest[authority.rfind('@').unwrap_or(0)..];
    format!("{scheme}://{user}:...{after}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_can_be_given_to_a_shell_and_has_no_password() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let of = |arguments: &[&str]| line(&words(arguments)).unwrap();
        assert_eq!(of(&["/a b/lab", "--load", "/ -c 8"]), "lab --load '/ -c 8'");
        assert_eq!(of(&["loadtest", "--remote-write=http://me:s3@cret@host:9090/api?x=a:b@c"]), {
            "loadtest '--remote-write=http://me:...@host:9090/api?x=a:b@c'"
        });
        assert_eq!(
            without_password("x=./s --a http://h --db p://u:secret@h --n"),
            "x=./s --a http://h --db p://u:...@h --n"
        );
        for kept in ["http://host:1/a@b:c", "epoll=http://127.0.0.1:8080", "http://me@host/", "a:b@c"] {
            assert_eq!(without_password(kept), kept);
        }
        assert_eq!(line(&words(&["lab", "\0"])), None);
    }
}
