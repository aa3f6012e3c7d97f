//! Workloads that a target does not have, as the check before a run has found: a server of others has none of our paths but
//! a few.

use crate::schema::{Cell, Verdict};

const LACKS: &str = "it does not have ";
const ANSWERS: &str = ": it answers ";

/// The reason of a cell that is not measured because its target answers the workload with this status, as a server does
/// that does not have it.
pub fn why(workload: &str, status: u16) -> String {
    format!("{LACKS}{workload}{ANSWERS}{status}")
}

/// The workload for want of which the cell was not measured.
pub(crate) fn lacking(cell: &Cell) -> Option<&str> {
    if cell.verdict != Verdict::Unsupported || !cell.trials.is_empty() {
        return None;
    }
    cell.reasons.iter().find_map(|reason| Some(reason.strip_prefix(LACKS)?.split_once(ANSWERS)?.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::tests::{empty_trial, results};

    #[test]
    fn a_cell_says_which_workload_its_target_lacks() {
        let mut cell = results(&["nginx"]).cells.remove(0);
        assert_eq!(lacking(&cell), None);
        cell.verdict = Verdict::Unsupported;
        cell.reasons = vec!["not permitted here".into()];
        assert_eq!(lacking(&cell), None);
        cell.reasons.push(why("POST /counter", 405));
        assert_eq!(cell.reasons[1], "it does not have POST /counter: it answers 405");
        assert_eq!(lacking(&cell), Some("POST /counter"));
        cell.trials.push(empty_trial());
        assert_eq!(lacking(&cell), None, "another run has measured it");
    }
}
