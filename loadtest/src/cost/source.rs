//! Where the cost of a target comes from.

use crate::target::Url;

/// The source of the cost figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CostSource {
    /// Prometheus text at this URL, with the `process_tree_*` metrics of the lab's services. Beside it, at `/account`, a
    /// service has the CPU time and the replies of one moment.
    Metrics(Url),
    /// This process on this machine, with all its descendants.
    ProcessTree(i32),
    /// No source; all figures will be missing.
    None,
}
