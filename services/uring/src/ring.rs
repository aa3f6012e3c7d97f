//! The ring: submissions out, completions in, and the buffers that the kernel picks from when bytes arrive.

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd};
use std::time::Duration;

use driver::{Calls, Id};
use io_uring::types::{Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};
use nix::errno::Errno;
use scoreboard::Syscall;

use crate::buffers::Buffers;

const SUBMISSIONS: u32 = 1024;
const COMPLETIONS: u32 = 8192;
/// An id has its generation in the upper 32 bits and its index in the lower 32. Indices stay below 2^28, so the bits from 28 to
/// 31 can hold the operation.
const OP_SHIFT: u32 = 28;

/// What was submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Accepts one connection, or one after the other (multishot).
    Accept,
    /// Waits for SIGTERM.
    Sigterm,
    /// Waits until a helper thread has finished a call.
    Helpers,
    /// Receives bytes from the peer of a connection.
    Receive,
    /// Sends bytes to the peer of a connection.
    Send,
    /// Reads bytes of a file for a connection.
    Read,
    /// Cancels another operation.
    Cancel,
    /// Closes a descriptor.
    Close,
}

const OPS: [Op; 8] = [Op::Accept, Op::Sigterm, Op::Helpers, Op::Receive, Op::Send, Op::Read, Op::Cancel, Op::Close];

/// What the kernel hands back with a completion: the operation, and the connection if there is one.
fn user_data(op: Op, id: Option<Id>) -> u64 {
    let bits = id.map_or(0, Id::to_bits);
    debug_assert_eq!(bits >> OP_SHIFT & 0xf, 0, "an index of 2^28");
    bits | (op as u64) << OP_SHIFT
}

/// An operation is complete, or a multishot operation has delivered a part.
#[derive(Debug)]
pub struct Completion {
    /// What was submitted.
    pub op: Op,
    /// For which connection. Without meaning where the operation is none of a connection's.
    pub id: Id,
    /// What the system call would have returned.
    pub result: Result<usize, Errno>,
    /// The operation goes on: more completions follow.
    pub more: bool,
    /// The provided buffer that holds the received bytes.
    pub buffer: Option<u16>,
}

impl Completion {
    fn new(entry: &cqueue::Entry) -> Completion {
        let bits = entry.user_data();
        let result = usize::try_from(entry.result()).map_err(|_| Errno::from_raw(-entry.result()));
        Completion {
            op: OPS[(bits >> OP_SHIFT & 0xf) as usize],
            id: Id::from_bits(bits & !(0xf << OP_SHIFT)),
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
    /// A ring with its provided buffers.
    ///
    /// # Errors
    /// `ErrorKind::Unsupported` where the kernel lacks io_uring (before 6.0), or seccomp or sysctl forbid it;
    /// `ErrorKind::QuotaExceeded` where there is no memory for a ring at the moment.
    pub fn new(calls: Calls) -> io::Result<Ring> {
        let ring = build().map_err(explain)?;
        let buffers = Buffers::register(&ring.submitter()).map_err(explain)?;
        Ok(Ring { ring, buffers, calls })
    }

    /// Submits what was pushed, and waits for a completion, at most that long (`None`: without end): one io_uring_enter(2).
    ///
    /// # Errors
    /// Those of io_uring_enter(2) that do not pass; this holds for all functions here.
    pub fn submit_and_wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.calls.0.syscall(Syscall::IoUringEnter);
        let waited = match timeout {
            None => self.ring.submit_and_wait(1),
            Some(time) => {
                let timespec = Timespec::from(time);
                self.ring.submitter().submit_with_args(1, &SubmitArgs::new().timespec(&timespec))
            }
        };
        match waited {
            Ok(_) => Ok(()),
            Err(error) => match error.raw_os_error().map(Errno::from_raw) {
                // The time is over, a signal has come, or completions must be taken before more can be submitted.
                Some(Errno::ETIME | Errno::EINTR | Errno::EBUSY | Errno::EAGAIN) => Ok(()),
                _ => Err(error),
            },
        }
    }

    /// Takes the completions that are there.
    pub fn completions(&mut self, into: &mut Vec<Completion>) {
        into.extend(self.ring.completion().map(|entry| Completion::new(&entry)));
    }

    /// The bytes that were received into a provided buffer.
    pub fn received(&self, buffer: u16, len: usize) -> &[u8] {
        self.buffers.get(buffer, len)
    }

    /// The kernel may fill that buffer again.
    pub fn give_back(&mut self, buffer: u16) {
        self.buffers.give_back(buffer);
    }

    /// Provides one buffer more, if there is another one: the kernel had none left.
    pub fn add_buffer(&mut self) {
        self.buffers.add();
    }

    /// Accepts connections: one after the other until it is [cancelled](Ring::cancel_accept) (multishot), or one.
    pub fn accept(&mut self, listener: impl AsFd, multishot: bool) -> io::Result<()> {
        let (listener, flags) = (fd(listener), libc::SOCK_CLOEXEC);
        let entry = if multishot {
            opcode::AcceptMulti::new(listener).flags(flags).build()
        } else {
            opcode::Accept::new(listener, std::ptr::null_mut(), std::ptr::null_mut()).flags(flags).build()
        };
        self.push(entry, Op::Accept, None)
    }

    /// Completes `op` when a descriptor becomes readable, once.
    pub fn watch(&mut self, descriptor: impl AsFd, op: Op) -> io::Result<()> {
        let events = libc::POLLIN as u32;
        self.push(opcode::PollAdd::new(fd(descriptor), events).build(), op, None)
    }

    /// Receives bytes into provided buffers: again and again (multishot), or once.
    pub fn receive(&mut self, id: Id, socket: impl AsFd, multishot: bool) -> io::Result<()> {
        let entry = if multishot {
            opcode::RecvMulti::new(fd(socket), Buffers::GROUP).build()
        } else {
            opcode::Recv::new(fd(socket), std::ptr::null_mut(), Buffers::SIZE)
                .buf_group(Buffers::GROUP)
                .build()
                .flags(squeue::Flags::BUFFER_SELECT)
        };
        self.push(entry, Op::Receive, Some(id))
    }

    /// Sends `bytes`; `more` says that more bytes follow at once (MSG_MORE).
    ///
    /// # Safety
    /// The bytes must stay in place, unchanged, until the completion has come.
    pub unsafe fn send(&mut self, id: Id, socket: impl AsFd, bytes: &[u8], more: bool) -> io::Result<()> {
        let flags = libc::MSG_NOSIGNAL | if more { libc::MSG_MORE } else { 0 };
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.push(opcode::Send::new(fd(socket), bytes.as_ptr(), len).flags(flags).build(), Op::Send, Some(id))
    }

    /// Reads `bytes` from a file, at `offset`, into memory.
    ///
    /// # Safety
    /// The memory must stay in place, untouched, until the completion has come.
    pub unsafe fn read(&mut self, id: Id, file: impl AsFd, offset: u64, into: *mut u8, bytes: usize) -> io::Result<()> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let entry = opcode::Read::new(fd(file), into, bytes).offset(offset).build();
        self.push(entry, Op::Read, Some(id))
    }

