//! Scales: where a value lies between the ends of an axis, and which values have a tick.

/// What the distance of two values on an axis means.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// Their difference.
    Linear,
    /// Their ratio.
    Log,
    /// The ratio of the shares above them: a quantile q lies at -log10(1 - q), so that 90, 99 and 99.9 % are equally far apart.
    Quantile,
}

/// An axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    kind: Kind,
    /// Its ends, in the coordinates in which distances are even.
    from: f64,
    to: f64,
    /// Whether round values are powers of two: those of bytes are.
    is_binary: bool,
}

/// The values that can be on an axis.
fn finite(values: impl IntoIterator<Item = f64>) -> impl Iterator<Item = f64> {
    values.into_iter().filter(|value| value.is_finite())
}

impl Scale {
    fn of(kind: Kind, from: f64, to: f64) -> Scale {
        Scale { kind, from, to, is_binary: false }
    }

    /// The same axis with ticks at round numbers of bytes.
    pub fn in_bytes(self) -> Scale {
        Scale { is_binary: true, ..self }
    }

    /// From 0 to the largest of these values.
    pub fn linear(values: impl IntoIterator<Item = f64>) -> Scale {
        let most = finite(values).fold(0.0, f64::max);
        Scale::of(Kind::Linear, 0.0, if most > 0.0 { most } else { 1.0 })
    }

    /// From one value to another one, which is larger.
    pub fn between(from: f64, to: f64) -> Scale {
        Scale::of(Kind::Linear, from, to)
    }

    /// From the least to the largest of those values that are above 0, with room for a tick below and above.
    pub fn log(values: impl IntoIterator<Item = f64>) -> Scale {
        let logs = finite(values).filter(|&value| value > 0.0).map(f64::log10);
        let (least, most) = logs.fold((f64::MAX, f64::MIN), |(least, most), log| (least.min(log), most.max(log)));
        let (from, to) = if least > most { (0.0, 1.0) } else { (least, most) };
        let room = ((to - from) * 0.04).max(0.05);
        Scale::of(Kind::Log, from - room, to + room)
    }

    /// From 0 to this quantile, which is below 1.
    pub fn quantiles(highest: f64) -> Scale {
        Scale::of(Kind::Quantile, 0.0, nines(highest).max(1.0))
    }

    /// A linear scale where all values are of one order of magnitude, and otherwise a logarithmic one.
    pub fn for_rows(values: impl IntoIterator<Item = f64>) -> Scale {
        let values: Vec<f64> = finite(values).filter(|&value| value > 0.0).collect();
        let (least, most) = values.iter().fold((f64::MAX, 0.0_f64), |(least, most), &v| (least.min(v), most.max(v)));
        if most > 20.0 * least { Scale::log(values) } else { Scale::linear(values) }
    }

    /// Whether distances mean ratios.
    pub fn is_log(&self) -> bool {
        self.kind == Kind::Log
    }

    /// Where this value lies, in percent of the axis from its begin; what is beyond an end lies at the end.
    pub fn at(&self, value: f64) -> f64 {
        let value = match self.kind {
            Kind::Linear => value,
            Kind::Log if value > 0.0 => value.log10(),
            Kind::Log => self.from,
            Kind::Quantile => nines(value),
        };
        let share = (value - self.from) / (self.to - self.from);
        if share.is_finite() { share.clamp(0.0, 1.0) * 100.0 } else { 0.0 }
    }

    /// The values with a tick, ascending; about `most` at most.
    pub fn ticks(&self, most: usize) -> Vec<f64> {
        match self.kind {
            Kind::Linear if self.is_binary => binary_ticks(self.from, self.to, most),
            Kind::Log if self.is_binary => powers_of_two(self.from, self.to, most),
            Kind::Linear => linear_ticks(self.from, self.to, most),
            Kind::Log => log_ticks(self.from, self.to, most),
            Kind::Quantile => {
                let quantiles = [0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999_999];
                quantiles.into_iter().filter(|&quantile| nines(quantile) <= self.to + 1e-9).collect()
            }
        }
    }
}

/// A value of an axis without digits that say nothing: `5µs` for `5.00µs`, `0` for `0.00µs`, `150k` for `150,000`.
pub fn short(text: String) -> String {
    for (zeros, letter) in [(",000,000,000", "G"), (",000,000", "M"), (",000", "k")] {
        if let Some(number) = text.strip_suffix(zeros) {
            return format!("{number}{letter}");
        }
    }
    let Some((whole, rest)) = text.split_once('.') else { return text };
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (decimals, unit) = rest.split_at(digits);
    match decimals.trim_end_matches('0') {
        "" if whole == "0" => whole.to_owned(),
        "" => format!("{whole}{unit}"),
        kept => format!("{whole}.{kept}{unit}"),
    }
}

/// -log10 of the share above a quantile.
fn nines(quantile: f64) -> f64 {
    -(1.0 - quantile).max(1e-9).log10()
}

