//! The wire format of Prometheus remote write 1.0: a protobuf message of four small types, compressed with snappy in
//! its block format. <https://prometheus.io/docs/specs/prw/remote_write_spec/>

use prost::Message;
use std::collections::BTreeMap;

/// Prometheus' path for remote write, used if the URL has no path.
pub const PATH: &str = "/api/v1/write";

/// The NaN that marks a series as stale: from its time on, Prometheus does not repeat the sample before it.
pub const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// The labels of a series including its name. As the specification demands, they are sorted by name and none has an
/// empty value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Labels(Vec<(&'static str, String)>);

impl Labels {
    /// Takes labels in any order, and drops those with an empty value.
    pub fn new(labels: impl IntoIterator<Item = (&'static str, String)>) -> Labels {
        let mut labels: Vec<_> = labels.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        labels.sort();
        debug_assert!(labels.is_sorted_by(|a, b| a.0 < b.0), "a label is there twice: {labels:?}");
        Labels(labels)
    }

    /// These labels and `more`.
    pub fn with(&self, more: &[(&'static str, &str)]) -> Labels {
        let more = more.iter().map(|&(name, value)| (name, value.to_owned()));
        Labels::new(self.0.iter().cloned().chain(more))
    }

    /// The PromQL selector of the series with this name and these labels.
    pub fn selector(&self, name: &str) -> String {
        let labels: Vec<String> = self.0.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        format!("{name}{{{}}}", labels.join(","))
    }

    /// The labels of the series with this name and these labels.
    pub fn named(&self, name: &str) -> Labels {
        self.with(&[("__name__", name)])
    }
}

/// One value of a series.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Sample {
    /// The value.
    #[prost(double, tag = "1")]
    pub value: f64,
    /// Milliseconds since 1970.
    #[prost(int64, tag = "2")]
    pub at: i64,
}

/// A distribution of times at a moment. This and the message in it have the tags of Prometheus' own protocol, with counts in whole
/// numbers: <https://github.com/prometheus/prometheus/blob/main/prompb/types.proto>.
#[derive(Clone, PartialEq, Message)]
pub struct Histogram {
    /// How many there are.
    #[prost(uint64, tag = "1")]
    pub count: u64,
    /// The sum of the times, in seconds.
    #[prost(double, tag = "3")]
    pub sum: f64,
    /// There are two to this power buckets between a time and its double.
    #[prost(sint32, tag = "4")]
    pub schema: i32,
    /// Times up to this one, in seconds, count as zero.
    #[prost(double, tag = "5")]
    pub zero_threshold: f64,
    /// How many of them there are.
    #[prost(uint64, tag = "6")]
    pub zero_count: u64,
    /// Which buckets have counts.
    #[prost(message, repeated, tag = "11")]
    pub spans: Vec<Span>,
    /// The count of each of them, less the one before.
    #[prost(sint64, repeated, tag = "12")]
    pub deltas: Vec<i64>,
    /// Milliseconds since 1970.
    #[prost(int64, tag = "15")]
    pub at: i64,
}

/// Buckets that follow each other.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Span {
    /// The number of the first bucket; of later spans, the empty buckets since the one before.
    #[prost(sint32, tag = "1")]
    pub offset: i32,
    /// How many there are.
    #[prost(uint32, tag = "2")]
    pub length: u32,
}

/// A request. This and the messages in it have the tags of the specification, Protocol.
#[derive(PartialEq, Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    series: Vec<TimeSeries>,
}

/// A series with some of its samples.
#[derive(PartialEq, Message)]
pub struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
    #[prost(message, repeated, tag = "4")]
    histograms: Vec<Histogram>,
}

/// A label of a series; its name is the label `__name__`.
#[derive(PartialEq, Message)]
pub struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

/// What a series has at a moment: a sample, or a histogram.
pub trait Point: Clone + Send + 'static {
    /// The most of them in one request.
    const A_REQUEST: usize;
    /// Whether a server may do without them: after the first refusal, no more are sent.
    const OPTIONAL: bool;

    /// A series with these.
    fn series(labels: Vec<Label>, points: Vec<Self>) -> TimeSeries;
}

impl Point for Sample {
    const A_REQUEST: usize = 2_000;
    const OPTIONAL: bool = false;

    fn series(labels: Vec<Label>, samples: Vec<Sample>) -> TimeSeries {
        TimeSeries { labels, samples, histograms: Vec::new() }
    }
}

impl Point for Histogram {
    const A_REQUEST: usize = 200;
    const OPTIONAL: bool = true;

