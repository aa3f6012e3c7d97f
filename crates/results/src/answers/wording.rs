//! Parts of sentences: lists of names, near values, and comparisons under several loads.

use super::comparison::{Comparison, Word};
pub(super) use crate::figures::CPU;
pub(super) use crate::lists::names;
use crate::schema::Cell;
pub(super) use crate::units::number;

/// Values whose neighbours are within this factor are near each other.
const NEAR: f64 = 1.75;

/// The targets of which the same is said, in the order in which it is said first.
pub(super) fn alike<'t>(said: impl Iterator<Item = (&'t str, String)>) -> Vec<(String, Vec<&'t str>)> {
    let mut alike: Vec<(String, Vec<&str>)> = Vec::new();
    for (target, words) in said {
        match alike.iter_mut().find(|(other, _)| *other == words) {
            Some((_, targets)) => targets.push(target),
            None => alike.push((words, vec![target])),
        }
    }
    alike
}

/// The targets with their reasons: `a and b (why); c (other)`.
pub(super) fn by_reason<'t>(said: impl Iterator<Item = (&'t str, String)>) -> String {
    let each = alike(said).into_iter().map(|(why, targets)| format!("{} ({why})", names(&targets)));
    each.collect::<Vec<_>>().join("; ")
}

/// The targets with this figure, where it may be compared.
pub(super) fn values<'c>(cells: &[&'c Cell], path: &str) -> Vec<(&'c str, f64)> {
    cells.iter().filter_map(|cell| Some((cell.key.target.as_str(), cell.comparable(path)?.median))).collect()
}

/// The least and the largest of these values, which are positive.
pub(super) fn ends(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, 0.0), |(low, high), value| (low.min(value), high.max(value)))
}

/// Targets with values that are near each other.
pub(super) struct Near<'t> {
    /// The targets, in the order in which they were given.
    pub targets: Vec<&'t str>,
    /// The least value.
    pub low: f64,
    /// The largest value.
    pub high: f64,
}

/// Groups the targets by their values, the least ones first.
pub(super) fn near<'t>(values: &[(&'t str, f64)]) -> Vec<Near<'t>> {
    let mut sorted: Vec<f64> = values.iter().map(|(_, value)| *value).collect();
    sorted.sort_by(f64::total_cmp);
    let mut ranges: Vec<(f64, f64)> = Vec::new();
    for value in sorted {
        match ranges.last_mut() {
            Some((_, high)) if value <= *high * NEAR => *high = value,
            _ => ranges.push((value, value)),
        }
    }
    let group = |(low, high)| {
        let within = values.iter().filter(|(_, value)| (low..=high).contains(value));
        Near { targets: within.map(|(target, _)| *target).collect(), low, high }
    };
    ranges.into_iter().map(group).collect()
}

/// A range in one unit, `4.2 to 5.1 KiB`; one value if both ends read the same.
pub(super) fn range(low: f64, high: f64, form: fn(f64) -> String) -> String {
    let (low, high) = (form(low), form(high));
    match (low.rsplit_once(' '), high.rsplit_once(' ')) {
        _ if low == high => low,
        (Some((number, unit)), Some((_, other))) if unit == other => format!("{number} to {high}"),
        _ => format!("{low} to {high}"),
    }
}

/// Bytes with two digits and a binary unit: `4.2 KiB`, `51 MiB`.
pub(super) fn memory(bytes: f64) -> String {
    let (mut n, mut unit) = (bytes, 0);
    while n >= 999.5 && unit < 4 {
        n /= 1024.0;
        unit += 1;
    }
    let number = if n < 9.95 && unit > 0 { format!("{n:.1}") } else { format!("{n:.0}") };
    format!("{number} {}", ["bytes", "KiB", "MiB", "GiB", "TiB"][unit])
}

/// A time with two digits: `0.19 ms`, `32 ms`, `1.1 s`.
pub(super) fn time(us: f64) -> String {
    match us / 1e3 {
        ms if ms < 0.995 => format!("{ms:.2} ms"),
        ms if ms < 9.95 => format!("{ms:.1} ms"),
        ms if ms < 999.5 => format!("{ms:.0} ms"),
        ms => format!("{:.1} s", ms / 1e3),
    }
}

/// How the words of a comparison and the names that it is of are joined.
pub(super) type Form = fn(&str, &str) -> String;

/// How telling a comparison is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Telling {
    Difference,
    PerhapsADifference,
    NoDifference,
    Unclear,
    WithoutInterval,
    Nothing,
}

/// Comparisons that read the same, in words.
struct Said {
    telling: Telling,
    is_less: bool,
    text: String,
}

/// Comparisons under several loads or of several targets, in words: the clear differences first, the largest one before the
/// others. Of several that read the same, the names are listed.
pub(super) fn comparisons(compared: &[(String, Comparison)], form: Form) -> Vec<String> {
    texts(sorted(compared, form))
}

