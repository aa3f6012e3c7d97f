//! The callbacks that wait for something else than a request: a time-out, a helper thread's call, the end of a response.
//!
//! As in node, a callback is not handed the loop: what it asks for is put into lists of this thread, and the loop takes them up
//! when the callback has returned.

use std::any::Any;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use driver::{Helpers, Id};
use http1::Reply;

thread_local! {
    static ASKED_FOR: RefCell<AskedFor> = RefCell::default();
}

type Returned = Box<dyn Any + Send>;
type Call = Box<dyn FnOnce() -> Returned + Send>;
type Callback = Box<dyn FnOnce(Returned)>;

/// What this thread's callbacks have asked for.
#[derive(Default)]
struct AskedFor {
    /// By their times, and numbered, since times may be equal.
    timeouts: BTreeMap<(Instant, u64), Box<dyn FnOnce()>>,
    timeouts_so_far: u64,
    /// Calls that no helper thread has been given yet.
    work: Vec<(Call, Callback)>,
    /// Responses that have ended, and their connections.
    replies: Vec<(Id, Reply)>,
}

/// Runs a callback, once, when the time is over: node's `setTimeout`.
pub fn set_timeout(callback: impl FnOnce() + 'static, time: Duration) {
    // Node's longest time-out is 24 days. A time beyond the range of the clock never comes.
    let Some(when) = Instant::now().checked_add(time) else { return };
    ASKED_FOR.with_borrow_mut(|asked_for| {
        asked_for.timeouts_so_far += 1;
        asked_for.timeouts.insert((when, asked_for.timeouts_so_far), Box::new(callback));
    });
}

/// Lets a helper thread make a call that blocks, and runs a callback with what it returns: libuv's `uv_queue_work`.
///
/// If no thread can be started, the loop makes the call itself.
pub fn queue_work<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static, callback: impl FnOnce(T) + 'static) {
    let call: Call = Box::new(|| Box::new(call()));
    let callback: Callback = Box::new(|returned| callback(*returned.downcast().expect("what the call has returned")));
    ASKED_FOR.with_borrow_mut(|asked_for| asked_for.work.push((call, callback)));
}

/// The response of that connection has ended. (When the thread ends, the list is gone, and the loop as well.)
pub fn end(id: Id, reply: Reply) {
    let _ = ASKED_FOR.try_with(|asked_for| asked_for.borrow_mut().replies.push((id, reply)));
}

/// The reply to the connection whose callback has just returned, if that callback has ended the response.
pub fn take_reply_at_once(id: Id) -> Option<Reply> {
    let last = ASKED_FOR.with_borrow_mut(|asked_for| asked_for.replies.pop_if(|(ended, _)| *ended == id));
    last.map(|(_, reply)| reply)
}

/// The replies of responses that have ended later than that.
pub fn take_replies() -> Vec<(Id, Reply)> {
    ASKED_FOR.with_borrow_mut(|asked_for| std::mem::take(&mut asked_for.replies))
}

/// The part that the loop calls: it runs the callbacks when they are due.
pub struct Callbacks {
    helpers: Helpers<u64, Returned>,
    /// The callbacks of the calls that the helper threads have, by the calls' numbers.
    in_progress: HashMap<u64, Callback>,
    calls_so_far: u64,
}

impl Callbacks {
    /// No callback waits yet.
    ///
    /// # Errors
    /// The machine has no descriptor left.
    pub fn new() -> io::Result<Callbacks> {
        Ok(Callbacks { helpers: Helpers::new()?, in_progress: HashMap::new(), calls_so_far: 0 })
    }

    /// How long the loop may wait until a callback has to run; `None` is without end.
    pub fn timeout(&self) -> Option<Duration> {
        ASKED_FOR.with_borrow(|asked_for| {
            if !asked_for.replies.is_empty() {
                return Some(Duration::ZERO);
            }
            let (&(when, _), _) = asked_for.timeouts.first_key_value()?;
            Some(when.saturating_duration_since(Instant::now()))
        })
    }

    /// Runs the callback of each time-out that is over. A time-out that is set meanwhile waits for the next round, or one
    /// callback after the other could keep the loop for ever.
    pub fn run_timeouts(&mut self) {
        let due = ASKED_FOR.with_borrow_mut(|asked_for| {
            if asked_for.timeouts.is_empty() {
                return BTreeMap::new();
            }
            let later = asked_for.timeouts.split_off(&(Instant::now(), u64::MAX));
            std::mem::replace(&mut asked_for.timeouts, later)
        });
        due.into_values().for_each(|callback| callback());
    }

    /// Gives the calls that callbacks have asked for to the helper threads.
    ///
    /// # Errors
    /// None in practice: the threads have been started.
    pub fn start_work(&mut self) -> io::Result<()> {
        for (call, callback) in ASKED_FOR.with_borrow_mut(|asked_for| std::mem::take(&mut asked_for.work)) {
            if self.helpers.start().is_err() {
                set_timeout(|| callback(call()), Duration::ZERO);
                continue;
            }
            self.calls_so_far += 1;
            self.in_progress.insert(self.calls_so_far, callback);
            self.helpers.run(self.calls_so_far, call)?;
        }
        Ok(())
    }

    /// Runs the callback of each call that has finished: the helper threads' eventfd is readable.
    pub fn run_finished_work(&mut self) {
        while let Some((number, returned)) = self.helpers.finished() {
            if let Some(callback) = self.in_progress.remove(&number) {
                callback(returned);
            }
        }
    }
}

impl Drop for Callbacks {
    /// Callbacks that still wait are dropped, so that another loop of this thread does not run them.
    fn drop(&mut self) {
        drop(ASKED_FOR.take());
        ASKED_FOR.take().replies.clear(); // of the responses that were just dropped
    }
}

impl AsFd for Callbacks {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.helpers.as_fd()
    }
}
