//! `--set`: flags for the services of single models.

use std::collections::BTreeMap;
use std::str::FromStr;

use guest::Guest;
use supervisor::{Model, flag_names};

/// Flags that the lab gives each service itself.
const OF_THE_LAB: [&str; 5] = ["listen", "admin", "files", "cpus", "supervisor-cpus"];

/// Flags with their values, by model. The value of a flag that takes none is `true`.
pub type Flags = BTreeMap<String, BTreeMap<String, String>>;

/// `MODEL.FLAG=VALUE`, or `MODEL.FLAG` for a flag that takes no value.
#[derive(Clone, Debug)]
pub struct Setting {
    model: String,
    flag: String,
    value: String,
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Setting, String> {
        let (name, value) = text.split_once('=').unwrap_or((text, "true"));
        let (model, flag) = name.split_once('.').ok_or("write MODEL.FLAG=VALUE, as in thread-pool.workers=16")?;
        Ok(Setting { model: model.into(), flag: flag.trim_start_matches('-').into(), value: value.into() })
    }
}

/// The flags of these models. Whether a value is right, the service says at its start.
///
/// # Errors
/// One line: there is no such model or flag, with a list of those that there are; or the flag is not the user's.
pub fn flags(settings: &[Setting], models: &[Model], guests: &[Guest]) -> Result<Flags, String> {
    let mut flags = Flags::new();
    for Setting { model: name, flag, value } in settings {
        if guests.iter().any(|guest| guest.name == *name) {
            let instead = "its command and its configuration set it up; --guest takes another command";
            return Err(format!("--set {name}.{flag}: {name} is a guest, and has no flags here: {instead}"));
        }
        let Some(model) = models.iter().find(|model| model.name == name) else {
            if models.is_empty() {
                return Err(format!("--set {name}.{flag}: this run has no models"));
            }
            let names: Vec<&str> = models.iter().map(|model| model.name).collect();
            return Err(format!("--set {name}.{flag}: this run has no model {name}; it has {}", names.join(", ")));
        };
        if OF_THE_LAB.contains(&flag.as_str()) {
            return Err(format!("--set {name}.{flag}: the lab itself sets --{flag} for each service"));
        }
        let mut known = flag_names(model);
        known.retain(|known| !OF_THE_LAB.contains(&known.as_str()));
        if !known.contains(flag) {
            return Err(format!("--set {name}.{flag}: {name} has no flag {flag}; it has {}", known.join(", ")));
        }
        if flags.entry(name.clone()).or_default().insert(flag.clone(), value.clone()).is_some() {
            return Err(format!("--set {name}.{flag}: it is set twice"));
        }
    }
    Ok(flags)
}

/// Says with which flags a model runs.
pub fn describe(model: &str, flags: &BTreeMap<String, String>) -> String {
    format!("{model} runs with {}", arguments(flags).collect::<Vec<_>>().join(" "))
}

/// The flags as arguments of a service.
pub fn arguments(flags: &BTreeMap<String, String>) -> impl Iterator<Item = String> {
    flags.iter().map(|(flag, value)| match value.as_str() {
        "true" => format!("--{flag}"),
        value => format!("--{flag}={value}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab::MODELS;

    fn set(settings: &[&str]) -> Result<Flags, String> {
        let settings: Vec<Setting> = settings.iter().map(|text| text.parse().unwrap()).collect();
        flags(&settings, MODELS, &guest::ready_made())
    }

    #[test]
    fn flags_are_for_one_model() {
        let flags = set(&["thread-pool.workers=16", "epoll.racy", "thread-pool.idle-timeout=3s"]).unwrap();
        assert_eq!(flags.keys().collect::<Vec<_>>(), ["epoll", "thread-pool"]);
        let given = |model: &str| arguments(&flags[model]).collect::<Vec<_>>();
        assert_eq!(given("thread-pool"), ["--idle-timeout=3s", "--workers=16"]);
        assert_eq!(given("epoll"), ["--racy"]);
    }

    #[test]
    fn an_unknown_name_is_refused_with_those_that_there_are() {
        assert!(Setting::from_str("workers=16").unwrap_err().contains("MODEL.FLAG=VALUE"));
        let why = set(&["apache.workers=16"]).unwrap_err();
        assert!(why.contains("no model apache; it has process-per-connection, "), "{why}");
        let why = set(&["thread-pool.wokers=16"]).unwrap_err();
        assert!(why.contains("no flag wokers; it has ") && why.contains(", backlog, "), "{why}");
        assert!(why.ends_with("workers") || why.contains("workers, "), "{why}");
        assert!(!why.contains("listen"), "{why}");
        let none = flags(&["epoll.threads=1".parse().unwrap()], &[], &[]).unwrap_err();
        assert_eq!(none, "--set epoll.threads: this run has no models");
        assert!(set(&["nginx.workers=16"]).unwrap_err().contains("nginx is a guest, and has no flags here"));
        assert!(set(&["epoll.workers=16"]).unwrap_err().contains("epoll has no flag workers"));
        assert!(set(&["epoll.cpus=0"]).unwrap_err().contains("the lab itself sets --cpus"));
        assert!(set(&["epoll.threads=1", "epoll.threads=2"]).unwrap_err().contains("set twice"));
    }
}
