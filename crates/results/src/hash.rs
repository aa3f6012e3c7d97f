//! FNV-1a with 64 bits. It is the same in each build, so runs of two builds can be compared.

/// Where a hash begins.
pub const BASIS: u64 = 0xcbf2_9ce4_8422_2325;

/// Goes on with a hash.
pub fn fnv_1a(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// A hash as text.
pub fn shown(hash: u64) -> String {
    format!("{hash:016x}")
}
