//! What a worker counts (one [`Counters`] is one shard), and the totals over all shards.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The routes under which requests are counted; `Other` stands for every path that the application does not serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)] // the labels in `ROUTES` describe the variants
pub enum Route {
    Other,
    Root,
    Files,
    Sleep,
    Work,
    Counter,
    Nod,
    Nods,
}

/// Every route with its label, in the order of the counters.
pub const ROUTES: [(Route, &str); 8] = [
    (Route::Other, "other"),
    (Route::Root, "/"),
    (Route::Files, "/files"),
    (Route::Sleep, "/sleep"),
    (Route::Work, "/work"),
    (Route::Counter, "/counter"),
    (Route::Nod, "/nod"),
    (Route::Nods, "/nods"),
];

/// The status codes that are counted separately. The last slot, 0, counts all others.
pub const STATUSES: [u16; 24] = [
    200, 204, 206, 303, 304, 400, 401, 403, 404, 405, 408, 411, 412, 413, 414, 415, 416, 417, 431, 500, 501, 503, 505,
    0,
];

/// Upper bounds of the duration buckets, in nanoseconds: 1 µs to 10 s in steps of 1, 2, 5.
pub const BUCKETS: [u64; 22] = {
    let mut bounds = [0; 22];
    let (mut at, mut decade) = (0, 1_000);
    while at < 22 {
        bounds[at] = decade * [1, 2, 5][at % 3];
        at += 1;
        if at % 3 == 0 {
            decade *= 10;
        }
    }
    bounds
};

/// The system calls that the services' own code makes and counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)] // the labels in `Syscall::ALL` describe the variants
pub enum Syscall {
    Accept,
    Read,
    Write,
    Sendfile,
    Close,
    Fork,
    EpollCtl,
    EpollWait,
    IoUringEnter,
    Poll,
    Select,
    Clone,
    IoSubmit,
    IoGetevents,
    Cachestat,
    Fcntl,
}

impl Syscall {
    /// Every system call with its label, in the order of the counters.
    pub const ALL: [(Syscall, &str); 16] = [
        (Syscall::Accept, "accept4"),
        (Syscall::Read, "read"),
        (Syscall::Write, "write"),
        (Syscall::Sendfile, "sendfile"),
        (Syscall::Close, "close"),
        (Syscall::Fork, "fork"),
        (Syscall::EpollCtl, "epoll_ctl"),
        (Syscall::EpollWait, "epoll_wait"),
        (Syscall::IoUringEnter, "io_uring_enter"),
        (Syscall::Poll, "poll"),
        (Syscall::Select, "select"),
        (Syscall::Clone, "clone3"),
        (Syscall::IoSubmit, "io_submit"),
        (Syscall::IoGetevents, "io_getevents"),
        (Syscall::Cachestat, "cachestat"),
        (Syscall::Fcntl, "fcntl"),
    ];
}

/// One shard of the scoreboard: what one worker counts.
///
/// Any thread of any process may add to any shard. A worker always uses the same one, because that is faster.
#[derive(Debug)]
#[repr(C, align(128))] // two cache lines, because the CPU fetches adjacent lines in pairs
pub struct Counters {
    requests: [[AtomicU64; STATUSES.len()]; ROUTES.len()],
    durations: [[AtomicU64; BUCKETS.len() + 1]; ROUTES.len()],
    duration_ns: [AtomicU64; ROUTES.len()],
    syscalls: [AtomicU64; Syscall::ALL.len()],
    syscall_ns: [AtomicU64; Syscall::ALL.len()],
    accepted: AtomicU64,
    accept_paused: AtomicU64,
    active: AtomicI64,
    queued: AtomicI64,
    reaped_cpu_ns: AtomicU64,
    reaped_voluntary: AtomicU64,
    reaped_involuntary: AtomicU64,
    reaped_minor_faults: AtomicU64,
    reaped_major_faults: AtomicU64,
}

impl Counters {
    /// Counts a reply that has been sent completely.
    pub fn served(&self, route: usize, status: u16, took: Duration) {
        let status = STATUSES.iter().position(|&s| s == status).unwrap_or(STATUSES.len() - 1);
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BUCKETS.iter().position(|&bound| ns <= bound).unwrap_or(BUCKETS.len());
        let route = route.min(ROUTES.len() - 1);
        self.requests[route][status].fetch_add(1, Relaxed);
        self.durations[route][bucket].fetch_add(1, Relaxed);
        self.duration_ns[route].fetch_add(ns, Relaxed);
    }

    /// Counts a system call.
    pub fn syscall(&self, call: Syscall) {
        self.syscalls[call as usize].fetch_add(1, Relaxed);
    }