    fn series(labels: Vec<Label>, histograms: Vec<Histogram>) -> TimeSeries {
        TimeSeries { labels, samples: Vec::new(), histograms }
    }
}

/// Samples, or histograms, in the order in which they were taken.
pub type Batch<T = Sample> = Vec<(Labels, T)>;

/// The body of a request that sends these.
pub fn body<T: Point>(batch: &Batch<T>) -> Vec<u8> {
    let message = write_request(batch).encode_to_vec();
    // Compression fails only for a message of more than 4 GiB.
    snap::raw::Encoder::new().compress_vec(&message).unwrap_or_default()
}

/// Each series once, with what it has in the order of the batch.
fn write_request<T: Point>(batch: &Batch<T>) -> WriteRequest {
    let mut series: BTreeMap<&Labels, Vec<T>> = BTreeMap::new();
    for (labels, point) in batch {
        series.entry(labels).or_default().push(point.clone());
    }
    let series = series.into_iter().map(|(labels, points)| {
        let label = |(name, value): &(&str, String)| Label { name: (*name).to_owned(), value: value.clone() };
        T::series(labels.0.iter().map(label).collect(), points)
    });
    WriteRequest { series: series.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(labels: &[(&'static str, &str)]) -> Labels {
        Labels::new(labels.iter().map(|&(name, value)| (name, value.to_owned())))
    }

    #[test]
    fn a_request_is_encoded_byte_for_byte() {
        let up = labels(&[("__name__", "up"), ("a", "b")]);
        let batch = vec![
            (up.clone(), Sample { value: 1.0, at: 1 }),
            (labels(&[("__name__", "x")]), Sample { value: 0.0, at: 300 }),
            (up, Sample { value: STALE, at: 2 }),
        ];
        let expected: &[&[u8]] = &[
            b"\x0a\x32", // TimeSeries, 16 + 8 + 13 + 13 bytes
            b"\x0a\x0e\x0a\x08__name__\x12\x02up",
            b"\x0a\x06\x0a\x01a\x12\x01b",
            b"\x12\x0b\x09\x00\x00\x00\x00\x00\x00\xf0\x3f\x10\x01",
            b"\x12\x0b\x09\x02\x00\x00\x00\x00\x00\xf0\x7f\x10\x02",
            b"\x0a\x14", // TimeSeries, 15 + 5 bytes
            b"\x0a\x0d\x0a\x08__name__\x12\x01x",
            b"\x12\x03\x10\xac\x02",
        ];
        let expected: Vec<u8> = expected.concat();
        let encoded = write_request(&batch).encode_to_vec();
        assert_eq!(encoded, expected, "{encoded:02x?}");
        // Snappy: the length of the message, then one literal of as many bytes (tag 60: its length less one follows).
        let body = body(&batch);
        assert_eq!(snap::raw::Decoder::new().decompress_vec(&body).unwrap(), expected);
        assert_eq!(body[0] as usize, expected.len());
    }

    #[test]
    fn samples_at_the_limits_are_encoded_correctly() {
        let encoded = |value: f64, at: i64| Sample { value, at }.encode_to_vec();
        // Fields that are zero are left out, as in proto3.
        assert_eq!(encoded(0.0, 0), b"");
        // Prometheus' own encoder leaves -0 out, too (prompb: `if m.Value != 0`). It arrives as 0, which equals it.
        assert_eq!(encoded(-0.0, 0), b"");
        for (at, varint) in [
            (127, &b"\x7f"[..]),
            (128, b"\x80\x01"),
            (1_700_000_000_000, b"\x80\xd0\x95\xff\xbc\x31"),
            // A negative int64 takes ten bytes, without zigzag. Protocol Buffers, "Encoding", Signed Integers
            (-1, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        ] {
            assert_eq!(encoded(0.0, at), [b"\x10", varint].concat(), "{at}");
        }
        // The bits of a NaN say whether it is the stale marker.
        assert_eq!(encoded(STALE, 0), b"\x09\x02\x00\x00\x00\x00\x00\xf0\x7f");
        assert_eq!(encoded(f64::NAN, 0), [b"\x09".to_vec(), f64::NAN.to_le_bytes().to_vec()].concat());
    }

    #[test]
    fn labels_are_sorted_and_never_empty() {
        let labels = labels(&[("workload", "/"), ("empty", ""), ("class", "é")]).named("x");
        let names: Vec<&str> = labels.0.iter().map(|&(name, _)| name).collect();
        assert_eq!(names, ["__name__", "class", "workload"]);
    }
}
