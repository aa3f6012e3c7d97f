//! The temporary file that chunks are read into and sent from.

use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::sync::Arc;

use driver::Calls;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::libc::c_void;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap, munmap};
use scoreboard::Syscall;

/// Bytes of one slot.
pub const SLOT: usize = 256 << 10;

/// Slots of memory that are also a file, memfd_create(2), since sendfile(2) sends from files.
pub struct Pages {
    file: Arc<File>,
    mapping: NonNull<c_void>,
    len: NonZeroUsize,
    calls: Calls,
}

impl Pages {
    /// That many slots; the kernel gives them memory when they are first written to.
    ///
    /// # Errors
    /// The machine has no descriptor or address space left.
    pub fn new(slots: usize, calls: Calls) -> io::Result<Pages> {
        let len = NonZeroUsize::new(slots * SLOT).ok_or(io::ErrorKind::InvalidInput)?;
        let file = File::from(memfd_create("chunks", MFdFlags::MFD_CLOEXEC)?);
        file.set_len(len.get() as u64)?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a mapping at an address of the kernel's choice overlaps nothing.
        let mapping = unsafe { mmap(None, len, protection, MapFlags::MAP_SHARED, &file, 0)? };
        // Part of a huge page that a socket still refers to cannot be taken out: it would be zeroed where it is.
        // SAFETY: it is our mapping, and what it holds does not change. (EINVAL: this kernel has no huge pages.)
        let _ = unsafe { madvise(mapping, len.get(), MmapAdvise::MADV_NOHUGEPAGE) };
        Ok(Pages { file: Arc::new(file), mapping, len, calls })
    }

    /// The file, in which each slot starts at that many times [`SLOT`].
    pub fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Where a slot is mapped, on a boundary of pages.
    pub fn address(&self, slot: usize) -> *mut u8 {
        assert!(slot < self.len.get() / SLOT, "slot {slot}");
        self.mapping.as_ptr().cast::<u8>().wrapping_add(slot * SLOT)
    }

    /// Takes a slot's pages out of the file; the next read into it gets fresh ones. fallocate(2)
    ///
    /// sendfile(2) has copied nothing: the sockets' queues still refer to the old ones, which are freed when the peer
    /// has acknowledged them. Read into again, they would reach it changed.
    pub fn replace(&self, slot: usize) -> io::Result<()> {
        let hole = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        self.calls.0.syscall(Syscall::Fallocate);
        Ok(fallocate(&self.file, hole, (slot * SLOT) as i64, SLOT as i64)?)
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: it is our mapping, and the context, which had its address, was dropped before.
        let _ = unsafe { munmap(self.mapping, self.len.get()) };
    }
}
