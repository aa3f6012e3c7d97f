//! The page with the servers that run now.

use crate::page::{self, Page};
use crate::target::Targets;
use maud::html;

/// A server that runs.
#[derive(Clone, Debug)]
pub struct Server {
    /// Its name.
    pub name: String,
    /// Its address.
    pub listen: String,
    /// The address of its metrics.
    pub admin: String,
    /// What it answers, as paths.
    pub paths: &'static [&'static str],
}

/// The page with these servers.
pub fn page(servers: &[Server]) -> String {
    let targets = Targets::new(servers.iter().map(|server| server.name.as_str()));
    page::whole(&Page {
        title: "Servers",
        style: &targets.style(),
        script: None,
        body: html! {
            main {
                h1 { "One server in each I/O model" }
                p { "They run on this machine until the lab is stopped. Try one with a browser, " code { "curl" } ", " code { "wrk" } " or " code { "loadtest --target" } "." }
                div.wide tabindex="0" role="region" aria-label="servers" {
                    table.figures.verdicts {
                        thead { tr { th scope="col" { "server" } th scope="col" { "address" } th scope="col" { "metrics" } th scope="col" { "try" } } }
                        tbody {
                            @for server in servers {
                                tr {
                                    th scope="row" { @if let Some(target) = targets.get(&server.name) { (target.swatch()) " " } (server.name) }
                                    td { a href={ "http://" (server.listen) "/" } { (server.listen) } }
                                    td { a href={ "http://" (server.admin) "/" } { (server.admin) } }
                                    td { @for path in server.paths { a href={ "http://" (server.listen) (path) } { (path) } " " } }
                                }
                            }
                        }
                    }
                }
            }
        },
    })
}
