//! Reads past the page cache (O_DIRECT, open(2)): the flag, the memory that they need, and where they may start.

use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc::c_void;
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous, munmap};
use scoreboard::Syscall;

use crate::syscalls::Calls;

/// Where a direct read may start and end, in the file and in memory: no file system asks for more than a page.
pub const ALIGNMENT: u64 = 4 << 10;
/// A page, as cachestat(2) counts them.
const PAGE: u64 = 4 << 10;
/// The number of cachestat(2), on the architectures of which it is known here.
const SYS_CACHESTAT: Option<libc::c_long> =
    if cfg!(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")) { Some(451) } else { None };
/// Bytes of one slot, and so the most of one direct read.
pub const SLOT: usize = 1 << 20;

/// The aligned piece of a file that holds the bytes from `offset` on, at most `len` of them: where it starts, and how long it
/// is. It fits into a slot.
pub fn aligned(offset: u64, len: u64) -> (u64, usize) {
    let from = offset - offset % ALIGNMENT;
    let bytes = (offset - from).saturating_add(len).min(SLOT as u64);
    (from, bytes.next_multiple_of(ALIGNMENT) as usize)
}

/// Makes reads of an open file bypass the page cache, or go through it again.
///
/// # Errors
/// `EINVAL` where the file system has no direct reads. Some take the flag, and refuse the reads.
pub fn set_direct(file: &File, direct: bool, calls: Calls) -> nix::Result<()> {
    calls.0.syscall(Syscall::Fcntl);
    fcntl(file, FcntlArg::F_SETFL(if direct { OFlag::O_DIRECT } else { OFlag::empty() })).map(drop)
}

/// Whether reads of an open file bypass the page cache.
///
/// # Errors
/// Those of fcntl(2).
pub fn is_direct(file: &File, calls: Calls) -> nix::Result<bool> {
    calls.0.syscall(Syscall::Fcntl);
    Ok(OFlag::from_bits_retain(fcntl(file, FcntlArg::F_GETFL)?).contains(OFlag::O_DIRECT))
}

/// Whether this piece of a file is in the page cache: cachestat(2). No, where the kernel does not tell it: before Linux 6.5, or
/// where the file belongs to another user, or a seccomp profile forbids the call.
///
/// (preadv2(2) with `RWF_NOWAIT` would tell it everywhere. But where a page is not in memory, the kernel begins to read it and
/// those that follow, and a direct read then reads them from the disk a second time.)
pub fn is_in_memory(file: &File, offset: u64, len: u64, calls: Calls) -> bool {
    let Some(number) = SYS_CACHESTAT else { return false };
    let last = offset.saturating_add(len).saturating_sub(1);
    let pages = last / PAGE - offset / PAGE + 1;
    let range = [offset, len]; // struct cachestat_range: off, len
    let mut stat = [0_u64; 5]; // struct cachestat; nr_cache is the first field
    calls.0.syscall(Syscall::Cachestat);
    // SAFETY: the kernel reads two and writes five integers of 64 bits, which are ours for the time of the call.
    let told = unsafe { libc::syscall(number, file.as_raw_fd(), range.as_ptr(), stat.as_mut_ptr(), 0) };
    told == 0 && stat[0] >= pages
}

/// What a file system says that has no direct reads.
pub const NO_DIRECT_READS: Errno = Errno::EINVAL;

/// Memory in slots, aligned for direct reads. Until something is written to a slot, it takes none.
pub struct Slots {
    mapping: NonNull<c_void>,
    len: NonZeroUsize,
}

impl Slots {
    /// That many slots.
    ///
    /// # Errors
    /// The machine has no address space left.
    pub fn new(slots: usize) -> io::Result<Slots> {
        let len = NonZeroUsize::new(slots * SLOT).ok_or(io::ErrorKind::InvalidInput)?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a mapping at an address of the kernel's choice overlaps nothing.
        let mapping = unsafe { mmap_anonymous(None, len, protection, MapFlags::MAP_PRIVATE)? };
        // For each read the kernel pins the pages and tells the disk where each of them is. Huge pages are few.
        // SAFETY: it is our mapping, and what it holds does not change. (EINVAL: this kernel has no huge pages.)
        let _ = unsafe { madvise(mapping, len.get(), MmapAdvise::MADV_HUGEPAGE) };
        Ok(Slots { mapping, len })
    }

    /// Where a slot begins.
    pub fn address(&self, slot: usize) -> *mut u8 {
        assert!(slot < self.len.get() / SLOT, "slot {slot}");
        self.mapping.as_ptr().cast::<u8>().wrapping_add(slot * SLOT)
    }

    /// The first bytes of a slot.
    ///
    /// # Safety
    /// The kernel does not write to them while they are borrowed.
    pub unsafe fn bytes(&self, slot: usize, len: usize) -> &[u8] {
        assert!(len <= SLOT, "{len} bytes");
        // SAFETY: the slot is within the mapping, whose bytes are zero at first; the caller vouches for the rest.
        unsafe { std::slice::from_raw_parts(self.address(slot), len) }
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        // SAFETY: it is our mapping. Its owner has waited until the kernel reads nothing into it any more.
        let _ = unsafe { munmap(self.mapping, self.len.get()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use scoreboard::Scoreboard;

    #[test]
    fn an_aligned_piece_holds_the_first_bytes_and_fits_into_a_slot() {
        let slot = SLOT as u64;
        for (offset, len, piece) in [
            (0, 1, (0, 4096)),
            (0, 4096, (0, 4096)),
            (1, 4096, (0, 8192)),
            (4097, 100_000, (4096, 102_400)),
            (0, slot, (0, SLOT)),
            (1, slot, (0, SLOT)),
            (8192, u64::MAX, (8192, SLOT)),
        ] {
            assert_eq!(aligned(offset, len), piece, "{len} bytes from {offset}");
        }
    }

    #[test]
    fn what_was_just_written_is_in_memory_where_the_kernel_tells_it() {
        let calls = Calls(Box::leak(Box::new(Scoreboard::map().unwrap())).claim());
        let path = std::env::temp_dir().join(format!("driver-direct-{}", std::process::id()));
        std::fs::write(&path, vec![7; 10_000]).unwrap();
        let file = File::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let tells = is_in_memory(&file, 0, 1, calls);
        assert_eq!(is_in_memory(&file, 0, 10_000, calls), tells);
        assert_eq!(is_in_memory(&file, 4_095, 2, calls), tells);
        assert!(!is_in_memory(&file, 0, 20_000, calls), "there are no such pages");
    }

    #[test]
    fn slots_do_not_overlap() {
        let slots = Slots::new(3).unwrap();
        for slot in 0..3 {
            // SAFETY: nothing else uses the slot.
            unsafe { slots.address(slot).write_bytes(slot as u8 + 1, SLOT) };
        }
        for slot in 0..3 {
            // SAFETY: as above.
            assert!(unsafe { slots.bytes(slot, SLOT) }.iter().all(|&byte| byte == slot as u8 + 1));
            assert_eq!(slots.address(slot) as u64 % ALIGNMENT, 0);
        }
    }
}
