//! Which path of a list is requested next, over all threads of a trial.

use fastrand::Rng;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Gives each path its turn, and then all of them again.
#[derive(Debug)]
pub struct Turns {
    /// Numbers of the paths, in the order of their turns.
    order: Box<[u32]>,
    next: AtomicU32,
}

impl Turns {
    /// That many paths, at least one, in the order of their numbers.
    pub fn in_order(paths: u32) -> Turns {
        Turns { order: (0..paths).collect(), next: AtomicU32::new(0) }
    }

    /// The paths in a random order.
    pub fn shuffled(mut self, seed: u64) -> Turns {
        Rng::with_seed(seed).shuffle(&mut self.order);
        self
    }

    /// How many paths there are.
    pub fn paths(&self) -> u32 {
        self.order.len() as u32
    }

    /// The next path.
    #[inline]
    pub fn next(&self) -> u32 {
        match *self.order {
            [only] => only, // most loads: no thread writes to memory that the others read
            ref order => order[(self.next.fetch_add(1, Relaxed) % order.len() as u32) as usize],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(turns: &Turns, number: usize) -> Vec<u32> {
        std::iter::repeat_with(|| turns.next()).take(number).collect()
    }

    #[test]
    fn each_path_has_its_turn_before_any_has_another() {
        assert_eq!(taken(&Turns::in_order(3), 7), [0, 1, 2, 0, 1, 2, 0]);
        assert_eq!(taken(&Turns::in_order(1), 2), [0, 0]);
        let shuffled = || Turns::in_order(100).shuffled(7);
        let order = taken(&shuffled(), 200);
        let mut numbers = order[..100].to_vec();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..100).collect::<Vec<_>>());
        assert_eq!(order[..100], order[100..]);
        assert_ne!(order[..100], numbers[..]);
        assert_eq!(order, taken(&shuffled(), 200), "the seed decides");
        assert_ne!(order, taken(&Turns::in_order(100).shuffled(8), 200));
    }

    #[test]
    fn threads_share_the_turns() {
        let turns = Turns::in_order(1_000);
        let mut all = std::thread::scope(|scope| {
            let threads = [(); 4].map(|()| scope.spawn(|| taken(&turns, 250)));
            threads.map(|thread| thread.join().unwrap()).concat()
        });
        all.sort_unstable();
        assert_eq!(all, (0..1_000).collect::<Vec<_>>());
    }
}
