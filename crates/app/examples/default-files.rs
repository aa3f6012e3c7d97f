//! Makes the default files in a folder: `default-files DIR`. The container image is built with it.

use std::path::Path;

fn main() -> std::io::Result<()> {
    match std::env::args_os().nth(1) {
        Some(folder) => app::make_files(Path::new(&folder)),
        None => Err(std::io::Error::other("name the folder")),
    }
}
