//! A list of paths that a workload stands for.

use crate::hash;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What the name of a workload begins with that is a list of paths; the name of its file follows.
pub const LIST: char = '@';

/// The paths that are requested under a workload `@FILE`, one after the other: each once, and then all of them again.
///
/// results.json has no path of them, only what tells two lists apart. So a list that was read from there is empty.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PathList {
    /// How many paths it has.
    pub number: usize,
    /// A hash of the lines, by which two lists of the same length are told apart.
    pub hash: String,
    /// The order in which they are requested.
    pub order: PathOrder,
    /// The paths.
    #[serde(skip)]
    pub paths: Arc<[String]>,
}

impl PathList {
    /// These paths, in this order.
    pub fn new(paths: Vec<String>, order: PathOrder) -> PathList {
        let add = |hash, path: &String| hash::fnv_1a(hash::fnv_1a(hash, path.as_bytes()), b"\n");
        let hash = hash::shown(paths.iter().fold(hash::BASIS, add));
        PathList { number: paths.len(), hash, order, paths: paths.into() }
    }
}

impl PartialEq for PathList {
    fn eq(&self, other: &PathList) -> bool {
        (self.number, &self.hash, self.order) == (other.number, &other.hash, other.order)
    }
}

impl Eq for PathList {}

/// The order in which the paths of a list are requested.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PathOrder {
    /// As they stand in the file.
    #[default]
    InOrder,
    /// In a random order, which the seed of the run and the number of the block decide: in a block, all targets get the same.
    Shuffled,
}

/// Whether a workload is a list of paths.
pub fn is_list(workload: &str) -> bool {
    workload.starts_with(LIST)
}
