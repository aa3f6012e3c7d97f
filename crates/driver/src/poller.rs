//! The interface between the connections of a loop and the kernel's way of watching their sockets.
//!
//! select, poll and epoll each implement [`Poller`] in their own folder, with the same functions in the same order, so
//! a diff of two of them shows how the two interfaces differ and nothing else.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use slotmap::{Key as _, KeyData, new_key_type};

/// Asks the kernel which of the watched descriptors would not block.
pub trait Poller {
    /// How the kernel reports readiness.
    const TRIGGER: Trigger;

    /// Watches one more descriptor, whose events carry `key`.
    ///
    /// # Errors
    /// Those of the system call, if the kernel is told by one.
    fn watch(&mut self, fd: BorrowedFd<'_>, key: Key, interest: Interest) -> io::Result<()>;

    /// Watches a descriptor for something else from now on.
    ///
    /// # Errors
    /// Those of the system call, if the kernel is told by one.
    fn change(&mut self, fd: BorrowedFd<'_>, key: Key, interest: Interest) -> io::Result<()>;

    /// Stops watching a descriptor that stays open.
    ///
    /// # Errors
    /// Those of the system call, if the kernel is told by one.
    fn forget(&mut self, fd: BorrowedFd<'_>) -> io::Result<()>;

    /// Stops watching a descriptor that the caller closes next.
    ///
    /// # Errors
    /// Those of the system call, if the kernel is told by one.
    fn forget_closing(&mut self, fd: BorrowedFd<'_>) -> io::Result<()>;

    /// Waits until a watched descriptor is ready, or until the time-out (`None`: without end), and appends an event for
    /// each descriptor that is ready.
    ///
    /// # Errors
    /// Those of the system call, but for EINTR.
    fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<Event>) -> io::Result<()>;
}

/// How the kernel reports that a descriptor is ready: epoll(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Once for each change. An event that does not matter now costs nothing, so an interest need never be taken back.
    Edge,
    /// At each wait for as long as the descriptor is ready. An interest that is left standing would wake the loop again
    /// and again, so it must be taken back.
    Level,
}

/// What a descriptor is watched for. A connection that waits for a helper thread has no interest.
/// In this order, since an edge-triggered interest only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Interest {
    /// Until the connection is broken, since its peer has reset it. The end of the peer's stream is no break: the peer still
    /// waits for its reply.
    Break,
    /// Until a read would not block.
    Read,
    /// Until a write would not block. An edge-triggered poller goes on reporting reads.
    Write,
}

/// What the kernel said about a descriptor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// A read would not block.
    pub readable: bool,
    /// A write would not block.
    pub writable: bool,
    /// The peer has closed its side, or the connection is broken: read on until a read says so.
    pub hung_up: bool,
    /// The connection is broken: no reply can reach its peer. It is then `hung_up`, too.
    pub broken: bool,
}

/// A descriptor that is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Which one.
    pub key: Key,
    /// What it is ready for.
    pub readiness: Readiness,
}

/// What an event is about. (A descriptor's number could not say it: the kernel gives the number of a closed descriptor to
/// the next connection, and an event from before the close would then reach the wrong one.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A connection has arrived.
    Listener,
    /// SIGTERM has come.
    Stop,
    /// A helper thread has finished a call.
    Helpers,
    /// An event source that only this model has, such as a signal or a completion; the model numbers them.
    Own(u32),
    /// A connection.
    Connection(Id),
}

new_key_type! {
    /// A connection of this loop: an index and the generation of its place, so an id is never used a second time.
    pub struct Id;
}

impl Id {
    /// As a number above 2^32, for an interface that carries one through the kernel or a library.
    pub fn to_bits(self) -> u64 {
        self.data().as_ffi()
    }

    /// The inverse of [`to_bits`](Id::to_bits).
    pub fn from_bits(bits: u64) -> Id {
        KeyData::from_ffi(bits).into()
    }
}

impl Key {
    const OWN: u64 = 3;

    /// As a number, such as `epoll_event.data` has room for. The generation of an [`Id`] stands above 2^32 and is never 0,
    /// which leaves all smaller numbers to the others.
    pub fn to_bits(self) -> u64 {
        match self {
            Key::Connection(id) => id.to_bits(),
            Key::Listener => 0,
            Key::Stop => 1,
            Key::Helpers => 2,
            Key::Own(n) => Key::OWN + u64::from(n),
        }
    }

    /// The inverse of [`to_bits`](Key::to_bits).
    pub fn from_bits(bits: u64) -> Key {
        match bits {
            0 => Key::Listener,
            1 => Key::Stop,
            2 => Key::Helpers,
            Key::OWN..0x1_0000_0000 => Key::Own((bits - Key::OWN) as u32),
            _ => Key::Connection(Id::from_bits(bits)),
        }
    }
}

#[cfg(test)]
mod tests {
    use slotmap::SlotMap;

    use super::*;

    #[test]
    fn keys_survive_the_way_through_the_kernel() {
        let mut connections = SlotMap::<Id, ()>::with_key();
        let first = connections.insert(());
        connections.remove(first);
        let second = connections.insert(());
        assert_ne!(first, second, "the place is used again, the id is not");
        let own = (0..3).map(Key::Own);
        let keys = [Key::Listener, Key::Stop, Key::Helpers, Key::Connection(first), Key::Connection(second)];
        let keys: Vec<_> = own.chain(keys).collect();
        for &key in &keys {
            assert_eq!(Key::from_bits(key.to_bits()), key);
        }
        for (n, a) in keys.iter().enumerate() {
            assert!(keys[n + 1..].iter().all(|b| a.to_bits() != b.to_bits()), "{a:?}");
        }
    }
}
