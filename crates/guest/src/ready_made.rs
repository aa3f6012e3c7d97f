//! The ready-made guests: the folders in `guests/`, whose files are a part of this program.

use crate::guest::Guest;

/// The name of a file, and its text, which is a template.
type File = (&'static str, &'static str);

/// The name of a guest, its description, and the files that it needs.
type ReadyMade = (&'static str, &'static str, &'static [File]);

macro_rules! file {
    ($path:literal) => {
        include_str!(concat!("../../../guests/", $path))
    };
}

const NGINX: File = ("nginx.conf", file!("nginx/nginx.conf"));
const APACHE: File = ("apache.conf", file!("apache/apache.conf"));
const LIGHTTPD: File = ("lighttpd.conf", file!("lighttpd/lighttpd.conf"));
const HELLO: File = ("hello.txt", file!("lighttpd/hello.txt"));
const WORKLOADS: File = ("workloads.js", file!("node/workloads.js"));

const READY_MADE: &[ReadyMade] = &[
    ("nginx", file!("nginx/guest.toml"), &[NGINX]),
    ("nginx-aio", file!("nginx-aio/guest.toml"), &[NGINX, ("aio.conf", file!("nginx-aio/aio.conf"))]),
    ("lighttpd", file!("lighttpd/guest.toml"), &[LIGHTTPD, HELLO]),
    (
        "lighttpd-poll",
        file!("lighttpd-poll/guest.toml"),
        &[LIGHTTPD, HELLO, ("poll.conf", file!("lighttpd-poll/poll.conf"))],
    ),
    (
        "apache-prefork",
        file!("apache-prefork/guest.toml"),
        &[APACHE, ("prefork.conf", file!("apache-prefork/prefork.conf"))],
    ),
    (
        "apache-worker",
        file!("apache-worker/guest.toml"),
        &[APACHE, ("worker.conf", file!("apache-worker/worker.conf"))],
    ),
    ("apache-event", file!("apache-event/guest.toml"), &[APACHE, ("event.conf", file!("apache-event/event.conf"))]),
    ("node", file!("node/guest.toml"), &[WORKLOADS, ("server.js", file!("node/server.js"))]),
    ("express", file!("express/guest.toml"), &[WORKLOADS, ("express.js", file!("express/express.js"))]),
    ("busybox", file!("busybox/guest.toml"), &[("index.html", file!("busybox/index.html"))]),
    ("hyper", file!("hyper/guest.toml"), &[]),
];

/// All of them, in the order in which they are listed.
pub fn ready_made() -> Vec<Guest> {
    READY_MADE.iter().map(|(name, description, files)| Guest::ready_made(name, description, files)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn each_folder_with_a_description_is_a_guest_of_its_name() {
        let guests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guests");
        let folders = guests.read_dir().unwrap().map(|folder| folder.unwrap().path());
        let described = folders.filter(|folder| folder.join("guest.toml").is_file());
        let names: BTreeSet<String> =
            described.map(|path| path.file_name().unwrap().to_str().unwrap().into()).collect();
        // Reading a description that is not valid panics.
        let ready_made = ready_made();
        assert_eq!(ready_made.iter().map(|guest| guest.name.clone()).collect::<BTreeSet<_>>(), names);
        assert_eq!(ready_made.len(), names.len(), "no name twice");
    }
}
