//! The files of the disk lab: makes them, takes them out of memory, and brings them there.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use fastrand::Rng;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::sys::statvfs::statvfs;
use results::Load;
use results::cache::Cache;
use results::paths::{LIST, PathList, PathOrder};

use super::flags::Bytes;
use super::resident;

/// Bytes that may stay in memory: those that the kernel has sent, and frees at the next packet (skb_attempt_defer_free(): at most
/// 128 buffers of 64 KiB a CPU, likely). What the disks read in a trial proves how cold it was.
const MOST_STAYS: u64 = 16 << 20;
/// The share of the free space that stays free.
const SPARE: f64 = 0.05;
/// The name of the file that says what a folder of files has. Without it, a folder is none of ours, and stays as it is.
const MANIFEST: &str = "files.txt";

/// Files of one size in a folder of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The folder.
    folder: PathBuf,
    /// Its name beneath the directory that the servers serve: the size, as it was written.
    name: String,
    /// Bytes of each.
    pub bytes: u64,
    /// How many there are.
    pub number: usize,
}

/// Why files could not be made.
#[derive(Debug)]
pub enum Unmade {
    /// A signal came before the end.
    Interrupted,
    /// A line.
    Failed(String),
}

impl Files {
    /// Files of this size in a folder beneath `dir`, so many that they have these bytes together.
    pub fn new(dir: &Path, size: &Bytes, number: usize) -> Files {
        Files { folder: dir.join(&size.text), name: size.text.clone(), bytes: size.number, number }
    }

    /// The folder that they are in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The workload that requests them.
    pub fn workload(&self) -> String {
        format!("{LIST}{}", self.name)
    }

    /// Their paths, as a server has them that serves the directory as `/files/`.
    pub fn paths(&self) -> PathList {
        let paths = (0..self.number).map(|n| format!("/files/{}/{n}", self.name)).collect();
        PathList::new(paths, PathOrder::Shuffled)
    }

