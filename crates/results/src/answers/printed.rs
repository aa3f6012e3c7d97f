//! Prints answers.

use super::answer::Answer;
use super::comparison::Word;
use crate::wrap::wrap;
use anstyle::Style;
use std::io::{self, Write};

/// Prints the answers, wrapped at `width` columns, and how to read the intervals in them.
///
/// # Errors
/// An error of writing to `out`.
pub fn print(answers: &[Answer], width: usize, out: &mut dyn Write) -> io::Result<()> {
    let (bold, dimmed) = (Style::new().bold(), Style::new().dimmed());
    for answer in answers {
        writeln!(out, "{bold}{}{bold:#}", wrap(&answer.question, 0, Some(width)))?;
        writeln!(out, "{}", wrap(&format!("  {}.", answer.short), 2, Some(width)))?;
        for detail in &answer.details {
            writeln!(out, "{dimmed}{}{dimmed:#}", wrap(&format!("    {detail}"), 4, Some(width)))?;
        }
    }
    match signs(answers) {
        Some(signs) => writeln!(out, "{dimmed}{}{dimmed:#}", wrap(&signs, 2, Some(width))),
        None => Ok(()),
    }
}

/// How to read the intervals that occur in these answers; `None` if there are none.
pub fn signs(answers: &[Answer]) -> Option<String> {
    let has = |sign: &str| {
        let mut texts = answers.iter().flat_map(|answer| [&answer.short].into_iter().chain(&answer.details));
        texts.any(|text| text.contains(sign))
    };
    let ratio = "5.5x (4.7 .. 6.4): 5.5 times as much, with 95 % confidence 4.7 to 6.4 times";
    let unclear = "unclear: the interval has 1 in it, so either may take less";
    let signs = [("x (", ratio), ("(unclear)", unclear)].into_iter().filter(|(sign, _)| has(sign) && has(" .. "));
    let signs: Vec<&str> = signs.map(|(_, meaning)| meaning).collect();
    (!signs.is_empty()).then(|| format!("{}.", signs.join("; ")))
}

/// Prints each answer in its shortest form, a line each, for the end of the output. What does not fit is left out, from
/// the end.
///
/// # Errors
/// An error of writing to `out`.
pub fn print_short(answers: &[Answer], width: usize, out: &mut dyn Write) -> io::Result<()> {
    let topic = answers.iter().map(|answer| answer.topic.chars().count()).max().unwrap_or(0);
    for answer in answers {
        let short = cut(&answer.short, width.saturating_sub(topic + 2));
        writeln!(out, "{:topic$}  {short}", answer.topic)?;
    }
    Ok(())
}

/// As many parts of a sentence, which semicolons separate, as fit. If that is one of several, the intervals are left out
/// before other parts are. The first part is cut if it is too long itself.
fn cut(sentence: &str, width: usize) -> String {
    let parts: Vec<&str> = sentence.split("; ").collect();
    let bare: Vec<String> = parts.iter().map(|part| without_intervals(part)).collect();
    let fitting = |parts: &[&str]| {
        let sentence = |number: usize| parts[..number].join("; ");
        (1..=parts.len()).rev().map(sentence).find(|sentence| sentence.chars().count() <= width)
    };
    let whole = fitting(&parts).filter(|whole| parts.len() == 1 || whole.contains("; "));
    let bare: Vec<&str> = bare.iter().map(String::as_str).collect();
    let cut_off = || bare[0].chars().take(width.saturating_sub(1)).chain(['…']).collect();
    whole.or_else(|| fitting(&bare)).unwrap_or_else(cut_off)
}

/// The part without intervals in brackets, and without what brackets say of an interval that stands alone.
fn without_intervals(part: &str) -> String {
    let (Some(from), Some(to)) = (part.find(" ("), part.find(')')) else { return part.into() };
    let inside = part.get(from + 2..to).unwrap_or_default();
    let is_left_out = inside.contains(" .. ") || Word::OF_INTERVALS.contains(&inside);
    let until = if is_left_out { from } else { to + 1 };
    format!("{}{}", &part[..until], without_intervals(&part[to + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use anstream::StripStream;

    fn answer() -> Answer {
        Answer {
            topic: "io_uring".into(),
            question: "Is it?".into(),
            short: "yes: 0.92x (0.90 .. 0.94) with keep-alive; the same beside others".into(),
            details: vec![
                "Intervals stay together (0.90 .. 0.94).".into(),
                "Another thing that is longer than a line.".into(),
            ],
        }
    }

    #[test]
    fn answers_are_wrapped() {
        let mut out = Vec::new();
        print(&[answer()], 40, &mut StripStream::new(&mut out)).unwrap();
        let expected = "\
Is it?
  yes: 0.92x (0.90 .. 0.94) with
  keep-alive; the same beside others.
    Intervals stay together
    (0.90 .. 0.94).
    Another thing that is longer than a
    line.
5.5x (4.7 .. 6.4): 5.5 times as much,
  with 95 % confidence 4.7 to 6.4 times.
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn only_intervals_are_left_out() {
        for (part, bare) in [
            ("0.92x (0.90 .. 0.94) with keep-alive (512 connections)", "0.92x with keep-alive (512 connections)"),
            ("0.77x (1 block) with keep-alive", "0.77x (1 block) with keep-alive"),
            ("0.84 .. 2.1 (unclear) with keep-alive", "0.84 .. 2.1 with keep-alive"),
            ("1.02 .. 1.28 (perhaps more) and (1", "1.02 .. 1.28 and (1"),
            ("a) b (c", "a) b (c"),
        ] {
            assert_eq!(without_intervals(part), bare);
        }
    }

    #[test]
    fn a_short_answer_keeps_the_parts_that_fit() {
        let printed = |width| {
            let mut out = Vec::new();
            let noise = Answer { topic: "noise".into(), ..answer() };
            print_short(&[answer(), noise], width, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let whole = "yes: 0.92x (0.90 .. 0.94) with keep-alive; the same beside others";
        assert_eq!(printed(75), format!("io_uring  {whole}\nnoise     {whole}\n"));
        let bare = "yes: 0.92x with keep-alive; the same beside others";
        assert_eq!(printed(74), format!("io_uring  {bare}\nnoise     {bare}\n"));
        assert_eq!(printed(36), "io_uring  yes: 0.92x with keep-alive\nnoise     yes: 0.92x with keep-alive\n");
        assert_eq!(printed(30), "io_uring  yes: 0.92x with kee…\nnoise     yes: 0.92x with kee…\n");
    }
}
