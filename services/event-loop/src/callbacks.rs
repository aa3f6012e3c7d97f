//! Who is called back, when it is no request that has come.
//!
//! As in node, callbacks are not handed the loop: it is their thread's, of which there is one.

use std::any::Any;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use driver::Helpers;
use http::Reply;

thread_local! {
    static ASKED_FOR: RefCell<AskedFor> = RefCell::default();
}

type Given = Box<dyn Any + Send>;
type Call = Box<dyn FnOnce() -> Given + Send>;
type Callback = Box<dyn FnOnce(Given)>;

/// What this thread's callbacks have asked for.
#[derive(Default)]
struct AskedFor {
    /// By their times, and numbered, since times may be equal.
    timeouts: BTreeMap<(Instant, u64), Box<dyn FnOnce()>>,
    timeouts_so_far: u64,
    /// What is not handed out yet.
    work: Vec<(Call, Callback)>,
    /// Responses that have ended, by the keys of their connections.
    replies: Vec<(u64, Reply)>,
}

/// Calls back, once, when the time is over: node's `setTimeout`.
pub fn set_timeout(callback: impl FnOnce() + 'static, time: Duration) {
    // Node's longest is 24 days. What is longer than this machine's clock is for ever.
    let Some(when) = Instant::now().checked_add(time) else { return };
    ASKED_FOR.with_borrow_mut(|asked_for| {
        asked_for.timeouts_so_far += 1;
        asked_for.timeouts.insert((when, asked_for.timeouts_so_far), Box::new(callback));
    });
}

/// Has a helper thread make a call that blocks, and calls back with what it gives: libuv's `uv_queue_work`.
///
/// Where there is no thread to be had, the loop makes the call itself.
pub fn queue_work<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static, callback: impl FnOnce(T) + 'static) {
    let call: Call = Box::new(|| Box::new(call()));
    let callback: Callback = Box::new(|given| callback(*given.downcast().expect("what the call has given")));
    ASKED_FOR.with_borrow_mut(|asked_for| asked_for.work.push((call, callback)));
}

/// The response of that connection has ended. (At the end of a thread there is nobody left to be told.)
pub fn end(key: u64, reply: Reply) {
    let _ = ASKED_FOR.try_with(|asked_for| asked_for.borrow_mut().replies.push((key, reply)));
}

/// The reply of that connection, if its callback, which has just returned, has ended it.
pub fn ended_at_once(key: u64) -> Option<Reply> {
    let last = ASKED_FOR.with_borrow_mut(|asked_for| asked_for.replies.pop_if(|(ended, _)| *ended == key));
    last.map(|(_, reply)| reply)
}

/// The responses that have ended later than that.
pub fn ended() -> Vec<(u64, Reply)> {
    ASKED_FOR.with_borrow_mut(|asked_for| std::mem::take(&mut asked_for.replies))
}

/// The loop's side: calls back for what was asked for.
pub struct Callbacks {
    helpers: Helpers<Given>,
    at_work: HashMap<u64, Callback>,
    work_so_far: u64,
}

impl Callbacks {
    /// Nobody waits yet.
    pub fn new() -> io::Result<Callbacks> {
        Ok(Callbacks { helpers: Helpers::new()?, at_work: HashMap::new(), work_so_far: 0 })
    }

    /// How long there is nobody to call back; `None` is for ever.
    pub fn pause(&self) -> Option<Duration> {
        ASKED_FOR.with_borrow(|asked_for| {
            if !asked_for.replies.is_empty() {
                return Some(Duration::ZERO);
            }
            let (&(when, _), _) = asked_for.timeouts.first_key_value()?;
            Some(when.saturating_duration_since(Instant::now()))
        })
    }

    /// Calls back for each time-out that is due. One that is set meanwhile waits for the next round, or one callback
    /// after the other could keep the loop.
    pub fn timeouts(&mut self) {
        let due = ASKED_FOR.with_borrow_mut(|asked_for| {
            if asked_for.timeouts.is_empty() {
                return BTreeMap::new();
            }
            let later = asked_for.timeouts.split_off(&(Instant::now(), u64::MAX));
            std::mem::replace(&mut asked_for.timeouts, later)
        });
        due.into_values().for_each(|callback| callback());
    }

    /// Gives to the helper threads what was asked for.
    pub fn hand_out_work(&mut self) -> io::Result<()> {
        for (call, callback) in ASKED_FOR.with_borrow_mut(|asked_for| std::mem::take(&mut asked_for.work)) {
            if self.helpers.start().is_err() {
                set_timeout(|| callback(call()), Duration::ZERO);
                continue;
            }
            self.work_so_far += 1;
            self.at_work.insert(self.work_so_far, callback);
            self.helpers.run(self.work_so_far, call)?;
        }
        Ok(())
    }

    /// Calls back for each call that has been made: the helpers are readable.
    pub fn work_done(&mut self) {
        while let Some((number, given)) = self.helpers.done() {
            if let Some(callback) = self.at_work.remove(&number) {
                callback(given);
            }
        }
    }
}

impl Drop for Callbacks {
    /// Whoever still waits is not called back, by another loop of this thread either.
    fn drop(&mut self) {
        drop(ASKED_FOR.take());
        ASKED_FOR.take().replies.clear(); // of the responses that were dropped just now
    }
}

impl AsFd for Callbacks {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.helpers.as_fd()
    }
}
