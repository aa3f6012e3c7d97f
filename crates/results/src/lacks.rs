//! Workloads that a target does not have, as the check before a run has found: a server of others has none of our paths but
//! a few.

use crate::schema::{Cell, Verdict};

const LACKS: &str = "it does not have ";
const ANSWERS: &str = ": it answers ";
const EVERY_PATH: &str = "every path alike";
/// The usual status of a server that does not have a path.
const NOT_FOUND: &str = "404";
const FORBIDDEN: u16 = 403;

/// What shows that a target does not have a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// It answers the workload with this status.
    Status(u16),
    /// It answers the workload as it answers paths that do not exist.
    EveryPath,
}

impl From<u16> for Lack {
    fn from(status: u16) -> Lack {
        Lack::Status(status)
    }
}

/// The reason of a cell that is not measured because its target does not have the workload.
pub fn why(workload: &str, lack: impl Into<Lack>) -> String {
    let answer = match lack.into() {
        Lack::Status(FORBIDDEN) => format!("{FORBIDDEN}; may its user read the files?"),
        Lack::Status(status) => status.to_string(),
        Lack::EveryPath => EVERY_PATH.into(),
    };
    format!("{LACKS}{workload}{ANSWERS}{answer}")
}

/// The workload for want of which the cell was not measured.
pub(crate) fn lacking(cell: &Cell) -> Option<&str> {
    parts(cell).map(|(workload, _)| workload)
}

/// The target of a cell that was not measured for want of a workload, with what it answers, unless that is a plain 404.
pub(crate) fn target(cell: &Cell) -> String {
    let target = &cell.key.target;
    match parts(cell) {
        None | Some((_, NOT_FOUND)) => target.clone(),
        Some((_, EVERY_PATH)) => format!("{target} (answers {EVERY_PATH})"),
        Some((_, answer)) => format!("{target} (status {answer})"),
    }
}

/// The workload for want of which the cell was not measured, and the answer that shows it.
fn parts(cell: &Cell) -> Option<(&str, &str)> {
    if cell.verdict != Verdict::Unsupported || !cell.trials.is_empty() {
        return None;
    }
    cell.reasons.iter().find_map(|reason| reason.strip_prefix(LACKS)?.split_once(ANSWERS))
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
        assert_eq!(target(&cell), "nginx (status 405)");
        cell.trials.push(empty_trial());
        assert_eq!(lacking(&cell), None, "another run has measured it");
    }

    #[test]
    fn a_target_is_named_with_its_answer_unless_that_is_404() {
        let mut cell = results(&["nginx"]).cells.remove(0);
        cell.verdict = Verdict::Unsupported;
        for (lack, reason, expected) in [
            (Lack::Status(404), "404", "nginx"),
            (Lack::Status(501), "501", "nginx (status 501)"),
            (
                Lack::Status(403),
                "403; may its user read the files?",
                "nginx (status 403; may its user read the files?)",
            ),
            (Lack::EveryPath, "every path alike", "nginx (answers every path alike)"),
        ] {
            cell.reasons = vec![why("/sleep/10", lack)];
            assert_eq!(cell.reasons[0], format!("it does not have /sleep/10: it answers {reason}"));
            assert_eq!((lacking(&cell), &*target(&cell)), (Some("/sleep/10"), expected));
        }
    }
}
