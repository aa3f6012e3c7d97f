//! Sends arbitrary bytes to a connection, in arbitrary pieces, at arbitrary times:
//! `cargo +nightly fuzz run conn -- -dict=http.dict -max_len=2048`.
//!
//! An input is a length, a script of that many bytes, and the bytes that the peer sends. It is played three times: whole; cut by the script, which must change nothing but when a `100 Continue` is sent; and with time-outs, stops and
//! replies that are written in part, after which the output must still be HTTP.
#![no_main]

mod chaos;
mod handler;
mod output;

use std::time::Instant;

use conformance::bare::Peer;
use http1::Conn;
use libfuzzer_sys::fuzz_target;

use handler::{FuzzHandler, LIMITS, Log};
use output::Output;

fuzz_target!(|input: &[u8]| {
    let Some((&len, rest)) = input.split_first() else { return };
    let (script, bytes) = rest.split_at(usize::from(len).min(rest.len()));

    let whole = play(bytes, &mut std::iter::once((bytes.len(), usize::MAX)));
    let mut steps = script.iter().cycle().map(|&byte| (usize::from(byte & 31), 1 + usize::from(byte >> 5) * 40));
    let pieces = play(bytes, &mut steps);
    whole.assert_same(&pieces);

    chaos::play(script, bytes);
});

/// Sends the bytes, then the end of the stream. Each step is the length of a piece and the most bytes that one write
/// takes.
fn play(mut bytes: &[u8], steps: &mut dyn Iterator<Item = (usize, usize)>) -> Output {
    let log = Log::default();
    let now = Instant::now();
    let mut peer = Peer::new(Conn::new(FuzzHandler(log.clone()), &LIMITS, now), now);
    while !bytes.is_empty() {
        let (len, appetite) = steps.next().unwrap_or((bytes.len(), usize::MAX));
        let piece = bytes.split_off(..len.clamp(1, bytes.len())).unwrap_or_default();
        peer.appetite = appetite;
        peer.send(piece);
    }
    peer.send(b"");
    assert!(peer.closed, "the stream has ended in both directions");
    Output::of(&peer.received, &log, true)
}
