//! How our models compare with servers of others.

use super::answer::Answer;
use super::comparison::Comparison;
use super::costs::{KINDS, MEMORY, MOST, also};
use super::group::Group;
use super::idle::{fewest_held, held_only};
use super::models::EPOLL;
use super::wording::{CPU, alike, by_reason, comparisons, names, number};
use crate::closing::closes;
use crate::kind::Kind;
use crate::lists::each_once;
use crate::schema::Cell;
use std::cmp::Reverse;

/// The best known server of a kind, and the models of that kind, in the order of the answer. epoll is compared with any other
/// guest, which comes first, and with one of whose models the run has none.
const PAIRS: [(&str, &[&str]); 11] = [
    ("nginx", &[EPOLL, "uring", "callback"]),
    ("lighttpd-poll", &["select", "poll"]),
    ("apache-prefork", &["process-pool"]),
    ("apache-worker", &["thread-per-connection"]),
    ("node", &["event-loop"]),
    ("express", &["framework"]),
    ("hyper", &["async-await"]),
    ("busybox", &["process-per-connection"]),
    ("lighttpd", &[EPOLL]),
    ("apache-event", &[EPOLL]),
    ("nginx-aio", &[EPOLL]),
];
/// The most loads that an answer tells about besides the first.
const MOST_OTHER_LOADS: usize = 3;

/// Comparisons, each with what is compared.
type Compared = Vec<(String, Comparison)>;

