//! What a run says, in sentences.
//!
//! A question is asked of a run that has its targets and a load of its kind ([`crate::kind`]). Targets are compared by the ratio
//! of a figure with its 95 % confidence interval over the blocks ([`comparison`] has the words); a figure that may not be
//! compared is not, and the reason is said. Throughput is no ground, except where waiting decides it, because the load
//! generator often limits it.

mod answer;
mod comparison;
mod computing;
mod costs;
mod disturbance;
mod group;
mod guests;
mod idle;
mod models;
mod plain;
mod printed;
#[cfg(test)]
mod tests;
mod waiting;
mod wording;

pub use answer::Answer;
pub use models::{Family, MODELS};
pub use printed::{print, print_short, signs};

use crate::kind::Kind;
use crate::schema::Results;

/// The answers that this run gives: about the models, about guests beside them, then about loads without a question, then
/// about the machine.
pub fn answers(results: &Results) -> Vec<Answer> {
    let groups = group::groups(results);
    if groups.iter().all(|group| group.all().len() < 2 && group.twice.is_empty()) {
        return Vec::new();
    }
    let asked: [(Option<Answer>, &[Kind]); 7] = [
        (idle::answer(&groups), &[Kind::BesideIdle]),
        (costs::workers(&groups), &costs::WORKER_KINDS),
        (costs::select(&groups), &costs::KINDS),
        (costs::uring(&groups), &costs::KINDS),
        (waiting::answer(&groups), &[Kind::SlowBackend]),
        (computing::answer(&groups), &[Kind::BesideBusy]),
        (costs::styles(&groups), &costs::STYLE_KINDS),
    ];
    let is_asked = |kind: Kind| asked.iter().any(|(answer, kinds)| answer.is_some() && kinds.contains(&kind));
    let is_plain = |group: &&group::Group<'_>| {
        let has_others = group.cells.iter().any(|cell| models::family(&cell.key.target).is_none())
            || group.guests.iter().any(|guest| !guests::is_compared(guest, group));
        has_others || !(is_asked(group.kind) || guests::is_all(group))
    };
    let plain: Vec<Answer> = groups.iter().filter(is_plain).filter_map(plain::answer).collect();
    let mut answers: Vec<Answer> = asked.into_iter().filter_map(|(answer, _)| answer).collect();
    answers.extend(guests::beside_ours(&groups));
    answers.extend(plain);
    answers.extend(disturbance::answer(results, &groups));
    answers
}