    /// Where they are, in the order of their numbers.
    pub fn on_disk(&self) -> impl Iterator<Item = PathBuf> + '_ {
        (0..self.number).map(|n| self.folder.join(n.to_string()))
    }

    /// Bytes of all of them.
    pub fn total(&self) -> u64 {
        self.bytes.saturating_mul(self.number as u64)
    }

    /// Whether an earlier run has left exactly these files.
    pub fn are_there(&self) -> bool {
        let manifest = File::open(self.folder.join(MANIFEST)).map(BufReader::new);
        manifest.is_ok_and(|text| text.lines().map_while(Result::ok).eq(self.manifest().lines().map(str::to_owned)))
    }

    fn manifest(&self) -> String {
        format!("{} files of {} bytes, 0 to {}\n", self.number, self.bytes, self.number.saturating_sub(1))
    }

    /// Makes the files, and waits until they are on the disk. Their contents follow from the seed: they look random, so that no
    /// disk can compress them.
    ///
    /// # Errors
    /// There is not enough space, or they cannot be written; or `stop` was set. What was made is removed.
    pub fn make(&self, seed: u64, stop: &AtomicBool) -> Result<(), Unmade> {
        let failed = |error: io::Error| {
            Unmade::Failed(format!(
                "--dir: {}: {error}; name another directory, or a smaller --set",
                self.folder.display()
            ))
        };
        self.remove().map_err(failed)?;
        fs::create_dir_all(&self.folder).map_err(failed)?;
        fs::write(self.folder.join(MANIFEST), "files that are being made\n").map_err(failed)?;
        let made = self.check_space().map_err(Unmade::Failed).and_then(|()| match self.write(seed, stop) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Unmade::Interrupted),
            Err(error) => Err(failed(error)),
        });
        if made.is_err() {
            let _ = self.remove();
        }
        made
    }

    fn check_space(&self) -> Result<(), String> {
        let stat = statvfs(&self.folder).map_err(|errno| format!("--dir: {}: {errno}", self.folder.display()))?;
        let free = (stat.blocks_available() as f64 * stat.fragment_size() as f64 * (1.0 - SPARE)) as u64;
        let block = stat.block_size().max(1);
        let needed = self.bytes.next_multiple_of(block).saturating_mul(self.number as u64);
        let (needed_mb, free_mb) = (needed / 1_000_000, free / 1_000_000);
        match () {
            () if needed > free => Err(format!(
                "--dir: the files of {} need {needed_mb} MB, and {free_mb} MB are free; name another directory, or a smaller --set",
                self.name
            )),
            () if (stat.files_available() as u64) < self.number as u64 => Err(format!(
                "--dir: the file system has no room for {} more files (inodes); name another directory, or fewer --files",
                self.number
            )),
            () => Ok(()),
        }
    }

    /// Writes all files; `false` if it was stopped.
    fn write(&self, seed: u64, stop: &AtomicBool) -> io::Result<bool> {
        const PIECE: usize = 1 << 20;
        let mut random = Rng::with_seed(seed);
        let mut block = vec![0; 2 * PIECE];
        random.fill(&mut block);
        for path in self.on_disk() {
            if stop.load(Relaxed) {
                return Ok(false);
            }
            let mut file = File::create(path)?;
            let mut left = self.bytes;
            while left > 0 {
                let from = random.usize(..PIECE);
                let piece = left.min(PIECE as u64) as usize;
                file.write_all(&block[from..from + piece])?;
                left -= piece as u64;
            }
        }
        nix::unistd::syncfs(File::open(&self.folder)?)?;
        fs::write(self.folder.join(MANIFEST), self.manifest())?;
        Ok(true)
    }

    /// Removes the folder with the files, if it is there.
    ///
    /// # Errors
    /// It cannot be removed; or it has something in it, and no run of the disk lab has made it.
    pub fn remove(&self) -> io::Result<()> {
        if self.folder.join(MANIFEST).exists() {
            return fs::remove_dir_all(&self.folder);
        }
        match fs::remove_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                Err(io::Error::other("it is there, and it has other files"))
            }
            removed => removed,
        }
    }

    /// Takes the files out of this machine's memory: posix_fadvise(2). Pages that a process has mapped, or that are not written
    /// yet, stay; so the files must have been written, and no server may have them open. Returns the bytes that have stayed.
    ///
    /// # Errors
    /// A file cannot be opened, or the kernel does not tell what is in memory.
    fn evict(&self) -> io::Result<u64> {
        let mut stayed = 0;
        for path in self.on_disk() {
            let file = File::open(path)?;
            posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
            stayed += resident::bytes(&file)?;
        }
        Ok(stayed)
    }

    /// Takes the files out of this machine's memory, but for what the kernel still sends.
    ///
    /// # Errors
    /// Those of [`evict`](Files::evict); or more has stayed.
    pub fn make_cold(&self) -> io::Result<()> {
        match self.evict()? {
            ..=MOST_STAYS => Ok(()),
            bytes => {
                let megabytes = bytes / 1_000_000;
                Err(io::Error::other(format!("{megabytes} MB stay in memory, as what another program has mapped does")))
            }
        }
    }

    /// Brings the files into this machine's memory, by reading them. Where they have no room, those that were read last stay.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn heat(&self) -> io::Result<()> {
        let mut sink = vec![0; 1 << 20];
        for path in self.on_disk() {
            let mut file = File::open(path)?;
            while io::Read::read(&mut file, &mut sink)? > 0 {}
        }
        Ok(())
    }
}

