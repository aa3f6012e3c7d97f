//! Threads that are detached: each one ends by itself, and no other thread joins it.

use std::io;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use driver::THREAD_STACK;
use libc::{c_int, c_void, pthread_attr_t};
use nix::errno::Errno;

/// Starts detached threads: pthread_create(3).
///
/// std gives each of its threads a second stack, on which it could print a message when the first one overflows. That is
/// eight system calls a thread, a fifth of what a connection with one request costs (ARCHITECTURE.md has the command). An
/// overflow of these threads ends the process without a message.
pub struct Detached(pthread_attr_t);

impl Detached {
    /// Threads with a stack of [`THREAD_STACK`] bytes.
    pub fn new() -> io::Result<Detached> {
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: the first call makes them valid, and the others change them.
        unsafe {
            checked(libc::pthread_attr_init(attributes.as_mut_ptr()))?;
            checked(libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), THREAD_STACK))?;
            checked(libc::pthread_attr_setdetachstate(attributes.as_mut_ptr(), libc::PTHREAD_CREATE_DETACHED))?;
            Ok(Detached(attributes.assume_init()))
        }
    }

    /// Starts one that does the work.
    ///
    /// # Errors
    /// Those of pthread_create(3), and the work, which was not done. EAGAIN may pass.
    pub fn start<F: FnOnce() + Send + 'static>(&self, work: F) -> Result<(), (Errno, F)> {
        let work = Box::into_raw(Box::new(work));
        let mut thread = 0;
        // SAFETY: the attributes are valid; `run` gets work of its own type, which nothing else refers to.
        let started = checked(unsafe { libc::pthread_create(&mut thread, &self.0, run::<F>, work.cast()) });
        // SAFETY: no thread has been started, so nothing else has taken the work.
        started.map_err(|errno| (errno, *unsafe { Box::from_raw(work) }))
    }
}

extern "C" fn run<F: FnOnce()>(work: *mut c_void) -> *mut c_void {
    // SAFETY: it is the box that `start` has made for this thread alone.
    let work = unsafe { Box::from_raw(work.cast::<F>()) };
    let _ = catch_unwind(AssertUnwindSafe(work)); // a panic must not leave this function, and ends only this thread
    ptr::null_mut()
}

/// These calls return their error, and leave `errno` alone.
fn checked(result: c_int) -> Result<(), Errno> {
    if result == 0 { Ok(()) } else { Err(Errno::from_raw(result)) }
}
