//! What `/work` computes: the same as in our models.

use std::hint::black_box;

/// Marsaglia's xorshift64. Each step needs the result of the one before it, so the loop keeps a core busy.
pub fn xorshift(iterations: u64) -> u64 {
    let mut x = black_box(0x9e37_79b9_7f4a_7c15_u64);
    for _ in 0..iterations {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    x
}
