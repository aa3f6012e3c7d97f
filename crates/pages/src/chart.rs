//! Charts: where a value lies ([`scale`]), a value a target in rows ([`rows`]), curves ([`curves`]), small curves side by side
//! ([`sparks`]), and how to read each ([`primer`]).

pub mod curves;
pub mod primer;
pub mod rows;
pub mod scale;
pub mod sparks;
