//! Targets that close connections which the load would keep open.

use crate::histogram;
use crate::schema::{Cell, Trial};

/// Whether the target closes connections after a request or two although the load keeps them open: in a trial, there was a new
/// connection for half of the answers or more. What a request costs then has the cost of a connection in it.
pub(crate) fn closes(cell: &Cell) -> bool {
    let is_kept = cell.key.load.requests_per_connection.0.is_none();
    is_kept && cell.counted_trials().into_iter().any(closed)
}

fn closed(trial: &Trial) -> bool {
    let answered = trial.outcomes.answered();
    let connections = histogram::decode(&trial.connect_histogram).map_or(0, |times| times.len());
    answered > 0 && connections * 2 >= answered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::PerConnection;
    use crate::outcomes::OutcomeClass;
    use crate::schema::tests::{empty_trial, results};
    use hdrhistogram::Histogram;

    #[test]
    fn a_target_closes_connections_if_half_of_the_answers_need_a_new_one() {
        let is_closing = |answers, connections, per_connection: Option<&str>| {
            let mut cell = results(&["a"]).cells.remove(0);
            cell.key.load.requests_per_connection = PerConnection(per_connection.and_then(|n| n.parse().ok()));
            let mut times = Histogram::<u64>::new(3).unwrap();
            times.record_n(1_000, connections).unwrap();
            let mut trial = Trial { connect_histogram: histogram::encode(&times), ..empty_trial() };
            trial.outcomes[OutcomeClass::Ok] = answers;
            cell.trials = vec![trial];
            closes(&cell)
        };
        assert!(is_closing(100, 50, None));
        assert!(!is_closing(100, 49, None));
        assert!(!is_closing(100, 100, Some("1")), "it was asked to");
        assert!(!is_closing(0, 0, None));
    }
}
