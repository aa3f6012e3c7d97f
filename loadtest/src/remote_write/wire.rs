//! The wire format of Prometheus remote write 1.0: a protobuf message of four small types, compressed with snappy in
//! its block format. <https://prometheus.io/docs/specs/prw/remote_write_spec/>
//!
//! ```text
//! message WriteRequest { repeated TimeSeries timeseries = 1; }
//! message TimeSeries   { repeated Label labels = 1; repeated Sample samples = 2; }
//! message Label        { string name = 1; string value = 2; }
//! message Sample       { double value = 1; int64 timestamp = 2; }
//! ```

use std::collections::BTreeMap;

/// The NaN that marks a series as stale: from its time on, Prometheus does not repeat the sample before it.
pub const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const LENGTH: u8 = 2;

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
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// The value.
    pub value: f64,
    /// Milliseconds since 1970.
    pub at: i64,
}

/// Samples in the order in which they were taken.
pub type Batch = Vec<(Labels, Sample)>;

/// The body of a request that sends these samples.
pub fn body(batch: &Batch) -> Vec<u8> {
    let message = encode(batch);
    // Compression fails only for a message of more than 4 GiB.
    snap::raw::Encoder::new().compress_vec(&message).unwrap_or_default()
}

/// The `WriteRequest` message: each series once, with its samples in the order of the batch.
fn encode(batch: &Batch) -> Vec<u8> {
    let mut series: BTreeMap<&Labels, Vec<Sample>> = BTreeMap::new();
    for (labels, sample) in batch {
        series.entry(labels).or_default().push(*sample);
    }
    let mut request = Vec::new();
    for (labels, samples) in series {
        let mut message = Vec::new();
        for (name, value) in &labels.0 {
            let mut label = Vec::new();
            bytes(&mut label, 1, name.as_bytes());
            bytes(&mut label, 2, value.as_bytes());
            bytes(&mut message, 1, &label);
        }
        for sample in samples {
            bytes(&mut message, 2, &encode_sample(sample));
        }
        bytes(&mut request, 1, &message);
    }
    request
}

/// Encodes a `Sample` message. Fields that are zero are left out, as in proto3.
fn encode_sample(sample: Sample) -> Vec<u8> {
    let mut message = Vec::new();
    if sample.value.to_bits() != 0 {
        message.push(1 << 3 | FIXED64);
        message.extend(sample.value.to_bits().to_le_bytes());
    }
    if sample.at != 0 {
        message.push(2 << 3 | VARINT);
        // A negative int64 takes ten bytes, without zigzag. Protocol Buffers, "Encoding", Signed Integers
        varint(&mut message, sample.at.cast_unsigned());
    }
    message
}

fn bytes(out: &mut Vec<u8>, field: u8, content: &[u8]) {
    out.push(field << 3 | LENGTH);
    varint(out, content.len() as u64);
    out.extend(content);
}

fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
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
        let encoded = encode(&batch);
        assert_eq!(encoded, expected, "{encoded:02x?}");
        // Snappy: the length of the message, then one literal of as many bytes (tag 60: its length less one follows).
        let body = body(&batch);
        assert_eq!(snap::raw::Decoder::new().decompress_vec(&body).unwrap(), expected);
        assert_eq!(body[0] as usize, expected.len());
    }

    #[test]
    fn varints_and_samples_at_the_limits_are_encoded_correctly() {
        for (number, expected) in [
            (0, &b"\x00"[..]),
            (127, b"\x7f"),
            (128, b"\x80\x01"),
            (1_700_000_000_000, b"\x80\xd0\x95\xff\xbc\x31"),
            (u64::MAX, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        ] {
            let mut out = Vec::new();
            varint(&mut out, number);
            assert_eq!(out, expected, "{number}");
        }
        assert_eq!(encode_sample(Sample { value: 0.0, at: 0 }), b"");
        assert_eq!(encode_sample(Sample { value: -0.0, at: 0 }).len(), 9);
        assert_eq!(encode_sample(Sample { value: 0.0, at: -1 }).len(), 11);
    }

    #[test]
    fn labels_are_sorted_and_never_empty() {
        let labels = labels(&[("workload", "/"), ("empty", ""), ("class", "é")]).named("x");
        let names: Vec<&str> = labels.0.iter().map(|&(name, _)| name).collect();
        assert_eq!(names, ["__name__", "class", "workload"]);
    }
}
