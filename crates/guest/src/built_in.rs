//! Guests that are a part of this program: libraries that are compared as bare servers.

use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

/// What stands before the name of a built-in guest on its command line.
pub const BE: &str = "be";

type Serve = fn(SocketAddr, Option<PathBuf>, usize) -> io::Result<()>;

/// Serves as the built-in guest that the arguments name, as in `be hyper 127.0.0.1:8080 /srv/files 2`: the address, the directory of
/// the files (none if it is missing), and the number of threads (one if it is missing). `None` if they name no such guest.
pub fn built_in(args: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut args = args.into_iter().skip(1);
    if args.next()? != BE {
        return None;
    }
    let name = args.next()?;
    let serve: Serve = match name.to_str()? {
        "hyper" => guest_hyper::serve,
        _ => return None,
    };
    let ended = match place(args) {
        Some((listen, files, threads)) => serve(listen, files, threads),
        None => Err(io::Error::other("write ADDRESS:PORT [FILES [THREADS]], as in 127.0.0.1:8080 /srv/files 2")),
    };
    Some(match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", name.display());
            ExitCode::FAILURE
        }
    })
}

fn place(mut args: impl Iterator<Item = OsString>) -> Option<(SocketAddr, Option<PathBuf>, usize)> {
    let listen = args.next()?.to_str()?.parse().ok()?;
    let files = args.next().map(PathBuf::from);
    let threads =
        args.next().map_or(Some(1), |threads| threads.to_str()?.parse().ok().filter(|&threads| threads > 0))?;
    Some((listen, files, threads))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &[&str]) -> Option<(SocketAddr, Option<PathBuf>, usize)> {
        place(args.iter().map(OsString::from))
    }

    #[test]
    fn the_place_of_a_built_in_guest_is_up_to_three_arguments() {
        let listen = "127.0.0.1:8080".parse().unwrap();
        assert_eq!(parsed(&["127.0.0.1:8080", "/srv", "2"]), Some((listen, Some("/srv".into()), 2)));
        assert_eq!(parsed(&["127.0.0.1:8080", "/srv"]), Some((listen, Some("/srv".into()), 1)));
        assert_eq!(parsed(&["127.0.0.1:8080"]), Some((listen, None, 1)));
        for wrong in [&[][..], &["8080", "/srv", "1"], &["127.0.0.1:8080", "/srv", "0"]] {
            assert_eq!(parsed(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn other_arguments_are_of_no_built_in_guest() {
        for args in [&["guest", "nginx"][..], &["guest", "be"], &["guest", "be", "nginx"], &["guest"]] {
            assert!(built_in(args.iter().map(OsString::from)).is_none(), "{args:?}");
        }
    }
}
