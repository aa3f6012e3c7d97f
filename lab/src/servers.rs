//! What a run measures: the models, and servers of others.

use std::collections::BTreeMap;

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
    /// Targets that are a model under another name, with flags of their own in `set`: the name of the model.
    pub variants: BTreeMap<String, String>,
    /// Lines that say why guests are left out.
    pub left_out: Vec<String>,
}

impl Servers {
    /// The models and then the guests.
    pub fn all(&self) -> impl Iterator<Item = Server<'_>> {
        let models = self.models.iter().map(Server::Model);
        models.chain(self.guests.iter().map(Server::Guest))
    }

    /// The server of a target.
    pub fn of_target(&self, target: &str) -> Option<Server<'_>> {
        let name = self.variants.get(target).map_or(target, String::as_str);
        self.all().find(|server| server.name() == name)
    }
}
