//! A whole page: what is around its body.

use maud::{DOCTYPE, Markup, PreEscaped, html};

/// The rules of all pages.
const STYLE: &str = include_str!("style.css");

/// What a page in a file may do: show what is in it. No script, and no request to anywhere. (W3C, Content Security Policy 3)
const OF_A_FILE: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// What a page from a server may do: run the server's script, and ask that server alone.
pub const OF_A_SERVER: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'";

/// A page.
pub struct Page<'p> {
    /// Its title.
    pub title: &'p str,
    /// Rules beside those of all pages.
    pub style: &'p str,
    /// The path of its script, on the server that it comes from; `None` of a page in a file.
    pub script: Option<&'p str>,
    /// Its body.
    pub body: Markup,
}

/// The page as HTML.
pub fn whole(page: &Page<'_>) -> String {
    let Page { title, style, script, body } = page;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(if script.is_some() { OF_A_SERVER } else { OF_A_FILE });
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · I/O models lab" }
                style { (PreEscaped(STYLE)) (PreEscaped(style)) }
                @if let Some(script) = script { script src=(script) defer {} }
            }
            body {
                @if script.is_some() { nav { a href="/" { "All runs" } } }
                (body)
            }
        }
    };
    page.into_string()
}