    /// Counts a system call and the time it took. This is for calls that should return at once, but sometimes block.
    pub fn syscall_took(&self, call: Syscall, took: Duration) {
        self.syscall(call);
        self.syscall_ns[call as usize].fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    /// Counts a connection that was accepted and is now open.
    pub fn opened(&self) {
        self.accepted.fetch_add(1, Relaxed);
        self.active.fetch_add(1, Relaxed);
    }

    /// Counts a connection that is no longer open.
    pub fn closed(&self) {
        self.active.fetch_sub(1, Relaxed);
    }

    /// Counts an accepted connection as open until the returned guard is dropped, which also happens in a panic.
    pub fn open(&'static self) -> Open {
        self.opened();
        Open(self)
    }

    /// Counts a connection that was accepted and waits for a worker or a permit.
    pub fn queued(&self) {
        self.queued.fetch_add(1, Relaxed);
    }

    /// Counts a connection that no longer waits.
    pub fn dequeued(&self) {
        self.queued.fetch_sub(1, Relaxed);
    }

    /// Counts that the acceptor had to pause: at the connection limit, or because descriptors or processes ran out.
    pub fn accept_paused(&self) {
        self.accept_paused.fetch_add(1, Relaxed);
    }

    /// Adds the resource usage of a reaped child, as wait4(2) returns it: getrusage(2).
    pub fn reaped(&self, usage: &libc::rusage) {
        let ns = |t: libc::timeval| (t.tv_sec as u64) * 1_000_000_000 + (t.tv_usec as u64) * 1_000;
        // Only the sum of user and system time is exact. The kernel divides it by the modes that its clock ticks
        // interrupted, and a short-lived process may have seen no tick at all.
        self.reaped_cpu_ns.fetch_add(ns(usage.ru_utime) + ns(usage.ru_stime), Relaxed);
        self.reaped_voluntary.fetch_add(usage.ru_nvcsw as u64, Relaxed);
        self.reaped_involuntary.fetch_add(usage.ru_nivcsw as u64, Relaxed);
        self.reaped_minor_faults.fetch_add(usage.ru_minflt as u64, Relaxed);
        self.reaped_major_faults.fetch_add(usage.ru_majflt as u64, Relaxed);
    }

    pub(crate) fn replies(&self) -> u64 {
        self.requests.iter().flatten().map(|count| count.load(Relaxed)).sum()
    }

    pub(crate) fn reaped_cpu_ns(&self) -> u64 {
        self.reaped_cpu_ns.load(Relaxed)
    }

    /// Sets the gauges to zero: their connections were closed when the model's process died.
    pub(crate) fn reset_gauges(&self) {
        self.active.store(0, Relaxed);
        self.queued.store(0, Relaxed);
    }
}

/// A guard that counts one connection as open until it is dropped.
pub struct Open(&'static Counters);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.closed();
    }
}

/// The sums of the counters over all shards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Replies by route and status, as in [`ROUTES`] and [`STATUSES`].
    pub requests: [[u64; STATUSES.len()]; ROUTES.len()],
    /// Replies by route and duration, as in [`ROUTES`] and [`BUCKETS`]; the last slot counts those above every bound.
    pub durations: [[u64; BUCKETS.len() + 1]; ROUTES.len()],
    /// The sum of the durations by route, in nanoseconds.
    pub duration_ns: [u64; ROUTES.len()],
    /// System calls, as in [`Syscall::ALL`].
    pub syscalls: [u64; Syscall::ALL.len()],
    /// The time in these calls, in nanoseconds; 0 for a call that is never timed.
    pub syscall_ns: [u64; Syscall::ALL.len()],
    /// Connections accepted since the start.
    pub accepted: u64,
    /// How often the acceptor had to pause.
    pub accept_paused: u64,
    /// Connections open now.
    pub active: u64,
    /// Connections that are accepted and wait for a worker or a permit now.
    pub queued: u64,
    /// CPU time of reaped children, user and system together, in nanoseconds.
    pub reaped_cpu_ns: u64,
    /// Voluntary context switches of reaped children.
    pub reaped_voluntary: u64,
    /// Involuntary context switches of reaped children.
    pub reaped_involuntary: u64,
    /// Minor page faults of reaped children.
    pub reaped_minor_faults: u64,
    /// Major page faults of reaped children.
    pub reaped_major_faults: u64,
}

impl Totals {
    pub(crate) fn of(shards: &[Counters]) -> Totals {
        let sum = |field: fn(&Counters) -> &AtomicU64| shards.iter().map(|s| field(s).load(Relaxed)).sum();
        let gauge = |field: fn(&Counters) -> &AtomicI64| {
            u64::try_from(shards.iter().map(|s| field(s).load(Relaxed)).sum::<i64>()).unwrap_or(0)
        };
        let mut totals = Totals {
            accepted: sum(|s| &s.accepted),
            accept_paused: sum(|s| &s.accept_paused),
            active: gauge(|s| &s.active),
            queued: gauge(|s| &s.queued),
            reaped_cpu_ns: sum(|s| &s.reaped_cpu_ns),
            reaped_voluntary: sum(|s| &s.reaped_voluntary),
            reaped_involuntary: sum(|s| &s.reaped_involuntary),
            reaped_minor_faults: sum(|s| &s.reaped_minor_faults),
            reaped_major_faults: sum(|s| &s.reaped_major_faults),
            ..Totals::default()
        };
        for shard in shards {
            for route in 0..ROUTES.len() {
                add_each(&mut totals.requests[route], &shard.requests[route]);
                add_each(&mut totals.durations[route], &shard.durations[route]);
            }
            add_each(&mut totals.duration_ns, &shard.duration_ns);
            add_each(&mut totals.syscalls, &shard.syscalls);
            add_each(&mut totals.syscall_ns, &shard.syscall_ns);
        }
        totals
    }
}

fn add_each(totals: &mut [u64], counters: &[AtomicU64]) {
    for (total, counter) in totals.iter_mut().zip(counters) {
        *total += counter.load(Relaxed);
    }
}
