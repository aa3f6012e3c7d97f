//! How much of a file is in memory.

use std::fs::File;
use std::io;
use std::num::NonZeroUsize;

use nix::errno::Errno;
use nix::libc;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use nix::unistd::{SysconfVar, sysconf};

/// Bytes of a file that are in memory, in whole pages: mincore(2). The file must be this user's: of others' files, the kernel says that
/// all is in memory.
///
/// # Errors
/// Those of mmap(2) and mincore(2).
pub fn bytes(file: &File) -> io::Result<u64> {
    let len = usize::try_from(file.metadata()?.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let Some(len) = NonZeroUsize::new(len) else { return Ok(0) };
    let page = sysconf(SysconfVar::PAGE_SIZE)?.map_or(4 << 10, |bytes| bytes as usize);
    let mut is_resident = vec![0_u8; len.get().div_ceil(page)];
    // SAFETY: a mapping at an address of the kernel's choice overlaps nothing, and nothing reads its bytes.
    let mapping = unsafe { mmap(None, len, ProtFlags::PROT_READ, MapFlags::MAP_SHARED, file, 0)? };
    // SAFETY: it is our mapping of this length, and the vector has a byte for each of its pages.
    let told = unsafe { libc::mincore(mapping.as_ptr(), len.get(), is_resident.as_mut_ptr()) };
    let told = Errno::result(told);
    // SAFETY: it is our mapping, and nothing borrows it.
    unsafe { munmap(mapping, len.get())? };
    told?;
    Ok((is_resident.iter().filter(|&&byte| byte & 1 == 1).count() * page) as u64)
}
