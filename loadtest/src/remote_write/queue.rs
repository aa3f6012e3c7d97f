//! The bounded queue between the run, which must not wait, and the sender, which often waits.

use super::wire::{Batch, Sample};
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A queue for a limited number of samples, or of histograms. When it is full, it drops the oldest ones.
pub struct Queue<T = Sample> {
    capacity: usize,
    state: Mutex<QueueState<T>>,
    changed: Condvar,
}

struct QueueState<T> {
    batches: VecDeque<Batch<T>>,
    samples: usize,
    dropped: u64,
    /// Set when the queue is closed: the time until which the remaining samples may still be sent.
    closed: Option<Instant>,
}

impl<T> Queue<T> {
    /// An empty queue for `capacity` samples.
    pub fn new(capacity: usize) -> Queue<T> {
        let state = QueueState { batches: VecDeque::new(), samples: 0, dropped: 0, closed: None };
        Queue { capacity, state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, QueueState<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds samples without waiting.
    pub fn push(&self, batch: Batch<T>) {
        let mut state = self.lock();
        state.samples += batch.len();
        state.batches.push_back(batch);
        while state.samples > self.capacity
            && let Some(oldest) = state.batches.pop_front()
        {
            state.samples -= oldest.len();
            state.dropped += oldest.len() as u64;
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Waits for samples and takes whole batches: the oldest one, and further ones as long as all together have no more
    /// than `most` samples. `None` when the queue is closed and empty.
    pub fn take(&self, most: usize) -> Option<Batch<T>> {
        let mut state = self.lock();
        loop {
            if let Some(mut batch) = state.batches.pop_front() {
                while let Some(next) = state.batches.pop_front_if(|next| batch.len() + next.len() <= most) {
                    batch.extend(next);
                }
                state.samples -= batch.len();
                return Some(batch);
            }
            if state.closed.is_some() {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Closes the queue: no samples will be added, and the remaining ones may be sent until `until`.
    pub fn close(&self, until: Instant) {
        self.lock().closed = Some(until);
        self.changed.notify_all();
    }

    /// The time for an attempt, at most `longest`; `None` if the time is over.
    pub fn time_left(&self, longest: Duration) -> Option<Duration> {
        let left = self.lock().closed.map_or(longest, |until| until.saturating_duration_since(Instant::now()));
        Some(left.min(longest)).filter(|left| !left.is_zero())
    }

    /// Waits before the next attempt. If the server asked for the pause, waits for all of it; otherwise at most
    /// until the queue is closed. Returns false if there is no time for another attempt.
    pub fn wait_before_retry(&self, pause: Duration, server_asked: bool) -> bool {
        let until = Instant::now() + pause;
        let mut state = self.lock();
        let mut open = state.closed.is_none();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match state.closed {
                Some(last) if last <= Instant::now() || (server_asked && last <= until) => return false,
                Some(_) if open && !server_asked => return true,
                _ if left.is_zero() => return true,
                _ => {}
            }
            open = state.closed.is_none();
            let left = state.closed.map_or(left, |last| left.min(last.saturating_duration_since(Instant::now())));
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Samples that were dropped because the queue was full.
    pub fn dropped(&self) -> u64 {
        self.lock().dropped
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire::Labels;
    use super::*;

    fn batch(samples: usize, value: f64) -> Batch {
        vec![(Labels::new([("__name__", "x".into())]), Sample { value, at: 1 }); samples]
    }

    #[test]
    fn a_full_queue_drops_the_oldest_samples() {
        let queue: Queue = Queue::new(10);
        (0..4).for_each(|n| queue.push(batch(4, f64::from(n))));
        queue.close(Instant::now());
        assert_eq!(queue.dropped(), 8);
        assert_eq!(queue.take(100).unwrap(), [batch(4, 2.0), batch(4, 3.0)].concat());
        assert_eq!(queue.take(100), None);
    }

    #[test]
    fn a_batch_is_never_split() {
        let queue: Queue = Queue::new(100);
        (0..3).for_each(|n| queue.push(batch(4, f64::from(n))));
        assert_eq!(queue.take(8).unwrap().len(), 8);
        assert_eq!(queue.take(1).unwrap().len(), 4);
    }

    #[test]
    fn there_is_no_attempt_after_the_time_of_closing() {
        let queue: Queue = Queue::new(100);
        assert_eq!(queue.time_left(Duration::from_secs(9)), Some(Duration::from_secs(9)));
        assert!(queue.wait_before_retry(Duration::from_millis(1), true));
        queue.close(Instant::now() + Duration::from_secs(100));
        assert!(queue.time_left(Duration::from_secs(200)).unwrap() <= Duration::from_secs(100));
        assert!(!queue.wait_before_retry(Duration::from_secs(1000), true));
        queue.close(Instant::now());
        assert_eq!(queue.time_left(Duration::from_secs(9)), None);
        assert!(!queue.wait_before_retry(Duration::ZERO, false));
        queue.close(Instant::now() + Duration::from_millis(20));
        assert!(!queue.wait_before_retry(Duration::from_secs(1000), false), "not even one that began before it");
    }

    #[test]
    fn closing_the_queue_ends_a_pause() {
        let queue: Queue = Queue::new(100);
        std::thread::scope(|scope| {
            let paused = scope.spawn(|| queue.wait_before_retry(Duration::from_secs(1000), false));
            // A test cannot see when the pause has begun. A pause that begins after the queue was closed does not end
            // early, so open the queue and close it again and again.
            while !paused.is_finished() {
                queue.lock().closed = None;
                queue.changed.notify_all();
                std::thread::sleep(Duration::from_millis(1));
                queue.close(Instant::now() + Duration::from_secs(100));
            }
            assert!(paused.join().unwrap());
        });
    }
}