/// The same in two lists: the `most` most telling ones, and the others.
///
/// If some show more and some less, the second one is of the other direction than the first. If too many are clear, the
/// least difference stands beside the largest ones. What cannot be told is among the others, if something can be told.
pub(super) fn most_telling(compared: &[(String, Comparison)], most: usize, form: Form) -> (Vec<String>, Vec<String>) {
    let mut first = sorted(compared, form);
    let number = |is: fn(Telling) -> bool| first.iter().filter(|said| is(said.telling)).count();
    let (clear, told) = (number(|telling| telling < Telling::Unclear), number(|telling| telling < Telling::Nothing));
    let mut others = if told > 0 { first.split_off(told) } else { Vec::new() };
    if clear > most && most > 1 {
        let least = first.remove(clear - 1);
        first.insert(most - 1, least);
    }
    let is_opposite = |said: &Said| said.telling == Telling::Difference && said.is_less != first[0].is_less;
    if let Some(opposite) = first.iter().position(is_opposite) {
        let opposite = first.remove(opposite);
        first.insert(1, opposite);
    }
    others.splice(0..0, first.split_off(most.min(first.len())));
    (texts(first), texts(others))
}

fn texts(said: Vec<Said>) -> Vec<String> {
    said.into_iter().map(|said| said.text).collect()
}

fn sorted(compared: &[(String, Comparison)], form: Form) -> Vec<Said> {
    let mut sorted: Vec<_> =
        compared.iter().map(|(name, comparison)| (telling(comparison), comparison, name)).collect();
    let distance = |comparison: &Comparison| comparison.ratio().map_or(0.0, |ratio| ratio.ln().abs());
    sorted.sort_by(|(a, left, _), (b, right, _)| a.cmp(b).then(distance(right).total_cmp(&distance(left))));
    let mut same: Vec<(String, Said, Vec<&str>)> = Vec::new();
    for (telling, comparison, name) in sorted {
        let words = comparison.text();
        let is_less = comparison.word() == Word::Less;
        match same.iter_mut().find(|(other, ..)| *other == words) {
            Some((.., names)) => names.push(name),
            None => same.push((words, Said { telling, is_less, text: String::new() }, vec![name])),
        }
    }
    same.into_iter().map(|(words, said, of)| Said { text: form(&words, &names(&of)), ..said }).collect()
}

fn telling(comparison: &Comparison) -> Telling {
    match comparison.word() {
        Word::More | Word::Less => Telling::Difference,
        Word::PerhapsMore | Word::PerhapsLess => Telling::PerhapsADifference,
        Word::Same => Telling::NoDifference,
        Word::Unclear => Telling::Unclear,
        Word::None if comparison.ratio().is_some() => Telling::WithoutInterval,
        Word::None => Telling::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contrast::Contrast;

    #[test]
    fn near_values_are_grouped_and_ranges_have_one_unit() {
        let values = [("epoll", 4.0), ("process", 180.0), ("uring", 3.0), ("thread", 43.0), ("pool", 170.0)];
        let groups: Vec<_> = near(&values).into_iter().map(|near| (near.targets, near.low, near.high)).collect();
        let expected = [(vec!["epoll", "uring"], 3.0, 4.0), (vec!["thread"], 43.0, 43.0)];
        assert_eq!(groups[..2], expected);
        assert_eq!(groups[2], (vec!["process", "pool"], 170.0, 180.0));
        let kib = |n: f64| n * 1024.0;
        assert_eq!(range(kib(4.21), kib(5.1), memory), "4.2 to 5.1 KiB");
        assert_eq!(range(kib(43.4), kib(43.0), memory), "43 KiB");
        assert_eq!(range(kib(43.0), kib(43_000.0), memory), "43 KiB to 42 MiB");
        assert_eq!(memory(412.0), "412 bytes");
        assert_eq!([190.0, 3_800.0, 58_000.0, 1_140_000.0].map(time), ["0.19 ms", "3.8 ms", "58 ms", "1.1 s"]);
        assert_eq!(names(&["a", "b", "c"]), "a, b and c");
    }

    #[test]
    fn the_most_telling_comparisons_come_first() {
        let interval =
            |low: f64, high: f64| Comparison::Interval(Contrast { ratio: f64::sqrt(low * high), low, high, blocks: 4 });
        let of = |list: &[(&str, Comparison)], most| {
            let list: Vec<_> = list.iter().map(|(name, comparison)| ((*name).to_owned(), comparison.clone())).collect();
            let (first, others) = most_telling(&list, most, |text, names| format!("{text} {names}"));
            (first.join("; "), others.join("; "))
        };
        let (same, unclear) = (interval(0.99, 1.01), interval(0.9, 1.1));
        let not = Comparison::NotTold("why".into());
        let some = [("a", same.clone()), ("b", not.clone()), ("c", interval(1.1, 1.3)), ("d", same.clone())];
        let expected = ("1.20x (1.10 .. 1.30) c; the same within 3 % a and d".into(), "not told (why) b".into());
        assert_eq!(of(&some, 3), expected);
        let many = [
            ("a", interval(1.1, 1.3)),
            ("b", interval(7.9, 8.1)),
            ("c", unclear),
            ("d", interval(2.9, 3.1)),
            ("e", same),
        ];
        let expected = "8.0x (7.9 .. 8.1) b; 3.0x (2.9 .. 3.1) d; the same within 3 % e";
        assert_eq!(of(&many, 3), (expected.into(), "1.20x (1.10 .. 1.30) a; 0.90 .. 1.10 (unclear) c".into()));
        assert_eq!(of(&[("b", not)], 3), ("not told (why) b".into(), String::new()));
    }
}
