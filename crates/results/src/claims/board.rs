//! Prints claims: each with what was done and measured, and all of them on a board of one screen.

use super::judge::ALPHA;
use crate::schema::{Bound, Claim, Part, Ruling};
use crate::units::{plural, three_digits};
use crate::wrap::wrap;
use anstyle::{AnsiColor, Style};
use std::io::{self, Write};

/// Prints each claim with what was done, what was measured, and how to repeat it, wrapped at `width` columns.
///
/// # Errors
/// An error of writing to `out`.
pub fn print_details(claims: &[Claim], width: usize, out: &mut dyn Write) -> io::Result<()> {
    let (bold, dimmed) = (Style::new().bold(), Style::new().dimmed());
    for claim in claims {
        let ruled = style(claim.ruling);
        writeln!(out, "{bold}{}{bold:#}: {ruled}{}{ruled:#}", claim.id, claim.ruling)?;
        let mut line = |text: &str| writeln!(out, "{}", wrap(&format!("  {text}"), 4, Some(width)));
        line(&claim.says)?;
        line(&claim.does)?;
        claim.parts.iter().try_for_each(|part| line(&format!("- {}", in_words(part))))?;
        claim.why.iter().try_for_each(|why| line(&format!("It was not judged: {why}.")))?;
        claim.notes.iter().try_for_each(|note| line(note))?;
        if claim.experiment.is_some() {
            writeln!(out, "{dimmed}  {}{dimmed:#}", claim.command)?;
        }
    }
    Ok(())
}

/// Prints a line for each claim, and how to read them.
///
/// # Errors
/// An error of writing to `out`.
pub fn print_board(claims: &[Claim], width: usize, out: &mut dyn Write) -> io::Result<()> {
    let (bold, dimmed) = (Style::new().bold(), Style::new().dimmed());
    let rows: Vec<[String; 4]> = claims.iter().map(row).collect();
    let widest = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let [id, ruling, figure] = [0, 1, 2].map(widest);
    writeln!(out, "{bold}What holds here{bold:#}")?;
    for (claim, row) in claims.iter().zip(&rows) {
        let ruled = style(claim.ruling);
        let (left, of_rest) = (id + ruling + figure + 4, 8);
        let rest = if left + 2 + of_rest > width { String::new() } else { cut(&row[3], width - left - 2) };
        let figure = format!("{:figure$}  {rest}", row[2]);
        let figure = cut(figure.trim_end(), width.saturating_sub(id + ruling + 4));
        writeln!(out, "{:id$}  {ruled}{:ruling$}{ruled:#}  {figure}", row[0], row[1])?;
    }
    let counts = Ruling::ALL.map(|ruling| (ruling, claims.iter().filter(|claim| claim.ruling == ruling).count()));
    let counts = counts.map(|(ruling, count)| match (ruling, count) {
        (Ruling::CannotBeShown, count) => format!("{count} cannot be shown here"),
        (Ruling::Holds, 1) | (Ruling::Fails, 1) => format!("1 {ruling}"),
        (Ruling::Holds, count) => format!("{count} hold"),
        (Ruling::Fails, count) => format!("{count} fail"),
    });
    let signs = format!(
        "{}. A claim holds if its whole interval is beyond the margin, and fails if it is wholly short of it. The intervals are so \
         wide that with {:.0} % all rulings of a whole board are right together.",
        counts.join(", "),
        (1.0 - ALPHA) * 100.0
    );
    writeln!(out, "{dimmed}{}{dimmed:#}", wrap(&signs, 0, Some(width)))
}

/// Prints what two boards say of the claims that both have: first those whose rulings contradict each other.
///
/// # Errors
/// An error of writing to `out`.
pub fn print_comparison(first: &[Claim], second: &[Claim], out: &mut dyn Write) -> io::Result<()> {
    let pairs = first.iter().filter_map(|claim| Some((claim, second.iter().find(|other| other.id == claim.id)?)));
    let mut pairs: Vec<(&Claim, &Claim)> = pairs.collect();
    let is_flip =
        |(a, b): &(&Claim, &Claim)| a.ruling != b.ruling && ![a.ruling, b.ruling].contains(&Ruling::CannotBeShown);
    pairs.sort_by_key(|pair| (!is_flip(pair), pair.0.ruling == pair.1.ruling));
    let id = pairs.iter().map(|(claim, _)| claim.id.len()).max().unwrap_or(0);
    for pair in &pairs {
        let [a, b] = [pair.0, pair.1].map(|claim| {
            let figure = claim.deciding_part().map_or_else(|| "-".into(), figure);
            format!("{} {figure}", claim.ruling)
        });
        let what = match () {
            () if is_flip(pair) => "contradicts",
            () if pair.0.ruling == pair.1.ruling => "the same",
            () => "differs",
        };
        writeln!(out, "{:id$}  {what:11}  {a}; {b}", pair.0.id)?;
    }
    let (flips, common) = (pairs.iter().filter(|pair| is_flip(pair)).count(), plural(pairs.len(), "claim"));
    writeln!(out, "{common} in common, {flips} of them with rulings that contradict each other")
}

/// The columns of a claim: its name, what the experiment says, the figure against its margin, and the sentence, or why it cannot be
/// shown.
fn row(claim: &Claim) -> [String; 4] {
    let part = claim.deciding_part();
    let figure = part.map_or_else(|| "-".into(), |part| format!("{} {}", figure(part), part.margin));
    let (ruling, rest) = match claim.ruling {
        Ruling::CannotBeShown => ("not shown".into(), claim.why_not_shown().cloned().unwrap_or_default()),
        decided => (decided.to_string(), claim.says.clone()),
    };
    [claim.id.clone(), ruling, figure, rest]
}

/// A part in a sentence.
pub fn in_words(part: &Part) -> String {
    let why = part.why.as_ref().map_or_else(String::new, |why| format!(" ({why})"));
    format!("{}: {}, margin {}: {}{why}", part.what, figure(part), part.margin, part.ruling)
}

/// The figure and its interval, or a dash; before a bound, on which side of it the true figure lies, as in tables.
pub fn figure(part: &Part) -> String {
    let bound = match part.bound {
        None => "",
        Some(Bound::Upper) => "<=",
        Some(Bound::Lower) => ">=",
    };
    match (part.figure, part.low.zip(part.high)) {
        (None, _) => "-".into(),
        (Some(figure), Some((low, high))) if low < high => {
            format!("{bound}{} ({} .. {})", three_digits(figure), three_digits(low), three_digits(high))
        }
        (Some(figure), _) => format!("{bound}{}", three_digits(figure)),
    }
}

fn style(ruling: Ruling) -> Style {
    match ruling {
        Ruling::Holds => AnsiColor::Green.on_default(),
        Ruling::Fails => AnsiColor::Red.on_default().bold(),
        Ruling::CannotBeShown => Style::new().dimmed(),
    }
}

/// As much of a text as fits.
fn cut(text: &str, width: usize) -> String {
    match text.chars().count() > width {
        false => text.into(),
        true => text.chars().take(width.saturating_sub(1)).chain(['…']).collect(),
    }
}
