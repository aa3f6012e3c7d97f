//! What a model costs beside epoll, under several loads.

use super::answer::Answer;
use super::comparison::{Comparison, Word};
use super::group::Group;
use super::models::EPOLL;
use super::wording::{CPU, Form, comparisons, most_telling};
use crate::kind::Kind;
use crate::lists::each_once;

pub(super) const MEMORY: &str = "server.memory_bytes_per_connection";
const CALLS: &str = "server.syscalls_per_request";
/// The loads whose CPU time a request is that of the request and of holding the connections. Beside long computations it
/// is mostly theirs.
pub(super) const KINDS: [Kind; 4] = [Kind::KeepAlive, Kind::OneRequest, Kind::BesideIdle, Kind::SlowBackend];
/// The loads by which a process or a thread for each connection is judged.
pub(super) const WORKER_KINDS: [Kind; 3] = [Kind::KeepAlive, Kind::OneRequest, Kind::BesideIdle];
/// The loads by which callbacks, tasks and a framework are judged.
pub(super) const STYLE_KINDS: [Kind; 2] = [Kind::KeepAlive, Kind::OneRequest];
/// So many comparisons fit into a sentence.
pub(super) const MOST: usize = 4;

/// What a process for each connection costs, and beside it a thread for each, and pools.
pub(super) fn workers(groups: &[Group<'_>]) -> Option<Answer> {
    let process = price(groups, "process-per-connection", true);
    if process.is_empty() {
        return None;
    }
    let form: Form = |text, what| format!("{what} {text}");
    let (most, others) = most_telling(&process, MOST, form);
    let question = "What does a process for each connection cost (epoll = 1)?";
    let mut answer = Answer::new("a process each", question, most.join("; "));
    answer.details.extend(also("process-per-connection", &others));
    for (target, has_memory) in [("thread-per-connection", true), ("process-pool", false), ("thread-pool", false)] {
        answer.details.extend(all(target, &price(groups, target, has_memory), form));
    }
    Some(answer)
}

/// A target's CPU time a request and memory a connection, compared with epoll's.
fn price(groups: &[Group<'_>], target: &str, has_memory: bool) -> Vec<(String, Comparison)> {
    let cpu = under(groups, &STYLE_KINDS, target, CPU).into_iter().map(|(load, cpu)| (format!("CPU {load}"), cpu));
    let memory = under(groups, &[Kind::BesideIdle], target, MEMORY).pop().filter(|_| has_memory);
    cpu.chain(memory.map(|(_, memory)| ("memory".to_owned(), memory))).collect()
}

/// Whether select is slower than epoll, and poll beside it.
pub(super) fn select(groups: &[Group<'_>]) -> Option<Answer> {
    let select = under(groups, &KINDS, "select", CPU);
    let mut answer =
        yes_or_no("select", "Is select slower than epoll, and when (CPU a request, epoll = 1)?", &select, Word::More)?;
    answer.details.extend(all("poll", &under(groups, &KINDS, "poll", CPU), UNDER));
    answer.details.push("At each wait, select and poll hand the kernel all connections, epoll none of them.".into());
    Some(answer)
}

/// Whether io_uring is faster than epoll.
pub(super) fn uring(groups: &[Group<'_>]) -> Option<Answer> {
    let uring = under(groups, &KINDS, "uring", CPU);
    let mut answer =
        yes_or_no("io_uring", "Is io_uring faster than epoll (CPU a request, epoll = 1)?", &uring, Word::Less)?;
    let calls = |target: &str, group: &Group<'_>| {
        group.cell(target)?.comparable(CALLS).map(|figure| format!("{:.1}", figure.median))
    };
    let both = |group: &Group<'_>| {
        let (uring, epoll) = (calls("uring", group)?, calls(EPOLL, group)?);
        Some(format!("{uring} {} (epoll {epoll})", group.phrase))
    };
    let counted = groups.iter().filter(|group| STYLE_KINDS.contains(&group.kind)).filter_map(both);
    let counted: Vec<String> = counted.take(2).collect();
    if !counted.is_empty() {
        answer.details.push(format!("System calls a request: {}.", counted.join("; ")));
    }
    Some(answer)
}

/// What callbacks, tasks and a framework add to a loop, by the least workload, over the most connections.
pub(super) fn styles(groups: &[Group<'_>]) -> Option<Answer> {
    let question = "What do callbacks, tasks and a framework cost in CPU a request (epoll = 1)?";
    let mut sentences = STYLE_KINDS.into_iter().filter_map(|kind| {
        let of_kind = groups.iter().filter(|group| group.kind == kind);
        let group = of_kind.max_by_key(|group| (group.load.workload == "/", group.load.concurrency))?;
        let baseline = group.cell(EPOLL)?;
        let others = ["callback", "event-loop", "async-await", "framework"];
        let compared = others.into_iter().filter_map(|target| {
            Some((target.to_owned(), Comparison::of(group.cell(target)?, baseline, CPU))) //
        });
        let compared: Vec<_> = compared.collect();
        let each = comparisons(&compared, |text, names| format!("{names} {text}"));
        (!each.is_empty()).then(|| (group, each.join("; ")))
    });
    let (group, first) = sentences.next()?;
    let mut answer = Answer::new("callbacks, tasks", question, format!("{}: {first}", group.phrase));
    answer.details.extend(sentences.map(|(group, sentence)| format!("{}: {sentence}.", group.phrase)));
    Some(answer)
}

/// Compares a target with epoll under each load of these kinds, with the names of the loads.
fn under(groups: &[Group<'_>], kinds: &[Kind], target: &str, path: &'static str) -> Vec<(String, Comparison)> {
    let of_kinds = groups.iter().filter(|group| kinds.contains(&group.kind));
    let compared = of_kinds.filter_map(|group| {
        Some((group.phrase.clone(), Comparison::of(group.cell(target)?, group.cell(EPOLL)?, path))) //
    });
    compared.collect()
}

/// How a comparison and the load that it was made under are joined.
pub(super) const UNDER: Form = |text, load| format!("{text} {load}");

/// A sentence with the comparisons of a target; `None` if there are none.
fn all(target: &str, compared: &[(String, Comparison)], form: Form) -> Option<String> {
    also(target, &comparisons(compared, form))
}

/// A sentence about a target with these comparisons in words, or the first of them; `None` if there are none.
pub(super) fn also(target: &str, texts: &[String]) -> Option<String> {
    let first = &texts[..texts.len().min(MOST)];
    let left = texts.len() - first.len();
    let more = if left > 0 { format!("; {left} more in the tables") } else { String::new() };
    (!first.is_empty()).then(|| format!("{target}: {}{more}.", first.join("; ")))
}

/// Answers whether a target is what `yes` says, by CPU time a request.
fn yes_or_no(topic: &str, question: &str, compared: &[(String, Comparison)], yes: Word) -> Option<Answer> {
    if compared.is_empty() {
        return None;
    }
    if compared.iter().all(|(_, comparison)| comparison.ratio().is_none()) {
        let why = each_once(compared.iter().filter_map(|(_, comparison)| comparison.why_not()));
        return Some(Answer::new(topic, question, format!("cannot be told here: {}", why.join("; "))));
    }
    let has = |word: Word| compared.iter().any(|(_, comparison)| comparison.word() == word);
    let mut told = compared.iter().filter(|(_, comparison)| comparison.ratio().is_some());
    let no = if yes == Word::More { Word::Less } else { Word::More };
    let lead = match (has(yes), has(no)) {
        (true, true) => "it depends",
        (true, false) => "yes",
        _ if told.all(|(_, comparison)| [Word::Same, no].contains(&comparison.word())) => "no",
        _ => "cannot be told here",
    };
    let (most, others) = most_telling(compared, MOST, UNDER);
    let mut answer = Answer::new(topic, question, format!("{lead}: {}", most.join("; ")));
    answer.details.extend(also("Also", &others));
    Some(answer)
}
