//! The disk of the disk lab, the files on it, and how fast it gives them.

use serde::{Deserialize, Serialize};

/// The disk of a run of the disk lab, and the files on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Disk {
    /// The directory of the files.
    pub dir: String,
    /// The file system that it is on, as `ext4`.
    pub file_system: String,
    /// The block device beneath, as `vda`.
    pub device: String,
    /// Bytes of memory that the servers may use, with the files that they read: the machine's memory, or the limit of their control
    /// group. `None` where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// The files.
    pub sets: Vec<FileSet>,
}

/// Files of one size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileSet {
    /// The workload that requests them, as `@100k`.
    pub workload: String,
    /// How many there are.
    pub files: usize,
    /// Bytes of each.
    pub bytes: u64,
    /// How fast the disk gives them, by ascending depth.
    pub ceilings: Vec<Ceiling>,
}

/// How fast the disk gives files that are not in memory, without any server.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ceiling {
    /// Reads that are in progress at a time.
    pub depth: usize,
    /// Whole files that were read a second.
    pub files_per_second: f64,
}

/// The least ratio of the ceilings at the depths 16 and 1: with less, reads at the same time gain little.
pub(crate) const LEAST_GAIN: f64 = 1.5;

impl FileSet {
    /// The highest ceiling; none if it was not measured.
    pub fn ceiling(&self) -> Option<f64> {
        self.ceilings.iter().map(|ceiling| ceiling.files_per_second).reduce(f64::max)
    }

    /// How much more the disk reads at a depth of 16 than at 1.
    pub fn gain(&self) -> Option<f64> {
        let at = |depth| self.ceilings.iter().find(|ceiling| ceiling.depth == depth);
        Some(at(16)?.files_per_second / at(1)?.files_per_second)
    }

    /// Whether the disk reads so much more at a depth of 16 than at 1 that it can show what asynchronous reads gain.
    pub fn shows_depth(&self) -> bool {
        self.gain().is_none_or(|gain| gain >= LEAST_GAIN)
    }
}
