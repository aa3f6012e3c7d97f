//! A whole page: what is around its body.

use maud::{DOCTYPE, Markup, PreEscaped, html};

/// The rules of all pages.
const STYLE: &str = include_str!("style.css");

/// What a page may do: show what is in it. No script, and no request to anywhere. (W3C, Content Security Policy 3)
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// A page.
pub struct Page<'p> {
    /// Its title.
    pub title: &'p str,
    /// Rules beside those of all pages.
    pub style: &'p str,
    /// Its body.
    pub body: Markup,
}

/// The page as HTML.
pub fn whole(page: &Page<'_>) -> String {
    let Page { title, style, body } = page;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · I/O models lab" }
                style { (PreEscaped(STYLE)) (PreEscaped(style)) }
            }
            body { (body) }
        }
    };
    page.into_string()
}
