//! Where the files of a load are before each trial: in memory, or not.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Where the files of a load are before each trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cache {
    /// None of them is in memory.
    Cold,
    /// All of them are in memory.
    Hot,
    /// Some of them are, since the server has less memory than they need.
    Thrash,
}

impl Cache {
    /// All of them.
    pub const ALL: [Cache; 3] = [Cache::Cold, Cache::Hot, Cache::Thrash];

    /// Whether files have to be read from the disk.
    pub fn needs_the_disk(self) -> bool {
        self != Cache::Hot
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Cache::Cold => "cold",
            Cache::Hot => "hot",
            Cache::Thrash => "thrash",
        }
    }
}

impl fmt::Display for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