    /// Ends an operation of a connection early: it completes with ECANCELED, unless it was about to complete anyway.
    pub fn cancel(&mut self, op: Op, id: Id) -> io::Result<()> {
        self.push_cancel(user_data(op, Some(id)))
    }

    /// Ends the accept early.
    pub fn cancel_accept(&mut self) -> io::Result<()> {
        self.push_cancel(user_data(Op::Accept, None))
    }

    fn push_cancel(&mut self, user_data: u64) -> io::Result<()> {
        let entry = opcode::AsyncCancel::new(user_data).build();
        self.push(entry.flags(squeue::Flags::SKIP_SUCCESS), Op::Cancel, None)
    }

    /// Closes a descriptor, in the same batch as everything else.
    pub fn close(&mut self, descriptor: OwnedFd) -> io::Result<()> {
        let entry = opcode::Close::new(Fd(descriptor.into_raw_fd())).build();
        self.push(entry.flags(squeue::Flags::SKIP_SUCCESS), Op::Close, None)
    }

    fn push(&mut self, entry: squeue::Entry, op: Op, id: Option<Id>) -> io::Result<()> {
        let entry = entry.user_data(user_data(op, id));
        // SAFETY: the entry has no pointer, or one to provided buffers, or one whose memory the caller of `send` or `read` has
        // promised to keep in place.
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

/// A ring with the two features that make it fast, where the kernel has them: only one thread submits (6.0), and the kernel
/// processes completions when that thread asks for them, rather than by interrupting it (6.1).
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
    let (kind, why) = match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOSYS) => (ErrorKind::Unsupported, "this kernel has no io_uring"),
        Some(Errno::EPERM | Errno::EACCES) => (
            ErrorKind::Unsupported,
            "io_uring is not permitted here: a seccomp profile, or sysctl kernel.io_uring_disabled, forbids it",
        ),
        Some(Errno::EINVAL) => (ErrorKind::Unsupported, "this kernel's io_uring lacks what we need: Linux 6.0 has it"),
        // The kernel frees the memory of a closed ring later, and other programs may close theirs.
        Some(Errno::ENOMEM | Errno::EAGAIN) => (
            ErrorKind::QuotaExceeded,
            "no memory for io_uring: raise the limit on locked memory (RLIMIT_MEMLOCK, ulimit -l) or the memory of this \
             machine or control group, or lower --threads",
        ),
        _ => return error,
    };
    io::Error::new(kind, why)
}
