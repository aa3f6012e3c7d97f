//! The page with all runs: the newest first, each with what it says in short.

use crate::page::{self, Page};
use maud::{Markup, html};
use results::claims::Ruling;
use results::{Results, answers, disk_report};

/// So many sentences of a run are shown in the list.
const SENTENCES: usize = 9;

/// A run in the list.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The name of its folder.
    pub name: String,
    /// What is known of it.
    pub state: Listing,
}

/// What is known of a run in the list.
#[derive(Clone, Debug)]
pub enum Listing {
    /// It goes on.
    GoesOn,
    /// It has results.
    Done(Summary),
    /// Its results cannot be read.
    Unreadable(String),
}

/// A run in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// When it began: RFC 3339, in UTC.
    pub started_at: String,
    /// What it is about.
    pub about: String,
    /// What it says: a topic, and a sentence about it.
    pub says: Vec<(String, String)>,
}

impl Summary {
    /// A run in short.
    pub fn of(results: &Results) -> Summary {
        let plan = &results.settings;
        let named = |names: Vec<String>| match &names[..] {
            [some @ .., _, _, _, _] if !some.is_empty() => {
                format!("{} and {} more", names[..3].join(", "), names.len() - 3)
            }
            _ => names.join(", "),
        };
        let about = match () {
            () if results.is_board() => "the lecture's sentences".into(),
            () if plan.disk.is_some() => format!("files on a disk, on {}", named(plan.targets.clone())),
            () => format!("{} on {}", results::units::plural(plan.loads.len(), "load"), named(plan.targets.clone())),
        };
        let about = if results.interrupted { format!("{about} (interrupted)") } else { about };
        Summary { started_at: results.started_at.clone(), about, says: says(results) }
    }
}

fn says(results: &Results) -> Vec<(String, String)> {
    if results.is_board() {
        let with = |ruling: Ruling| {
            let claims = results.claims.iter().filter(|claim| claim.ruling == ruling);
            let ids: Vec<&str> = claims.map(|claim| claim.id.as_str()).collect();
            (!ids.is_empty()).then(|| (ruling.to_string(), ids.join(", ")))
        };
        return Ruling::ALL.into_iter().filter_map(with).collect();
    }
    if let Some(disk) = &results.settings.disk {
        let told = disk_report::told(results, disk);
        let sentences = told.into_iter().flat_map(|part| {
            let heading = part.heading;
            part.sentences.into_iter().map(move |sentence| (heading.clone(), sentence))
        });
        return sentences.take(SENTENCES).collect();
    }
    let answers = answers::answers(results).into_iter();
    answers.map(|answer| (answer.topic, answer.short)).take(SENTENCES).collect()
}

/// Where the dashboards are, if there are any.
pub type Dashboards<'p> = Option<&'p str>;

/// The page with these runs, of the newest on. `script` is the path of the pages' script.
pub fn page(runs: &[Listed], dashboards: Dashboards<'_>, script: &str) -> String {
    let done: Vec<&Listed> = runs.iter().filter(|run| matches!(run.state, Listing::Done(_))).collect();
    page::whole(&Page {
        title: "Runs",
        style: "",
        script: Some(script),
        body: html! {
            main {
                h1 { "How do you want to do I/O?" }
                p.facts {
                    "The runs, the newest first."
                    @if let Some(dashboards) = dashboards { " " a href=(dashboards) { "Grafana" } " has the same figures over time." }
                }
                @if runs.is_empty() {
                    p { "There is no run yet. " code { "docker compose run --rm loadtest" } " makes one here, and " code { "cargo run --release" } " one in the folder results." }
                }
                @if done.len() > 1 { (side_by_side(&done)) }
                @for run in runs { (listed(run)) }
            }
        },
    })
}

/// The form that chooses two runs.
fn side_by_side(runs: &[&Listed]) -> Markup {
    let choice = |name: &str, label: &str, chosen: usize| {
        html! {
            label {
                (label) " "
                select name=(name) {
                    @for (number, run) in runs.iter().enumerate() { option value=(run.name) selected[number == chosen] { (run.name) } }
                }
            }
        }
    };
    html! {
        form.choice action="/compare" method="get" {
            (choice("from", "From", 1)) " " (choice("to", "to", 0)) " "
            button { "What changed?" }
        }
    }
}

fn listed(run: &Listed) -> Markup {
    html! {
        section.run {
            h2 {
                a href={ "/runs/" (run.name) } { (run.name) }
                @match &run.state {
                    Listing::GoesOn => " goes on now",
                    Listing::Done(summary) => { span.note { " · " (summary.about) } }
                    Listing::Unreadable(_) => "",
                }
            }
            @match &run.state {
                Listing::GoesOn => {}
                Listing::Unreadable(why) => p.warning { "It cannot be shown: " (why) }
                Listing::Done(summary) => dl { @for (topic, short) in &summary.says { dt { (topic) } dd { (short) } } }
            }
        }
    }
}
