//! The ring: submissions out, completions in, and the buffers that the kernel picks from when bytes arrive.

use std::io;
use std::os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd};
use std::time::Duration;

use driver::Calls;
use io_uring::types::{Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};
use nix::errno::Errno;
use scoreboard::Syscall;

use crate::buffers::Buffers;

const SUBMISSIONS: u32 = 1024;
const COMPLETIONS: u32 = 8192;
/// A key is a generation above an index below 2^28: the bits between are free for the operation.
const OP_SHIFT: u32 = 28;

/// What was submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Connections that arrive, or the next one.
    Accept,
    /// A descriptor has become readable.
    Readable,
    /// Bytes from a peer.
    Receive,
    /// Bytes to a peer.
    Send,
    /// Bytes of a file.
    Read,
    /// The end of another operation, or of a descriptor: only a failure is reported, and it does not matter.
    End,
}

const OPS: [Op; 6] = [Op::Accept, Op::Readable, Op::Receive, Op::Send, Op::Read, Op::End];

fn tag(op: Op, key: u64) -> u64 {
    debug_assert_eq!(key >> OP_SHIFT & 0xf, 0, "an index of 2^28");
    key | (op as u64) << OP_SHIFT
}

/// Something that was submitted is done, or one of its many parts is.
#[derive(Debug)]
pub struct Completion {
    /// What was submitted.
    pub op: Op,
    /// For whom.
    pub key: u64,
    /// The number that the system call would have returned.
    pub result: Result<usize, Errno>,
    /// Will there be more completions of the same submission?
    pub more: bool,
    /// The provided buffer that holds what was received.
    pub buffer: Option<u16>,
}

impl Completion {
    fn of(entry: &cqueue::Entry) -> Completion {
        let tag = entry.user_data();
        let result = usize::try_from(entry.result()).map_err(|_| Errno::from_raw(-entry.result()));
        Completion {
            op: OPS[(tag >> OP_SHIFT & 0xf) as usize],
            key: tag & !(0xf << OP_SHIFT),
            result,
            more: cqueue::more(entry.flags()),
            buffer: cqueue::buffer_select(entry.flags()),
        }
    }
}

/// One thread's io_uring.
pub struct Ring {
    ring: IoUring,
    buffers: Buffers,
    calls: Calls,
}

impl Ring {
    /// `ErrorKind::Unsupported` where the kernel lacks it (before 6.0), or seccomp or sysctl forbid it.
    pub fn new(calls: Calls) -> io::Result<Ring> {
        let ring = build().map_err(explain)?;
        let buffers = Buffers::register(&ring.submitter()).map_err(explain)?;
        Ok(Ring { ring, buffers, calls })
    }

    /// Submits what was pushed, and waits for a completion, or that long: one io_uring_enter(2).
    pub fn submit_and_wait(&mut self, pause: Option<Duration>) -> io::Result<()> {
        self.calls.0.syscall(Syscall::IoUringEnter);
        let waited = match pause {
            None => self.ring.submit_and_wait(1),
            Some(pause) => {
                let timespec = Timespec::from(pause);
                self.ring.submitter().submit_with_args(1, &SubmitArgs::new().timespec(&timespec))
            }
        };
        match waited {
            Ok(_) => Ok(()),
            Err(error) => match error.raw_os_error().map(Errno::from_raw) {
                // A process that was stopped for a while is woken like this, with completions that it has not got yet.
                Some(Errno::EINTR) => self.submit_and_wait(Some(Duration::ZERO)),
                Some(Errno::ETIME) if pause != Some(Duration::ZERO) => self.submit_and_wait(Some(Duration::ZERO)),
                // The time is over; or completions must be taken before more can be submitted.
                Some(Errno::ETIME | Errno::EBUSY | Errno::EAGAIN) => Ok(()),
                _ => Err(error),
            },
        }
    }

    /// Takes what is completed.
    pub fn completions(&mut self, into: &mut Vec<Completion>) {
        into.extend(self.ring.completion().map(|entry| Completion::of(&entry)));
    }

    /// What was received into a provided buffer.
    pub fn received(&self, buffer: u16, len: usize) -> &[u8] {
        self.buffers.get(buffer, len)
    }

    /// The kernel may fill that buffer again.
    pub fn give_back(&mut self, buffer: u16) {
        self.buffers.give_back(buffer);
    }

    /// The kernel had no buffer left.
    pub fn add_buffer(&mut self) {
        self.buffers.add();
    }

