//! The kernel's asynchronous I/O: io_setup(2) and its three companions, which glibc does not wrap.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr;
use std::time::Instant;

use driver::Calls;
use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};
use scoreboard::Syscall;

const PREAD: u16 = 0;
/// Completion is added to an eventfd.
const RESFD: u32 = 1;

/// Reads that are submitted together at most. With larger batches the disk has nothing to do while the loop sends what the last
/// batch has read.
const BATCH: usize = 8;

/// struct iocb of linux/aio_abi.h.
#[repr(C)]
#[derive(Default)]
struct Iocb {
    data: u64,
    /// A key that the kernel sets, and flags of this operation (none).
    key_and_rw_flags: [u32; 2],
    opcode: u16,
    priority: i16,
    fd: u32,
    buffer: u64,
    bytes: u64,
    offset: i64,
    reserved: u64,
    flags: u32,
    resfd: u32,
}

/// struct io_event of linux/aio_abi.h.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct IoEvent {
    data: u64,
    iocb: u64,
    result: i64,
    result2: i64,
}

/// A read that is complete.
pub struct Completion {
    /// The number that was submitted with it.
    pub data: u64,
    /// Bytes; fewer than asked for at the end of the file.
    pub result: Result<u64, Errno>,
}

/// The reads of one loop that are in progress. Its descriptor is readable when one of them is complete.
pub struct Context {
    id: libc::c_ulong,
    completed: EventFd,
    /// Reads that are not submitted yet.
    batch: Vec<Iocb>,
    /// Reads whose submission has failed.
    failed: Vec<Completion>,
    events: Box<[IoEvent]>,
    calls: Calls,
}

impl Context {
    /// For at most that many reads at a time.
    ///
    /// # Errors
    /// `ErrorKind::Unsupported` where the kernel lacks it or forbids it, `ErrorKind::QuotaExceeded` where it has no room for
    /// another one at the moment.
    pub fn new(reads: usize, calls: Calls) -> io::Result<Context> {
        let completed = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        let id = io_setup(reads).map_err(explain)?;
        let events = vec![IoEvent::default(); reads].into_boxed_slice();
        Ok(Context { id, completed, batch: Vec::new(), failed: Vec::new(), events, calls })
    }

    /// Puts a read into the batch. If the file is closed before the batch is submitted, the read fails, or gives bytes of
    /// another file that has its descriptor by then: only a connection that closes does that, and its chunk is dropped.
    ///
    /// # Errors
    /// The offset is none that a file can have.
    ///
    /// # Safety
    /// The memory must stay mapped and unused until the completion has come or the context is dropped.
    pub unsafe fn read(&mut self, file: &File, offset: u64, into: *mut u8, bytes: usize, data: u64) -> io::Result<()> {
        self.batch.push(Iocb {
            data,
            opcode: PREAD,
            fd: file.as_raw_fd() as u32, // the kernel keeps the file open
            buffer: into as u64,
            bytes: bytes as u64,
            offset: i64::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?,
            flags: RESFD,
            resfd: self.completed.as_raw_fd() as u32,
            ..Iocb::default()
        });
        if self.batch.len() >= BATCH { self.submit() } else { Ok(()) }
    }

    /// Submits the batch: one io_submit(2), unless the kernel refuses one of the reads, which is then complete with that error.
    ///
    /// It blocks all the same where a file is not open for O_DIRECT, and where the file system must first find out where
    /// the bytes are. So its time is measured.
    ///
    /// # Errors
    /// Those of write(2) to the eventfd.
    pub fn submit(&mut self) -> io::Result<()> {
        let mut batch: Vec<*mut Iocb> = self.batch.iter_mut().map(ptr::from_mut).collect();
        let mut rest = &mut batch[..];
        while !rest.is_empty() {
            let begun = Instant::now();
            // SAFETY: pointers to that many iocbs, which the kernel copies; the callers of `read` vouch for the memory that
            // these point to.
            let submitted = unsafe { libc::syscall(libc::SYS_io_submit, self.id, rest.len(), rest.as_mut_ptr()) };
            self.calls.0.syscall_took(Syscall::IoSubmit, begun.elapsed());
            let taken = match Errno::result(submitted) {
                Ok(taken) => taken as usize,
                Err(Errno::EINTR) => continue,
                Err(errno) => {
                    // SAFETY: it points into the batch, which nothing else uses meanwhile.
                    let data = unsafe { (*rest[0]).data };
                    self.failed.push(Completion { data, result: Err(errno) });
                    self.completed.write(1)?; // makes the loop look at it
                    1
                }
            };
            rest = &mut rest[taken..];
        }
        self.batch.clear();
        Ok(())
    }

    /// Takes what is complete, and waits for nothing: io_getevents(2).
    ///
    /// # Errors
    /// Those of the system calls; that of a read is in its completion.
    pub fn completions(&mut self) -> io::Result<impl Iterator<Item = Completion>> {
        self.calls.0.syscall(Syscall::Read);
        match self.completed.read() {
            Ok(_) | Err(Errno::EAGAIN) => {}
            Err(errno) => return Err(errno.into()),
        }
        let most = BATCH;
        let mut at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        self.calls.0.syscall(Syscall::IoGetevents);
        // SAFETY: there is room for that many events, and both pointers are ours for the time of the call.
        let n = unsafe {
            libc::syscall(libc::SYS_io_getevents, self.id, 0, most, self.events.as_mut_ptr(), &raw mut at_once)
        };
        let n = usize::try_from(Errno::result(n)?).unwrap_or(0);
        if n == BATCH {
            self.completed.write(1)?; // there may be more: the loop looks again, after the connections that are ready by then
        }
        let completed = self.events[..n].iter().map(|event| Completion {
            data: event.data,
            result: u64::try_from(event.result).map_err(|_| Errno::from_raw(-event.result as i32)),
        });
        Ok(self.failed.drain(..).chain(completed))
    }
}

impl AsFd for Context {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.completed.as_fd()
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: io_destroy takes no memory of ours; it returns when all reads are complete.
        unsafe { libc::syscall(libc::SYS_io_destroy, self.id) };
    }
}

fn io_setup(reads: usize) -> io::Result<libc::c_ulong> {
    let mut id: libc::c_ulong = 0; // the kernel insists on that
    // SAFETY: the kernel writes the context's number there, and keeps no pointer.
    Errno::result(unsafe { libc::syscall(libc::SYS_io_setup, reads, &raw mut id) })?;
    Ok(id)
}

fn explain(error: io::Error) -> io::Error {
    let (kind, why) = match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOSYS) => {
            (ErrorKind::Unsupported, "this kernel has no asynchronous I/O: it was built without CONFIG_AIO")
        }
        Some(Errno::EPERM | Errno::EACCES) => {
            (ErrorKind::Unsupported, "io_setup is not permitted here: a seccomp profile forbids it")
        }
        Some(Errno::EAGAIN) => (
            ErrorKind::QuotaExceeded, // other programs may give theirs back
            "too many asynchronous reads on this machine: raise sysctl fs.aio-max-nr, or lower --threads",
        ),
        Some(Errno::ENOMEM) => (
            ErrorKind::QuotaExceeded,
            "no memory for asynchronous reads: raise the memory of this machine or control group, or lower --threads",
        ),
        _ => return error,
    };
    io::Error::new(kind, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_structures_are_as_large_as_the_kernels() {
        assert_eq!((size_of::<Iocb>(), size_of::<IoEvent>()), (64, 32));
    }
}
