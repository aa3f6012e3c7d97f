//! Transcripts of HTTP/1.1, byte for byte, and the replies that a server must give. They are run against the bare
//! connection and against every service.
//!
//! The [`table()`] is data. [`bare`] plays a transcript in virtual time, and [`socket`] plays it to an address, whole
//! or cut to pieces. [`check`] then reads the bytes that came back, with a parser that shares no code with the server:
//! [`response`].
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
