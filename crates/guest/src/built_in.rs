//! Guests that are a part of this program: libraries that are compared as bare servers.

use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;

/// What stands before the name of a built-in guest on its command line.
pub(crate) const BE: &str = "be";

type Serve = fn(SocketAddr) -> io::Result<()>;

/// Serves as the built-in guest that the arguments name, as in `be hyper 127.0.0.1:8080`. `None` if they name none.
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
    let ended = match args.next()?.to_str().and_then(|listen| listen.parse().ok()) {
        Some(listen) => serve(listen),
        None => Err(io::Error::other("write ADDRESS:PORT, as in 127.0.0.1:8080")),
    };
    Some(match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", name.display());
            ExitCode::FAILURE
        }
    })
}
