//! One aio_read(3), from its first step to its last.

use std::fs::File;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::pin::Pin;
use std::slice;
use std::sync::Arc;

use nix::errno::Errno;
use nix::sys::aio::{Aio, AioRead, aio_suspend};
use nix::sys::signal::SigevNotify;

/// The signal that says that an operation is complete.
pub struct Signal {
    /// Its number.
    pub number: i32,
    /// The value that comes with it.
    pub value: u64,
}

/// A read in progress. Until it is complete, a thread of glibc's may write to the buffer and use the file: both are kept
/// here, untouched, and `Drop` waits.
pub struct Operation {
    aio: Pin<Box<AioRead<'static>>>,
    buffer: Vec<u8>,
    _file: Arc<File>,
}

impl Operation {
    /// Enqueues a read that fills the buffer: aio_read(3). Without a signal, [`is_complete`](Operation::is_complete) has to be
    /// asked.
    ///
    /// # Errors
    /// EAGAIN: glibc has no memory or thread for it now.
    pub fn enqueue(
        file: &Arc<File>,
        offset: u64,
        mut buffer: Vec<u8>,
        signal: Option<Signal>,
    ) -> io::Result<Operation> {
        let offset = i64::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
        // SAFETY: our clone of the file keeps this descriptor open for as long as `aio` lives.
        let fd = unsafe { BorrowedFd::borrow_raw(file.as_raw_fd()) };
        // SAFETY: the memory is the vector's, which is not touched before `end` has seen the operation complete, and
        // freed after that only. (Moving a vector does not move its memory; to forget an operation leaks it.)
        let bytes = unsafe { slice::from_raw_parts_mut(buffer.as_mut_ptr(), buffer.len()) };
        let mut aio = AioRead::new(fd, offset, bytes, 0, SigevNotify::SigevNone);
        if let Some(Signal { number, value }) = signal {
            let event = &mut AsMut::<libc::aiocb>::as_mut(&mut aio).aio_sigevent; // nix knows no real-time signals
            event.sigev_notify = libc::SIGEV_SIGNAL;
            event.sigev_signo = number;
            event.sigev_value.sival_ptr = value as *mut libc::c_void;
        }
        let mut operation = Operation { aio: Box::pin(aio), buffer, _file: Arc::clone(file) };
        operation.aio.as_mut().submit()?;
        Ok(operation)
    }

    /// Is it complete? aio_error(3).
    pub fn is_complete(&mut self) -> bool {
        self.aio.as_mut().error() != Err(Errno::EINPROGRESS)
    }

    /// The bytes that were read, in the buffer that was given for them; fewer than its length only at the end of the file.
    /// Blocks if the read is not complete.
    ///
    /// # Errors
    /// Those of pread(2); EAGAIN: the read was done, but the signal could not be queued.
    pub fn finish(mut self) -> io::Result<Vec<u8>> {
        let n = self.end()?;
        let mut bytes = mem::take(&mut self.buffer);
        bytes.truncate(n);
        Ok(bytes)
    }

    /// Ends the read early if it has not begun: aio_cancel(3). In any case it becomes complete some time.
    pub fn cancel(&mut self) {
        let _ = self.aio.as_mut().cancel();
    }

    /// Waits until it is complete, aio_suspend(3), and takes the return value, aio_return(3).
    fn end(&mut self) -> nix::Result<usize> {
        while !self.is_complete() {
            let _ = aio_suspend(&[&*self.aio], None); // EINTR: again
        }
        let error = self.aio.as_mut().error(); // aio_return does not set errno
        let n = self.aio.as_mut().aio_return();
        error.and(n)
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        if self.aio.in_progress() {
            self.cancel();
            let _ = self.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn this_file() -> (Arc<File>, Vec<u8>) {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/operation.rs");
        (Arc::new(File::open(path).unwrap()), std::fs::read(path).unwrap())
    }

    #[test]
    fn a_read_gives_what_is_there() {
        let (file, content) = this_file();
        let read = |offset, len| Operation::enqueue(&file, offset, vec![0; len], None).unwrap().finish().unwrap();
        assert_eq!(read(10, 100), content[10..110]);
        assert_eq!(read(100, content.len()), content[100..], "the end of the file");
        assert!(read(content.len() as u64, 1).is_empty(), "after the end");
    }

    #[test]
    fn a_read_that_fails_says_why() {
        let directory = Arc::new(File::open(env!("CARGO_MANIFEST_DIR")).unwrap());
        let error = Operation::enqueue(&directory, 0, vec![0; 1], None).unwrap().finish().unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EISDIR));
    }

    #[test]
    fn what_is_dropped_early_holds_its_file_no_longer() {
        let (file, _) = this_file();
        let operations: Vec<_> =
            (0..100).map(|n| Operation::enqueue(&file, n, vec![0; 1 << 10], None).unwrap()).collect();
        assert_eq!(Arc::strong_count(&file), 101);
        drop(operations);
        assert_eq!(Arc::strong_count(&file), 1);
    }
}
