//! Prepares the folder for the results.

use nix::unistd::{AccessFlags, eaccess};
use std::fs;
use std::io;
use std::path::Path;

/// Makes the folder and checks that it is writable, so that a long run is not lost.
///
/// It asks the kernel instead of writing a file, because several load tests may share the folder. eaccess(3)
///
/// # Errors
/// The kernel's error: the folder cannot be made, or is not writable.
pub fn make_writable(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    Ok(eaccess(folder, AccessFlags::W_OK | AccessFlags::X_OK)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_made_and_the_check_leaves_no_file_in_it() {
        let folder = std::env::temp_dir().join(format!("loadtest-folder-{}", std::process::id()));
        make_writable(&folder.join("a/b")).unwrap();
        assert_eq!(fs::read_dir(folder.join("a/b")).unwrap().count(), 0);
        fs::write(folder.join("file"), "").unwrap();
        assert!(make_writable(&folder.join("file")).is_err());
        assert!(make_writable(Path::new("/proc/nowhere")).is_err());
        fs::remove_dir_all(folder).unwrap();
    }
}
