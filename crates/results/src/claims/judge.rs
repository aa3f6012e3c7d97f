//! The judgement: a measure and its interval against a margin that was fixed before.

use super::measure::{Measure, Values};
use crate::contrast::LEAST_BLOCKS;
use crate::schema::{Bound, Margin, Part, Ruling};
use crate::statistics::{self, mean_interval};
use crate::units::plural;

/// The probability with which the noise of the machine lets any claim of the board be judged wrongly, over all of them together.
pub const ALPHA: f64 = 0.05;
/// More blocks than this are not named as what it would take: nobody would run them.
const MOST_NAMED: usize = 1000;

impl Margin {
    /// What an interval says. Both ends may be the same.
    fn ruling(self, low: f64, high: f64) -> Ruling {
        let (holds, fails) = match self {
            Margin::AtLeast(margin) => (low >= margin, high < margin),
            Margin::AtMost(margin) => (high <= margin, low > margin),
            Margin::MoreThan(margin) => (low > margin, high <= margin),
            Margin::Within(least, most) => (low >= least && high <= most, high < least || low > most),
        };
        match (holds, fails) {
            (true, _) => Ruling::Holds,
            (_, true) => Ruling::Fails,
            _ => Ruling::CannotBeShown,
        }
    }

    /// How far a value is from the nearest bound, on the scale of the values.
    fn distance(self, value: f64, on_scale: impl Fn(f64) -> f64) -> f64 {
        let from = |bound: f64| (on_scale(value) - on_scale(bound)).abs();
        match self {
            Margin::AtLeast(margin) | Margin::AtMost(margin) | Margin::MoreThan(margin) => from(margin),
            Margin::Within(least, most) => from(least).min(from(most)),
        }
    }
}

impl Measure {
    /// Whether it is this or more.
    pub fn at_least(self, margin: f64) -> Part {
        judge(self, Margin::AtLeast(margin))
    }

    /// Whether it is this or less.
    pub fn at_most(self, margin: f64) -> Part {
        judge(self, Margin::AtMost(margin))
    }

    /// Whether it is more than this.
    pub fn more_than(self, margin: f64) -> Part {
        judge(self, Margin::MoreThan(margin))
    }

    /// Whether it is between both.
    pub fn within(self, least: f64, most: f64) -> Part {
        judge(self, Margin::Within(least, most))
    }
}

/// What parts that are joined by "and" say together: the claim fails if one of them fails, and holds if all of them hold.
pub fn together(parts: &[Part]) -> Ruling {
    match () {
        () if parts.iter().any(|part| part.ruling == Ruling::Fails) => Ruling::Fails,
        () if !parts.is_empty() && parts.iter().all(|part| part.ruling == Ruling::Holds) => Ruling::Holds,
        () => Ruling::CannotBeShown,
    }
}

/// Judges a measure. Its interval holds with 1 - [`ALPHA`]/`claims`.
pub fn judge(measure: Measure, margin: Margin) -> Part {
    let Measure { what, is_ratio, values, bound, claims } = measure;
    let part = |figure, low, high, blocks, ruling, why| Part {
        what,
        margin,
        is_ratio,
        figure,
        low,
        high,
        bound,
        blocks,
        ruling,
        why,
    };
    let cannot = Ruling::CannotBeShown;
    let values = match values {
        Err(why) => return part(None, None, None, 0, cannot, Some(why)),
        Ok(Values::Count { value, .. }) if !value.is_finite() => {
            return part(None, None, None, 0, cannot, Some("a value is no number".into()));
        }
        Ok(Values::Count { value, low, high }) => {
            let ruling = margin.ruling(value, value);
            return part(Some(value), Some(low), Some(high), 0, ruling, None);
        }
        Ok(Values::Blocks(values)) => values,
    };
    let blocks = values.len();
    let on_scale = |value: f64| if is_ratio { value.ln() } else { value };
    let back = |value: f64| if is_ratio { value.exp() } else { value };
    if values.iter().any(|value| !value.is_finite()) {
        return part(None, None, None, blocks, cannot, Some("a value is no number".into()));
    }
    if is_ratio && values.iter().any(|&value| value <= 0.0) {
        return part(None, None, None, blocks, cannot, Some("a value is 0, and a ratio needs values above 0".into()));
    }
    let scaled: Vec<f64> = values.iter().map(|&value| on_scale(value)).collect();
    if blocks < LEAST_BLOCKS {
        let why = format!("{}, and an interval needs {LEAST_BLOCKS}", plural(blocks, "block"));
        return part(None, None, None, blocks, cannot, Some(why));
    }
    let alpha = ALPHA / claims as f64;
    let (mean, half) = mean_interval(&scaled, alpha);
    let (figure, low, high) = (back(mean), back(mean - half), back(mean + half));
    let ruling = margin.ruling(low, high);
    // The true value is below an upper bound, and above a lower one: the first can show "at most", and nothing else.
    let is_shown_by_bound = match (bound, margin) {
        (None, _) => true,
        (Some(Bound::Upper), Margin::AtMost(_)) => ruling != Ruling::Fails,
        (Some(Bound::Lower), Margin::AtLeast(_) | Margin::MoreThan(_)) => ruling != Ruling::Fails,
        _ => false,
    };
    if !is_shown_by_bound {
        let why = "the figure is only a bound, and the true one lies on the other side".into();
        return part(Some(figure), Some(low), Some(high), blocks, cannot, Some(why));
    }
    let why = (ruling == cannot).then(|| {
        let distance = margin.distance(figure, on_scale);
        let needed = statistics::values_needed(blocks, half, distance, alpha, MOST_NAMED);
        let how_many = match needed {
            Some(needed) => format!("with this noise, about {needed} blocks would show it, and there were {blocks}"),
            None => format!("no number of blocks up to {MOST_NAMED} would show it with this noise"),
        };
        format!("the margin is within the interval: {how_many}")
    });
    part(Some(figure), Some(low), Some(high), blocks, ruling, why)
}

#[cfg(test)]
mod tests;
