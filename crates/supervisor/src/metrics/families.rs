//! Makes the metric families of `prometheus` from plain numbers.

use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};

/// The labels of a sample: names and values.
pub(super) type Labels<'a> = &'a [(&'a str, &'a str)];

/// Families under construction. The registry leaves out a family without samples.
#[derive(Default)]
pub(super) struct Families(pub Vec<MetricFamily>);

impl Families {
    /// Adds a counter without labels.
    pub fn counter(&mut self, name: &str, help: &str, value: impl Into<Option<f64>>) {
        let mut family = self.counters(name, help);
        if let Some(value) = value.into() {
            family.add(&[], value);
        }
    }

    /// Adds a gauge without labels.
    pub fn gauge(&mut self, name: &str, help: &str, value: impl Into<Option<f64>>) {
        let mut family = self.gauges(name, help);
        if let Some(value) = value.into() {
            family.add(&[], value);
        }
    }

    /// Adds a counter with labels, to which the caller adds the samples.
    pub fn counters(&mut self, name: &str, help: &str) -> Family<'_> {
        self.family(name, help, MetricType::COUNTER)
    }

    /// Adds a gauge with labels, to which the caller adds the samples.
    pub fn gauges(&mut self, name: &str, help: &str) -> Family<'_> {
        self.family(name, help, MetricType::GAUGE)
    }

    /// Adds a histogram with labels, to which the caller adds the samples.
    pub fn histograms(&mut self, name: &str, help: &str) -> Family<'_> {
        self.family(name, help, MetricType::HISTOGRAM)
    }

    fn family(&mut self, name: &str, help: &str, kind: MetricType) -> Family<'_> {
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        Family(self.0.push_mut(family))
    }
}

/// One family under construction.
pub(super) struct Family<'a>(&'a mut MetricFamily);

impl Family<'_> {
    /// Adds the value of a counter or gauge.
    pub fn add(&mut self, labels: Labels<'_>, value: f64) {
        let mut metric = labelled(labels);
        if self.0.get_field_type() == MetricType::COUNTER {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        self.0.mut_metric().push(metric);
    }

    /// Adds a histogram. `counts` are not cumulative, and the last one has no upper bound.
    pub fn add_histogram(&mut self, labels: Labels<'_>, bounds: &[f64], counts: &[u64], sum: f64) {
        let mut cumulative = 0;
        let buckets = bounds.iter().zip(counts).map(|(&bound, &count)| {
            cumulative += count;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(bound);
            bucket.set_cumulative_count(cumulative);
            bucket
        });
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(counts.iter().sum());
        histogram.set_sample_sum(sum);
        let mut metric = labelled(labels);
        metric.set_histogram(histogram);
        self.0.mut_metric().push(metric);
    }
}

fn labelled(labels: Labels<'_>) -> Metric {
    let pairs = labels.iter().map(|&(name, value)| {
        let mut pair = LabelPair::default();
        pair.set_name(name.to_owned());
        pair.set_value(value.to_owned());
        pair
    });
    Metric::from_label(pairs.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus::TextEncoder;

    #[test]
    fn a_histogram_is_cumulative_and_ends_with_infinity() {
        let mut families = Families::default();
        families.histograms("h_seconds", "Help.").add_histogram(&[("route", "/")], &[0.000001, 10.0], &[2, 3, 4], 99.5);
        let text = TextEncoder::new().encode_to_string(&families.0).unwrap();
        let lines: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                r#"h_seconds_bucket{route="/",le="0.000001"} 2"#,
                r#"h_seconds_bucket{route="/",le="10"} 5"#,
                r#"h_seconds_bucket{route="/",le="+Inf"} 9"#,
                r#"h_seconds_sum{route="/"} 99.5"#,
                r#"h_seconds_count{route="/"} 9"#,
            ]
        );
    }
}
