//! Chooses some items that stand for all, and extrapolates from them.

/// At least so many items are read, whatever the budget: fewer could not stand for the others.
pub(crate) const MIN_SAMPLE: usize = 16;

/// All indices below `n`, in an order in which the first k are spread evenly for every k. The step from one index to
/// the next is the golden section of `n`.
pub(crate) fn evenly_spread(n: usize) -> impl Iterator<Item = usize> {
    let mut step = (n as f64 * 0.618) as usize;
    while step > 1 && greatest_common_divisor(n, step) != 1 {
        step += 1;
    }
    let step = step.max(1);
    (0..n).map(move |i| i * step % n)
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// Extrapolates `sum`, the sum over `some` items, to `all` of them.
pub(crate) fn scaled(sum: u64, some: usize, all: usize) -> u64 {
    (u128::from(sum) * all as u128 / some.max(1) as u128) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_index_comes_once() {
        for n in 0..200 {
            let mut indices: Vec<usize> = evenly_spread(n).collect();
            indices.sort_unstable();
            assert!(indices.into_iter().eq(0..n), "{n}");
        }
    }

    #[test]
    fn the_first_indices_are_spread_evenly() {
        for n in [100, 500, 2000, 2048] {
            let in_each_quarter = evenly_spread(n).take(16).fold([0; 4], |mut quarters, index| {
                quarters[4 * index / n] += 1;
                quarters
            });
            assert!(in_each_quarter.iter().all(|count| (3..=5).contains(count)), "{n}: {in_each_quarter:?}");
        }
    }
}
