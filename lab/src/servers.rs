//! What a run measures: the models, and servers of others.

use guest::Guest;
use supervisor::Model;

use crate::launch::Server;
use crate::set;

/// What stands for all servers of a kind on the command line.
pub const ALL: &str = "all";
/// What stands for no models.
pub const NONE: &str = "none";

/// The servers of a run.
#[derive(Default)]
pub struct Servers {
    pub models: Vec<Model>,
    pub guests: Vec<Guest>,
    /// The flags of single models.
    pub set: set::Flags,
    /// Lines that say why guests are left out.
    pub left_out: Vec<String>,
}

impl Servers {
    /// The models and then the guests.
    pub fn all(&self) -> impl Iterator<Item = Server<'_>> {
        let models = self.models.iter().map(Server::Model);
        models.chain(self.guests.iter().map(Server::Guest))
    }
}
