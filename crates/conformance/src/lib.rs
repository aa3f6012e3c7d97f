//! Byte transcripts of HTTP/1.1 and what must come of them, run against the bare connection and every service.
//!
//! The [`table()`] is data. A transcript is run by [`bare`] in virtual time and by [`socket`] against an address, whole
//! or cut to pieces; [`check`] then reads the bytes that came back with a parser of its own, [`response`].
#![forbid(unsafe_code)]

pub mod bare;
pub mod check;
pub mod fixture;
pub mod hyper;
pub mod response;
pub mod socket;
mod table;
mod transcript;

pub use table::table;
pub use transcript::{Content, Cut, End, Expected, Step, Transcript};
