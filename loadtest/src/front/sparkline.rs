//! A row of small bars, a character each.

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A bar for each value, from 0 to the largest one; a dot where there is none.
pub fn sparkline(values: &[Option<f64>]) -> String {
    let most = values.iter().flatten().copied().filter(|value| value.is_finite()).fold(0.0, f64::max);
    let bar = |value: &Option<f64>| match value {
        Some(value) if most > 0.0 => BARS[((value / most * 8.0).ceil() as usize).clamp(1, 8) - 1],
        Some(_) => BARS[0],
        None => '·',
    };
    values.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_high_as_its_share_of_the_largest() {
        assert_eq!(sparkline(&[Some(0.0), Some(4.0), None, Some(8.0), Some(0.1)]), "▁▄·█▁");
        assert_eq!(sparkline(&[Some(0.0), Some(f64::NAN)]), "▁▁");
        assert_eq!(sparkline(&[]), "");
    }
}