/// How the models compare with the best known servers of their kind: under the most telling load in short, and under others.
pub(super) fn beside_ours(groups: &[Group<'_>]) -> Option<Answer> {
    let loads = by_telling(groups).into_iter().map(|group| (group, pairs(group, CPU)));
    let loads: Vec<(&Group<'_>, Compared)> = loads.filter(|(_, compared)| !compared.is_empty()).collect();
    if loads.is_empty() {
        return None;
    }
    let question = "How do ours compare with servers of others (CPU a request, ours/theirs)?";
    let mut answer = Answer::new("servers of others", question, String::new());
    let Some(first) = loads.iter().position(|(_, compared)| why_untold(compared).is_none()) else {
        let all: Compared = loads.into_iter().flat_map(|(_, compared)| compared).collect();
        answer.short = why_untold(&all)?;
        return Some(answer);
    };
    let (group, compared) = &loads[first];
    let mut most = texts(compared);
    let rest = most.split_off(MOST.min(most.len()));
    answer.short = format!("{}: {}", group.phrase, most.join("; "));
    answer.details.extend((!rest.is_empty()).then(|| format!("Also {}: {}.", group.phrase, rest.join("; "))));
    answer.details.extend(under_others(&loads, first));
    answer.details.extend(most_idle(groups).and_then(memory));
    Some(answer)
}

/// A sentence for each of the other loads, as far as there is room.
fn under_others(loads: &[(&Group<'_>, Compared)], first: usize) -> Vec<String> {
    let mut sentences: Vec<String> =
        loads.iter().map(|(group, compared)| format!("{}: {}.", group.phrase, texts(compared).join("; "))).collect();
    sentences.remove(first);
    let left = sentences.len().saturating_sub(MOST_OTHER_LOADS);
    sentences.truncate(MOST_OTHER_LOADS);
    sentences.extend((left > 0).then(|| format!("{} more in the tables.", number(left, "load"))));
    sentences
}

/// How the models compare with these servers by memory a connection.
fn memory(group: &Group<'_>) -> Option<String> {
    let mut compared = pairs(group, MEMORY);
    compared.retain(|(_, comparison)| comparison.ratio().is_some());
    let texts = comparisons(&compared, |text, names| format!("{names} {text}"));
    also(&format!("Memory a connection {} (ours/theirs)", group.phrase), &texts)
}

/// Whether the group has a model that this guest is compared with.
pub(super) fn is_compared(guest: &Cell, group: &Group<'_>) -> bool {
    !models_of(guest, group).is_empty()
}

/// Whether there is nothing to say of this load but how guests compare with a model.
pub(super) fn is_all(group: &Group<'_>) -> bool {
    group.cells.len() == 1 && !group.guests.is_empty() && KINDS.contains(&group.kind)
}

/// The cells of the models that are compared with this guest.
fn models_of<'g>(guest: &Cell, group: &'g Group<'_>) -> Vec<&'g Cell> {
    let pair = PAIRS.iter().find(|(name, _)| *name == guest.key.target);
    let models = pair.into_iter().flat_map(|(_, models)| *models);
    let models: Vec<&Cell> = models.filter_map(|model| group.cell(model)).collect();
    if models.is_empty() { group.cell(EPOLL).into_iter().collect() } else { models }
}

/// The models with their guests, by the figure with this path.
fn pairs(group: &Group<'_>, path: &'static str) -> Compared {
    let place = |guest: &&Cell| PAIRS.iter().position(|(name, _)| *name == guest.key.target);
    let mut guests = group.guests.clone();
    guests.sort_by_key(place);
    let of_guest = |guest: &Cell| {
        let name = |model: &Cell| format!("{}/{}", model.key.target, guest.key.target);
        models_of(guest, group).into_iter().map(|model| (name(model), compare(model, guest, path))).collect::<Vec<_>>()
    };
    guests.into_iter().flat_map(of_guest).collect()
}

/// Compares the cells. What a target costs that did not hold the idle connections is not what another one costs that did; and
/// neither is that of a target that closes its connections.
fn compare(cell: &Cell, baseline: &Cell, path: &'static str) -> Comparison {
    let not_told = |why: String| Comparison::NotTold(why);
    match (fewest_held(cell), fewest_held(baseline)) {
        (Some(idle), _) => return not_told(held_only(idle)),
        (None, Some(idle)) => return not_told(format!("{} {}", baseline.key.target, held_only(idle))),
        (None, None) => {}
    }
    match (closes(cell), closes(baseline)) {
        (true, false) => not_told("it closes its connections".into()),
        (false, true) => not_told(format!("{} closes its connections", baseline.key.target)),
        _ => Comparison::of(cell, baseline, path),
    }
}

/// Why nothing can be told, if none of the comparisons tells anything.
fn why_untold(compared: &[(String, Comparison)]) -> Option<String> {
    let is_told = compared.iter().any(|(_, comparison)| comparison.ratio().is_some());
    (!is_told).then(|| format!("cannot be told here: {}", untold(compared)))
}

/// The load with the most idle connections.
fn most_idle<'g, 'r>(groups: &'g [Group<'r>]) -> Option<&'g Group<'r>> {
    let beside_idle = groups.iter().filter(|group| group.kind == Kind::BesideIdle);
    beside_idle.max_by_key(|group| group.load.background.idle)
}

/// The loads by which guests are compared, by kind, and of a kind the least workload over the most connections first.
fn by_telling<'g, 'r>(groups: &'g [Group<'r>]) -> Vec<&'g Group<'r>> {
    let kind = |group: &Group<'_>| KINDS.iter().position(|kind| *kind == group.kind);
    let mut groups: Vec<&Group<'_>> = groups.iter().filter(|group| kind(group).is_some()).collect();
    groups.sort_by_key(|group| (kind(group), group.load.workload != "/", Reverse(group.load.concurrency)));
    groups
}

/// The comparisons in words, in their order, and last of what nothing can be told. Of several that read the same, the
/// names are listed.
fn texts(compared: &[(String, Comparison)]) -> Vec<String> {
    let told = compared.iter().filter(|(_, comparison)| comparison.ratio().is_some());
    let words = told.map(|(name, comparison)| (name.as_str(), comparison.text()));
    let mut texts: Vec<String> = alike(words).into_iter().map(|(text, of)| format!("{} {text}", names(&of))).collect();
    let untold = untold(compared);
    texts.extend((!untold.is_empty()).then(|| format!("not told: {untold}")));
    texts
}

/// Each pair of which nothing can be told, once, with its reason.
fn untold(compared: &[(String, Comparison)]) -> String {
    let why_not = compared.iter().filter_map(|(name, comparison)| Some((name.as_str(), comparison.why_not()?)));
    by_reason(each_once(why_not).into_iter().map(|(name, why)| (name, why.to_owned())))
}
