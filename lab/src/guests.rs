//! The guests that the command line names: servers of others, beside the models or alone.

use std::path::PathBuf;

use clap::Args;
use guest::{Guest, ready_made};
use supervisor::Model;

use crate::servers::{ALL, NONE};

/// The flags that name guests.
#[derive(Debug, Args)]
pub struct GuestFlags {
    /// Servers of others, measured beside the models
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub guests: Vec<String>,
    /// Any other server, as in 'mine=./server --port {port}'; repeated for more
    #[arg(long, value_name = "NAME=COMMAND", value_parser = Guest::from_text)]
    guest: Vec<Guest>,
    /// A TOML file of guests, a table for each: its command, and env, version, package, needs, warm_up
    #[arg(long, value_name = "FILE")]
    guests_file: Vec<PathBuf>,
}

/// The guests of a run.
#[derive(Debug, Default)]
pub struct Chosen {
    pub guests: Vec<Guest>,
    /// Why guests are left out that `--guests all` would take: a line for each.
    pub left_out: Vec<String>,
}

/// The names of the ready-made guests.
pub fn names() -> Vec<String> {
    ready_made().into_iter().map(|guest| guest.name).collect()
}

impl GuestFlags {
    /// The guests that these flags name, in this order.
    ///
    /// # Errors
    /// One line that says which guest does not exist, has the name of another server, or is not installed.
    pub fn chosen(&self, models: &[Model]) -> Result<Chosen, String> {
        let mut chosen = Chosen::default();
        for name in &self.guests {
            match name.as_str() {
                ALL => chosen.add_installed(),
                name => chosen.add_ready_made(name, models)?,
            }
        }
        for guest in &self.guest {
            chosen.add_own(guest.clone(), "--guest", models)?;
        }
        for file in &self.guests_file {
            let guests = Guest::from_file(file).map_err(|why| format!("--guests-file {why}"))?;
            for guest in guests {
                chosen.add_own(guest, &format!("--guests-file {}", file.display()), models)?;
            }
        }
        match chosen.guests.iter().find_map(Guest::missing) {
            Some(why) => Err(why),
            None => Ok(chosen),
        }
    }
}

impl Chosen {
    /// Whether a guest is chosen that has this name.
    fn has(&self, name: &str) -> bool {
        self.guests.iter().any(|guest| guest.name == name)
    }

    fn add_installed(&mut self) {
        for guest in ready_made() {
            match guest.missing() {
                _ if self.has(&guest.name) => {}
                Some(why) => self.left_out.push(format!("left out: {why}")),
                None => self.guests.push(guest),
            }
        }
    }

    fn add_ready_made(&mut self, name: &str, models: &[Model]) -> Result<(), String> {
        if name.is_empty() {
            return Err(format!("--guests: a name is empty; name guests, or write '{ALL}'"));
        }
        match ready_made().into_iter().find(|guest| guest.name == name) {
            Some(guest) if !self.has(name) => self.guests.push(guest),
            Some(_) => {}
            None if models.iter().any(|model| model.name == name) => {
                return Err(format!("--guests {name}: {name} is a model; --models chooses it"));
            }
            None => {
                let there_are = names().join(", ");
                let or = "--guest 'NAME=COMMAND' takes any other server";
                return Err(format!(
                    "--guests {name}: there is no such guest; there are {there_are}, and '{ALL}'; {or}"
                ));
            }
        }
        Ok(())
    }

    /// Adds a guest that the user describes; `from` is the flag with the description.
    fn add_own(&mut self, guest: Guest, from: &str, models: &[Model]) -> Result<(), String> {
        let name = &guest.name;
        let what = match models.iter().any(|model| model.name == *name) {
            true => "a model",
            false if self.has(name) => "another guest",
            false if [ALL, NONE].contains(&name.as_str()) => "a word of --guests and --models",
            false => {
                self.guests.push(guest);
                return Ok(());
            }
        };
        Err(format!("{from}: {name} is the name of {what}: give this guest a different one"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab::MODELS;

    fn chosen(guests: &[&str], own: &[&str]) -> Result<Vec<String>, String> {
        let flags = GuestFlags {
            guests: guests.iter().map(|name| (*name).to_owned()).collect(),
            guest: own.iter().map(|text| Guest::from_text(text).expect("a guest")).collect(),
            guests_file: Vec::new(),
        };
        flags.chosen(MODELS).map(|chosen| chosen.guests.into_iter().map(|guest| guest.name).collect())
    }

    #[test]
    fn guests_keep_their_order_and_come_once() {
        let own = ["b=cat {port}", "a=sh -c {port}"];
        assert_eq!(chosen(&["hyper", "hyper"], &own).unwrap(), ["hyper", "b", "a"]);
        assert!(chosen(&["all", "hyper"], &[]).unwrap().contains(&"hyper".to_owned()));
        assert!(chosen(&[], &[]).unwrap().is_empty());
    }

    #[test]
    fn all_leaves_out_what_is_not_installed_and_says_so() {
        let flags = GuestFlags { guests: vec!["all".into()], guest: Vec::new(), guests_file: Vec::new() };
        let chosen = flags.chosen(MODELS).unwrap();
        assert_eq!(chosen.guests.len() + chosen.left_out.len(), ready_made().len());
    }

    #[test]
    fn a_name_that_is_unknown_or_taken_is_refused() {
        for (guests, own, expected) in [
            (&["ngnix"][..], &[][..], "--guests ngnix: there is no such guest; there are nginx, "),
            (&["epoll"], &[], "--guests epoll: epoll is a model; --models chooses it"),
            (&[""], &[], "--guests: a name is empty"),
            (&[], &["epoll=cat {port}"], "--guest: epoll is the name of a model"),
            (&["hyper"], &["hyper=cat {port}"], "--guest: hyper is the name of another guest"),
            (&[], &["a=cat {port}", "a=cat {port}"], "--guest: a is the name of another guest"),
            (&[], &["all=cat {port}"], "--guest: all is the name of a word"),
            (&[], &["a=/nowhere/server {port}"], "a: there is no program /nowhere/server"),
        ] {
            let why = chosen(guests, own).unwrap_err();
            assert!(why.starts_with(expected), "{why}");
        }
    }
}