    /// Accepts whoever arrives: again and again, until it is [ended](Ring::end), or once.
    pub fn accept(&mut self, listener: impl AsFd, again: bool) -> io::Result<()> {
        let (listener, flags) = (fd(listener), libc::SOCK_CLOEXEC);
        let entry = if again {
            opcode::AcceptMulti::new(listener).flags(flags).build()
        } else {
            opcode::Accept::new(listener, std::ptr::null_mut(), std::ptr::null_mut()).flags(flags).build()
        };
        self.push(entry, Op::Accept, 0)
    }

    /// Says when a descriptor is readable, once.
    pub fn watch(&mut self, readable: impl AsFd, key: u64) -> io::Result<()> {
        let events = libc::POLLIN as u32;
        self.push(opcode::PollAdd::new(fd(readable), events).build(), Op::Readable, key)
    }

    /// Receives what comes into provided buffers: again and again, or once.
    pub fn receive(&mut self, key: u64, socket: impl AsFd, again: bool) -> io::Result<()> {
        let entry = if again {
            opcode::RecvMulti::new(fd(socket), Buffers::GROUP).build()
        } else {
            opcode::Recv::new(fd(socket), std::ptr::null_mut(), Buffers::SIZE)
                .buf_group(Buffers::GROUP)
                .build()
                .flags(squeue::Flags::BUFFER_SELECT)
        };
        self.push(entry, Op::Receive, key)
    }

    /// Sends `bytes`; `more` says that a file follows.
    ///
    /// # Safety
    /// The bytes must stay in place, unchanged, until the completion has come.
    pub unsafe fn send(&mut self, key: u64, socket: impl AsFd, bytes: &[u8], more: bool) -> io::Result<()> {
        let flags = libc::MSG_NOSIGNAL | if more { libc::MSG_MORE } else { 0 };
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.push(opcode::Send::new(fd(socket), bytes.as_ptr(), len).flags(flags).build(), Op::Send, key)
    }

    /// Reads from a file, at `offset`, into `into`.
    ///
    /// # Safety
    /// The buffer must stay in place, untouched, until the completion has come.
    pub unsafe fn read(&mut self, key: u64, file: impl AsFd, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let len = u32::try_from(into.len()).unwrap_or(u32::MAX);
        let entry = opcode::Read::new(fd(file), into.as_mut_ptr(), len).offset(offset).build();
        self.push(entry, Op::Read, key)
    }

    /// Ends an operation early: it completes with ECANCELED, unless it was about to complete anyway.
    pub fn end(&mut self, op: Op, key: u64) -> io::Result<()> {
        let entry = opcode::AsyncCancel::new(tag(op, key)).build();
        self.push(entry.flags(squeue::Flags::SKIP_SUCCESS), Op::End, key)
    }

    /// Closes a descriptor, in the same batch as everything else.
    pub fn close(&mut self, descriptor: OwnedFd) -> io::Result<()> {
        let entry = opcode::Close::new(Fd(descriptor.into_raw_fd())).build();
        self.push(entry.flags(squeue::Flags::SKIP_SUCCESS), Op::End, 0)
    }

    fn push(&mut self, entry: squeue::Entry, op: Op, key: u64) -> io::Result<()> {
        let entry = entry.user_data(tag(op, key));
        // SAFETY: what the entry points to is ours (no pointer, or provided buffers), or its owner has promised to
        // keep it in place: `send`, `read`.
        while unsafe { self.ring.submission().push(&entry) }.is_err() {
            self.calls.0.syscall(Syscall::IoUringEnter);
            self.ring.submit()?; // the queue is full: the kernel takes it over and empties it
        }
        Ok(())
    }
}

fn fd(descriptor: impl AsFd) -> Fd {
    Fd(descriptor.as_fd().as_raw_fd())
}

/// With what makes it fast where the kernel has it: one thread only submits (6.0), and completions are worked off
/// when it asks for them rather than by interrupting it (6.1).
fn build() -> io::Result<IoUring> {
    let best = IoUring::builder()
        .setup_cqsize(COMPLETIONS)
        .setup_submit_all()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .build(SUBMISSIONS);
    match best {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            IoUring::builder().setup_cqsize(COMPLETIONS).setup_submit_all().setup_single_issuer().build(SUBMISSIONS)
        }
        other => other,
    }
}

fn explain(error: io::Error) -> io::Error {
    let why = match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOSYS) => "this kernel has no io_uring",
        Some(Errno::EPERM | Errno::EACCES) => {
            "io_uring is not permitted here: a seccomp profile, or sysctl kernel.io_uring_disabled, forbids it"
        }
        Some(Errno::EINVAL) => "this kernel's io_uring lacks what we need: Linux 6.0 has it",
        _ => return error,
    };
    io::Error::new(io::ErrorKind::Unsupported, why)
}