/// Multiples of 1, 2 or 5 times a power of ten, between two values.
fn linear_ticks(from: f64, to: f64, most: usize) -> Vec<f64> {
    let length = to - from;
    let power = 10_f64.powf((length / most.max(1) as f64).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|times| times * power).into_iter().find(|step| length / step <= most as f64);
    let step = step.unwrap_or(10.0 * power);
    let first = (from / step - 1e-9).ceil();
    (0..=most).map(|n| (first + n as f64) * step).take_while(|&tick| tick <= to + step * 1e-9).collect()
}

/// Multiples of a power of two, between two values.
fn binary_ticks(from: f64, to: f64, most: usize) -> Vec<f64> {
    let step = 2_f64.powf(((to - from) / most.max(1) as f64).log2().ceil());
    let first = (from / step - 1e-9).ceil();
    (0..=most).map(|n| (first + n as f64) * step).take_while(|&tick| tick <= to + step * 1e-9).collect()
}

/// Powers of two between two decimal logarithms.
fn powers_of_two(from: f64, to: f64, most: usize) -> Vec<f64> {
    let powers = (from / 2_f64.log10()).ceil() as i32..=(to / 2_f64.log10()).floor() as i32;
    let powers: Vec<f64> = powers.map(|power| 2_f64.powi(power)).collect();
    let every = powers.len().div_ceil(most.max(1)).max(1);
    powers.into_iter().step_by(every).collect()
}

/// Powers of ten, and where there are too few of them values between; within a factor of three, even steps.
fn log_ticks(from: f64, to: f64, most: usize) -> Vec<f64> {
    if to - from < 0.5 {
        return linear_ticks(10_f64.powf(from), 10_f64.powf(to), most);
    }
    let between = |times: &[f64]| -> Vec<f64> {
        let powers = from.floor() as i32..=to.ceil() as i32;
        let all = powers.flat_map(|power| times.iter().map(move |times| times * 10_f64.powi(power)));
        all.filter(|tick| (from..=to).contains(&tick.log10())).collect()
    };
    let fine = [&[1.0, 1.5, 2.0, 3.0, 5.0, 7.0][..], &[1.0, 2.0, 5.0], &[1.0, 3.0], &[1.0]];
    let fitting = fine.into_iter().map(between).find(|ticks| ticks.len() <= most);
    fitting.unwrap_or_else(|| {
        let powers = between(&[1.0]);
        let every = powers.len().div_ceil(most.max(1));
        powers.into_iter().step_by(every).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_lie_where_the_scale_says() {
        let linear = Scale::linear([3.0, 8.0, f64::NAN]);
        assert_eq!([0.0, 2.0, 8.0, 99.0, -1.0].map(|value| linear.at(value)), [0.0, 25.0, 100.0, 100.0, 0.0]);
        let log = Scale::log([1.0, 100.0]);
        assert!((log.at(10.0) - 50.0).abs() < 1e-9 && log.at(0.0) == 0.0);
        let quantiles = Scale::quantiles(0.999);
        assert!((quantiles.at(0.9) - 100.0 / 3.0).abs() < 1e-6 && quantiles.at(1.0) == 100.0);
    }

    #[test]
    fn a_scale_of_nothing_or_of_one_value_has_ticks_all_the_same() {
        for scale in [Scale::linear([]), Scale::log([]), Scale::log([7.0]), Scale::linear([1e300]), Scale::log([0.0])] {
            let ticks = scale.ticks(6);
            assert!((1..=7).contains(&ticks.len()), "{scale:?}: {ticks:?}");
            assert!(ticks.iter().all(|&tick| (0.0..=100.0).contains(&scale.at(tick))), "{scale:?}: {ticks:?}");
        }
    }

    #[test]
    fn a_value_of_an_axis_is_short() {
        for (text, expected) in [
            ("5.00µs", "5µs"),
            ("0.00µs", "0"),
            ("0.50ms", "0.5ms"),
            ("99.90 %", "99.9 %"),
            ("1,000", "1k"),
            ("1,500", "1,500"),
            ("20,000,000", "20M"),
            ("10.0", "10"),
        ] {
            assert_eq!(short(text.into()), expected);
        }
    }

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(Scale::linear([8.7]).ticks(5), [0.0, 2.0, 4.0, 6.0, 8.0]);
        assert_eq!(Scale::log([3.0, 170.0]).ticks(6), [5.0, 10.0, 20.0, 50.0, 100.0]);
        assert_eq!(Scale::quantiles(0.9985).ticks(6), [0.5, 0.9, 0.99]);
        assert_eq!(Scale::log([100.0, 130.0]).ticks(4), [100.0, 120.0, 140.0]);
        assert_eq!(Scale::linear([5_000.0]).in_bytes().ticks(3), [0.0, 2_048.0, 4_096.0]);
        assert_eq!(Scale::log([900.0, 5_000.0]).in_bytes().ticks(4), [1_024.0, 2_048.0, 4_096.0]);
        let wide = Scale::log([1e-9, 1e12]).ticks(6);
        assert!(wide.len() <= 6 && wide.len() > 2, "{wide:?}");
    }
}
