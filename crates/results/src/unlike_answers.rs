//! Targets that answer the requests of a load with something else than the other targets do.

use crate::lists::{each_once, names};
use crate::schema::{AnswerSeen, Cell};
use crate::units::plural;

/// A target, the length of its answers in bytes, and the hash of their content, if that does not vary.
type Answers<'c> = (&'c str, u64, Option<&'c str>);

/// What is to be said of the answers of these cells, which are under the same load, a line each.
///
/// What most of the targets answer that are no guests is what all are held against; where there are only guests, what most of
/// these answer. Nothing is said of answers whose length varies, nor of those that an older generator did not look at.
pub(crate) fn lines(cells: &[&Cell], is_guest: impl Fn(&str) -> bool) -> Vec<String> {
    let all: Vec<Answers<'_>> = cells.iter().filter_map(|cell| answers(cell)).collect();
    let own: Vec<Answers<'_>> = all.iter().copied().filter(|(target, ..)| !is_guest(target)).collect();
    let Some(usual) = usual(if own.is_empty() { &all } else { &own }) else { return Vec::new() };
    let (same, others): (Vec<Answers<'_>>, Vec<Answers<'_>>) = all.into_iter().partition(|one| are_same(one, &usual));
    let (of_its_length, of_another): (Vec<_>, Vec<_>) = others.into_iter().partition(|(_, bytes, _)| *bytes == usual.1);
    let those = if same.len() == 1 { usual.0 } else { "the others" };
    let mut lines: Vec<String> = each_once(of_another.iter().map(|(_, bytes, _)| *bytes))
        .into_iter()
        .map(|length| {
            let targets = targets(of_another.iter().filter(|(_, bytes, _)| *bytes == length));
            let verb = if targets.len() == 1 { "answers" } else { "answer" };
            format!("{} {verb} with {}, {those} with {}", names(&targets), plural(length as usize, "byte"), usual.1)
        })
        .collect();
    let unlike = targets(of_its_length.iter());
    if !unlike.is_empty() {
        let answer = if unlike.len() == 1 { "the answer of" } else { "the answers of" };
        let length = plural(usual.1 as usize, "byte");
        let (verb, have) = if unlike.len() == 1 { ("is", "has") } else { ("are", "have") };
        let that = if same.len() == 1 { format!("that of {}", usual.0) } else { "those of the others".into() };
        lines.push(format!("{answer} {} {verb} as long as {that}, {length}, but {have} other content", names(&unlike)));
    }
    lines
}

/// What the target answered in all trials; `None` if that varies or is not known.
fn answers(cell: &Cell) -> Option<Answers<'_>> {
    let seen: Vec<&AnswerSeen> = cell.trials.iter().filter_map(|trial| trial.answer.as_ref()).collect();
    let first = seen.first()?;
    let bytes = first.bytes.filter(|_| seen.iter().all(|other| other.bytes == first.bytes))?;
    let hash = first.hash.as_deref().filter(|_| seen.iter().all(|other| other.hash == first.hash));
    Some((cell.key.target.as_str(), bytes, hash))
}

/// What most of them answer; of answers that as many give, the first.
fn usual<'c>(all: &[Answers<'c>]) -> Option<Answers<'c>> {
    let number = |one: &Answers<'_>| all.iter().filter(|other| are_same(one, other)).count();
    all.iter().rev().max_by_key(|one| number(one)).copied()
}

/// Whether nothing tells them apart: content that varies is like any of the same length.
fn are_same((_, bytes, hash): &Answers<'_>, (_, other_bytes, other_hash): &Answers<'_>) -> bool {
    bytes == other_bytes && (hash == other_hash || hash.is_none() || other_hash.is_none())
}

fn targets<'a, 'c: 'a>(answers: impl Iterator<Item = &'a Answers<'c>>) -> Vec<&'c str> {
    answers.map(|(target, ..)| *target).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::tests::{empty_trial, results};
    use crate::schema::{Results, Trial};

    /// A run of these targets, each with the lengths and hashes of what it answered in its trials.
    fn run(targets: &[(&str, &[(u64, &str)])]) -> Results {
        let mut run = results(&targets.iter().map(|(name, _)| *name).collect::<Vec<_>>());
        for (cell, (_, answers)) in run.cells.iter_mut().zip(targets) {
            let some = |hash: &str| (!hash.is_empty()).then(|| hash.to_owned());
            let answer =
                |(bytes, hash): &(u64, &str)| AnswerSeen { bytes: (*bytes > 0).then_some(*bytes), hash: some(hash) };
            cell.trials = answers.iter().map(|seen| Trial { answer: Some(answer(seen)), ..empty_trial() }).collect();
        }
        run
    }

    fn said(targets: &[(&str, &[(u64, &str)])]) -> Vec<String> {
        let run = run(targets);
        lines(&run.cells.iter().collect::<Vec<_>>(), |target| ["mine", "nginx", "node"].contains(&target))
    }

    #[test]
    fn an_answer_that_differs_from_those_of_most_is_said() {
        let usual: &[(u64, &str)] = &[(12, "a"), (12, "a")];
        assert_eq!(said(&[("epoll", usual), ("poll", usual), ("mine", usual)]), [""; 0]);
        assert_eq!(
            said(&[("mine", &[(612, "b")]), ("epoll", usual), ("poll", usual), ("nginx", usual)]),
            ["mine answers with 612 bytes, the others with 12"]
        );
        assert_eq!(
            said(&[("mine", &[(612, "b")]), ("epoll", usual), ("nginx", &[(612, "c")]), ("node", &[(1, "c")])]),
            ["mine and nginx answer with 612 bytes, epoll with 12", "node answers with 1 byte, epoll with 12"]
        );
        assert_eq!(
            said(&[("mine", &[(12, "b")]), ("epoll", usual), ("poll", usual)]),
            ["the answer of mine is as long as those of the others, 12 bytes, but has other content"]
        );
        assert_eq!(
            said(&[("mine", &[(12, "b")]), ("epoll", usual), ("nginx", &[(12, "b")])]),
            ["the answers of mine and nginx are as long as that of epoll, 12 bytes, but have other content"]
        );
    }

    #[test]
    fn models_are_what_guests_are_held_against_and_guests_alone_one_another() {
        let (twelve, other): (&[_], &[_]) = (&[(12, "a")], &[(9, "b")]);
        assert_eq!(
            said(&[("nginx", other), ("node", other), ("mine", other), ("epoll", twelve)]),
            ["nginx, node and mine answer with 9 bytes, epoll with 12"]
        );
        assert_eq!(said(&[("nginx", twelve), ("node", other)]), ["node answers with 9 bytes, nginx with 12"]);
        assert_eq!(
            said(&[("mine", twelve), ("node", other), ("nginx", other)]),
            ["mine answers with 12 bytes, the others with 9"]
        );
    }

    #[test]
    fn nothing_is_said_of_answers_that_vary_or_were_not_looked_at() {
        let usual: &[(u64, &str)] = &[(12, "a")];
        let varying: [&[(u64, &str)]; 5] =
            [&[], &[(0, "")], &[(12, "")], &[(12, "b"), (12, "c")], &[(12, "a"), (13, "")]];
        for mine in varying {
            assert_eq!(said(&[("epoll", usual), ("poll", usual), ("mine", mine)]), [""; 0], "{mine:?}");
        }
        assert_eq!(said(&[("epoll", &[(0, "")]), ("poll", &[(0, "")]), ("mine", usual)]), [""; 0]);
        assert_eq!(said(&[("epoll", &[]), ("mine", usual)]), [""; 0]);
    }
}
