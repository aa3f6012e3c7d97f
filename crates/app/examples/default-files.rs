//! Creates the default files in a directory: `default-files DIR`. The container image's build runs it.

use std::path::Path;

fn main() -> std::io::Result<()> {
    match std::env::args_os().nth(1) {
        Some(dir) => app::make_files(Path::new(&dir)),
        None => Err(std::io::Error::other("name the folder")),
    }
}
