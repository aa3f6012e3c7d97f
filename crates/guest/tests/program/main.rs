//! Tests of the program `guest` in real processes. The guests are bare hyper, which is a part of the program, and small commands
//! of the shell that misbehave.

#[path = "../common/mod.rs"]
mod common;
mod cost;
mod end;
mod pages;
mod refusal;
mod running;