/// Puts the files that a load requests where it wants them. No server may run: it may have files open.
///
/// # Errors
/// They cannot be read, or stay in memory although they should not.
pub fn prepare(files: &[Files], load: &Load) -> Result<(), String> {
    for files in files.iter().filter(|files| load.requested().any(|workload| *workload == files.workload())) {
        let prepared = match load.cache {
            Some(Cache::Cold) => files.make_cold(),
            Some(Cache::Hot) => files.heat(),
            // What another control group has read is not counted as this one's memory, so it must not stay.
            Some(Cache::Thrash) => files.make_cold().and_then(|()| files.heat()),
            None => Ok(()),
        };
        prepared.map_err(|error| format!("the files of {}: {error}", files.workload()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

    use super::*;

    /// Four files of 3 KB in a new folder of their own.
    fn files(name: &str) -> (PathBuf, Files) {
        let dir = std::env::temp_dir().join(format!("lab-disk-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        let files = Files::new(&dir, &"3k".parse().unwrap(), 4);
        (dir, files)
    }

    fn make(files: &Files, seed: u64, stopped: bool) -> Result<(), Unmade> {
        files.make(seed, &AtomicBool::new(stopped))
    }

    #[test]
    fn files_are_made_once_for_all_runs_with_the_same_ones() {
        let (dir, files) = files("made");
        assert!(!files.are_there());
        make(&files, 1, false).unwrap();
        assert!(files.are_there());
        let of_seed_1: Vec<Vec<u8>> = files.on_disk().map(|path| fs::read(path).unwrap()).collect();
        assert!(of_seed_1.iter().all(|bytes| bytes.len() == 3_000) && of_seed_1[0] != of_seed_1[1]);
        assert!(!Files::new(&dir, &"3k".parse().unwrap(), 5).are_there(), "one more");
        make(&files, 2, false).unwrap();
        assert_ne!(fs::read(files.on_disk().next().unwrap()).unwrap(), of_seed_1[0]);
        make(&files, 1, false).unwrap();
        assert_eq!(fs::read(files.on_disk().next().unwrap()).unwrap(), of_seed_1[0], "the seed decides");
        files.heat().unwrap();
        let in_memory = || resident::bytes(&File::open(files.on_disk().next().unwrap()).unwrap()).unwrap();
        assert!(in_memory() >= 3_000);
        if files.evict().unwrap() == 0 {
            assert_eq!(in_memory(), 0);
        } else {
            println!("the file system of {} keeps its files in memory", dir.display()); // as tmpfs
        }
        files.remove().unwrap();
        fs::remove_dir(dir).unwrap();
    }

    #[test]
    fn a_stop_leaves_nothing_behind() {
        let (dir, files) = files("stopped");
        assert!(matches!(make(&files, 1, true), Err(Unmade::Interrupted)));
        fs::remove_dir(dir).unwrap();
    }

    #[test]
    fn a_folder_of_others_stays_as_it_is() {
        let (dir, files) = files("others");
        fs::create_dir_all(files.folder()).unwrap();
        fs::write(files.folder().join("mine"), "precious").unwrap();
        let Err(Unmade::Failed(why)) = make(&files, 1, false) else { panic!("it is refused") };
        assert!(why.contains("it has other files; name another directory"), "{why}");
        assert_eq!(fs::read(files.folder().join("mine")).unwrap(), b"precious");
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn files_that_stay_in_memory_are_not_taken_for_cold_ones() {
        let dir = std::env::temp_dir().join(format!("lab-disk-mapped-{}", std::process::id()));
        let files = Files::new(&dir, &"20M".parse().unwrap(), 2);
        make(&files, 1, false).unwrap();
        let load = Load { workload: files.workload(), cache: Some(Cache::Cold), ..Load::default() };
        let of_another = File::open(files.on_disk().next().unwrap()).unwrap();
        let (len, flags) = (NonZeroUsize::new(20_000_000).unwrap(), MapFlags::MAP_SHARED | MapFlags::MAP_POPULATE);
        // SAFETY: a mapping at an address of the kernel's choice overlaps nothing, and nothing uses its bytes.
        let mapping = unsafe { mmap(None, len, ProtFlags::PROT_READ, flags, &of_another, 0).unwrap() };
        let why = prepare(std::slice::from_ref(&files), &load).unwrap_err();
        assert!(why.starts_with("the files of @20M: ") && why.contains(" MB stay in memory, as what"), "{why}");
        // SAFETY: it is our mapping, and nothing borrows it.
        unsafe { munmap(mapping, len.get()).unwrap() };
        files.remove().unwrap();
        fs::remove_dir(dir).unwrap();
    }

    #[test]
    fn the_paths_are_those_of_a_server_of_the_directory() {
        let (_, files) = files("paths");
        let list = files.paths();
        assert_eq!(list.paths[..2], ["/files/3k/0", "/files/3k/1"].map(str::to_owned));
        assert_eq!((list.number, files.workload()), (4, "@3k".into()));
    }
}
