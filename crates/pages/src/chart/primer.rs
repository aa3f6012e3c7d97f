//! How to read a chart, folded beside it.

use maud::{Markup, html};

/// The sentences, folded.
pub fn primer(sentences: &[&str]) -> Markup {
    html! {
        details.primer {
            summary { "How to read this" }
            @for sentence in sentences { p { (sentence) } }
        }
    }
}
