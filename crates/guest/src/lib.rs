//! Guests: servers of others, measured beside our models.
//!
//! A guest is a command that takes a port, with its configuration ([`Guest`]). The ready-made ones are in `guests/` at the top, a
//! folder each, with the reasons for their settings. [`main_from`] runs one as a service: the supervisor of our models starts
//! it, restarts it, charges it with its whole process tree and serves its admin endpoint.

mod built_in;
mod guest;
mod program;
mod ready_made;
mod version;

pub use built_in::{BE, built_in};
pub use guest::Guest;
pub use program::{MOST_CONNECTIONS, main_from};
pub use ready_made::ready_made;
