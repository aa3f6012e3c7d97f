//! The ready-made guests: the folders in `guests/`, whose files are a part of this program.

use crate::guest::Guest;

/// The name of a guest, its description, and the files that it needs, which are templates.
type ReadyMade = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

macro_rules! file {
    ($path:literal) => {
        include_str!(concat!("../../../guests/", $path))
    };
}

const READY_MADE: &[ReadyMade] = &[
    ("nginx", file!("nginx/guest.toml"), &[("nginx.conf", file!("nginx/nginx.conf"))]),
    ("hyper", file!("hyper/guest.toml"), &[]),
];

/// All of them, in the order in which they are listed.
pub fn ready_made() -> Vec<Guest> {
    READY_MADE.iter().map(|(name, description, files)| Guest::ready_made(name, description, files)).collect()
}
