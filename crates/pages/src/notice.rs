//! A page that says why there is nothing to see.

use crate::page::{self, Page};
use maud::html;

/// The page with this heading and this sentence.
pub fn page(heading: &str, sentence: &str, script: &str) -> String {
    page::whole(&Page {
        title: heading,
        style: "",
        script: Some(script),
        body: html! {
            main {
                h1 { (heading) }
                p { (sentence) }
            }
        },
    })
}
