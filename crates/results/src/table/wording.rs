//! Sentences that differ only in their numbers, and one sentence that says all of them.

/// A sentence, with its numbers apart.
pub(super) struct Wording(Vec<Word>);

struct Word {
    text: String,
    number: Option<Number>,
}

/// A word that is a number, with its unit: `2`, `±38`, `1.20ms,`.
struct Number {
    /// What stands before the number.
    before: String,
    /// The number and its unit.
    number: String,
    /// What stands after them.
    after: String,
    /// The value in the smallest unit.
    value: f64,
}

/// Units that stand at their number, and how many of the smallest unit they are.
const UNITS: [(&str, f64); 4] = [("µs", 1.0), ("ms", 1e3), ("s", 1e6), ("", 1.0)];

impl Wording {
    /// Takes a sentence apart.
    pub fn of(text: &str) -> Wording {
        let word = |text: &str| Word { text: text.to_owned(), number: number(text) };
        Wording(text.split(' ').map(word).collect())
    }

    /// Whether the two sentences are the same but for numbers.
    pub fn is_like(&self, other: &Wording) -> bool {
        let is_like = |(a, b): (&Word, &Word)| match (&a.number, &b.number) {
            (Some(a), Some(b)) => a.before == b.before && a.after == b.after,
            _ => a.text == b.text,
        };
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(is_like)
    }
}

/// One sentence for sentences that are alike: where their numbers differ, it has the lowest and the highest.
pub(super) fn join(said: &[Wording]) -> String {
    let words = (0..said[0].0.len()).map(|place| {
        let first = &said[0].0[place];
        let numbers = said.iter().filter_map(|wording| wording.0[place].number.as_ref());
        let lowest = numbers.clone().min_by(|a, b| a.value.total_cmp(&b.value));
        let highest = numbers.max_by(|a, b| a.value.total_cmp(&b.value));
        match lowest.zip(highest) {
            Some((low, high)) if low.number != high.number => {
                format!("{}{} to {}{}", low.before, low.number, high.number, low.after)
            }
            _ => first.text.clone(),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

fn number(word: &str) -> Option<Number> {
    let start = word.find(|c: char| c.is_ascii_digit()).filter(|&start| matches!(&word[..start], "" | "±" | "-"))?;
    if word.ends_with(')') {
        return None; // a name for something, as in "(pid 17)"
    }
    let end = word.trim_end_matches(|c: char| !c.is_alphanumeric() && c != '%').len();
    let number = &word[start..end];
    let digits = number.trim_end_matches(char::is_alphabetic);
    let (_, scale) = UNITS.into_iter().find(|(unit, _)| *unit == &number[digits.len()..])?;
    let value = digits.replace(',', "").parse::<f64>().ok()? * scale;
    Some(Number { before: word[..start].into(), number: number.into(), after: word[end..].into(), value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_that_differ_in_numbers_are_one_with_the_range() {
        let busy = |share: &str| format!("a client thread was busy {share} % of the time, or more");
        for (said, expected) in [
            (vec!["the same".to_owned(), "the same".into()], Some("the same".to_owned())),
            (vec![busy("3"), busy("12"), busy("2")], Some(busy("2 to 12"))),
            (vec![busy("3"), busy("3")], Some(busy("3"))),
            (vec!["sent 110µs late;".into(), "sent 1.20ms late;".into()], Some("sent 110µs to 1.20ms late;".into())),
            (vec!["±38 % only".into(), "±11 % only".into()], Some("±11 to 38 % only".into())),
            (vec!["1,200 of 3".into(), "999 of 3".into()], Some("999 to 1,200 of 3".into())),
            (vec!["at 127.0.0.1:80".into(), "at 127.0.0.1:81".into()], None),
            (vec!["redirect (301)".into(), "redirect (302)".into()], None),
            (vec!["another (pid 17) ran".into(), "another (pid 18) ran".into()], None),
            (vec!["1 request".into(), "2 requests".into()], None),
        ] {
            let wordings: Vec<Wording> = said.iter().map(|text| Wording::of(text)).collect();
            let is_like = wordings.iter().all(|wording| wordings[0].is_like(wording));
            assert_eq!(is_like.then(|| join(&wordings)), expected, "{said:?}");
        }
    }
}
