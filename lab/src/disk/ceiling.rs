//! How fast the disk gives files, without any server: whole files in random order, read past the page cache by threads, as many
//! as there shall be reads in progress.

use std::fs::OpenOptions;
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use nix::libc::{O_DIRECT, c_void};
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous, munmap};

use super::files::Files;

/// The most bytes of one read.
const PIECE: usize = 1 << 20;
/// Memory of a thread: a huge page, in which a piece is one piece for the disk, too.
const MEMORY: NonZeroUsize = NonZeroUsize::new(2 << 20).expect("it is not 0");
/// A direct read ends on a boundary of pages, except at the end of the file.
const PAGE: u64 = 4 << 10;

/// Files a second, over about `time`, with that many reads in progress. It ends early when all files were read, or `stop` is set.
///
/// # Errors
/// A file cannot be read, or its file system has no direct reads (`ErrorKind::InvalidInput`).
pub fn measure(files: &Files, depth: usize, time: Duration, seed: u64, stop: &AtomicBool) -> io::Result<f64> {
    let mut order: Vec<_> = files.on_disk().collect();
    Rng::with_seed(seed).shuffle(&mut order);
    let (next, read) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let began = Instant::now();
    let results = thread::scope(|scope| {
        let (order, next, read) = (&order, &next, &read);
        let reader = move || -> io::Result<()> {
            let mut memory = HugePage::new()?;
            while began.elapsed() < time && !stop.load(Relaxed) {
                let Some(path) = order.get(next.fetch_add(1, Relaxed)) else { return Ok(()) };
                let file = OpenOptions::new().read(true).custom_flags(O_DIRECT).open(path)?;
                let mut offset = 0;
                while offset < files.bytes {
                    let piece = (files.bytes - offset).next_multiple_of(PAGE).min(PIECE as u64) as usize;
                    match file.read_at(&mut memory.bytes()[..piece], offset)? {
                        0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                        n => offset += n as u64,
                    }
                }
                read.fetch_add(1, Relaxed);
            }
            Ok(())
        };
        let readers: Vec<_> = (0..depth).map(|_| scope.spawn(reader)).collect();
        readers.into_iter().try_for_each(|reader| reader.join().expect("it does not panic"))
    });
    let took = began.elapsed();
    results?;
    Ok(read.load(Relaxed) as f64 / took.as_secs_f64())
}

/// Memory that is aligned for direct reads.
struct HugePage {
    mapping: std::ptr::NonNull<c_void>,
}

impl HugePage {
    fn new() -> io::Result<HugePage> {
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a mapping at an address of the kernel's choice overlaps nothing.
        let mapping = unsafe { mmap_anonymous(None, MEMORY, protection, MapFlags::MAP_PRIVATE)? };
        // SAFETY: it is our mapping, and what it holds does not change. (EINVAL: this kernel has no huge pages.)
        let _ = unsafe { madvise(mapping, MEMORY.get(), MmapAdvise::MADV_HUGEPAGE) };
        Ok(HugePage { mapping })
    }

    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: it is our mapping, whose bytes are zero at first, and it is borrowed for as long as the slice lives.
        unsafe { std::slice::from_raw_parts_mut(self.mapping.as_ptr().cast(), MEMORY.get()) }
    }
}

impl Drop for HugePage {
    fn drop(&mut self) {
        // SAFETY: it is our mapping, and nothing borrows it.
        let _ = unsafe { munmap(self.mapping, MEMORY.get()) };
    }
}
