//! A reader of Prometheus' text format, for sums over samples.
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>

/// The samples of a metric: each sample's labels (as written, without braces) and value.
fn samples<'t>(text: &'t str, name: &'t str) -> impl Iterator<Item = (&'t str, f64)> + 't {
    text.lines().filter_map(move |line| {
        let rest = line.strip_prefix(name)?;
        let (labels, value) = match rest.strip_prefix('{') {
            Some(rest) => rest.rsplit_once('}')?,
            None if rest.starts_with([' ', '\t']) => ("", rest),
            None => return None,
        };
        Some((labels, value.split_ascii_whitespace().next()?.parse().ok()?))
    })
}

/// The sum over the samples of a metric whose labels contain `label`; `None` if there are no such samples, or if one of
/// them is negative, infinite or not a number: no total and no size is.
pub fn total(text: &str, name: &str, label: &str) -> Option<f64> {
    let matching = samples(text, name).filter(|(labels, _)| labels.contains(label));
    let values: Option<Vec<f64>> =
        matching.map(|(_, value)| Some(value).filter(|value| value.is_finite() && *value >= 0.0)).collect();
    values?.into_iter().reduce(|a, b| a + b)
}

/// The value of `label` in the first sample of a metric whose labels contain `with`.
pub fn label<'t>(text: &'t str, name: &'t str, with: &str, label: &str) -> Option<&'t str> {
    let (labels, _) = samples(text, name).find(|(labels, _)| labels.contains(with))?;
    labels.split(',').find_map(|pair| pair.strip_prefix(label)?.strip_prefix("=\"")?.strip_suffix('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_from_prometheus_text() {
        let text =
            "# HELP a b\n# TYPE a counter\na 1.5\nab 7\na_total{kind=\"x\"} 2\na_total{kind=\"y\"} 3 1700000000000\n";
        assert_eq!(total(text, "a", ""), Some(1.5));
        assert_eq!(total(text, "a_total", ""), Some(5.0));
        assert_eq!(total(text, "a_total", "kind=\"y\""), Some(3.0));
        assert_eq!(total(text, "missing", ""), None);
    }

    #[test]
    fn what_cannot_be_a_total_is_none() {
        for value in ["NaN", "-1", "+Inf", "-Inf"] {
            assert_eq!(total(&format!("a 1\na {value}\nb 2\n"), "a", ""), None, "{value}");
        }
        assert_eq!(total("a -0\n", "a", ""), Some(0.0));
    }

    #[test]
    fn a_label_is_found_by_another_one() {
        let text = "source{of=\"cpu\",by=\"clocks\"} 1\nsource{of=\"memory\",by=\"pss\"} 1\n";
        assert_eq!(label(text, "source", "of=\"memory\"", "by"), Some("pss"));
        assert_eq!(label(text, "source", "of=\"memory\"", "b"), None);
        assert_eq!(label(text, "source", "of=\"disk\"", "by"), None);
    }
}
