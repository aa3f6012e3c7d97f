//! What the run says, in sentences.

use maud::{Markup, html};
use results::{Results, answers};

pub fn part(results: &Results) -> Markup {
    if results.is_board() || results.settings.disk.is_some() {
        return Markup::default();
    }
    let answers = answers::answers(results);
    if answers.is_empty() {
        return Markup::default();
    }
    html! {
        section.answers {
            @for answer in &answers {
                div {
                    h2 { (answer.question) }
                    p.answer { (capitalised(&answer.short)) "." }
                    @if !answer.details.is_empty() {
                        details {
                            summary { "What that rests on" }
                            @for detail in &answer.details { p { (detail) } }
                        }
                    }
                }
            }
            @if let Some(signs) = answers::signs(&answers) { p.note { (signs) } }
        }
    }
}

/// The sentence with a capital at its begin, unless that is a figure's name as `p90`: in a terminal it follows a topic on the same
/// line.
fn capitalised(sentence: &str) -> String {
    let mut letters = sentence.chars();
    if sentence.chars().nth(1).is_some_and(|second| second.is_ascii_digit()) {
        return sentence.to_owned();
    }
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
