//! The places in which a workload must be named. A workload is a route for which the scoreboard counts requests.

use conformance::{Step, Transcript, table};
use scoreboard::{ROUTES, Route, Syscall};

use crate::{Missing, sources, text};

#[test]
fn every_workload_is_named_everywhere() {
    let (table, readme) = (table(), text("README.md"));
    let framework = text("services/framework/src/lib.rs");
    let lab: Vec<_> = sources("lab/src").into_iter().map(|(_, text)| text).collect();
    let lists: Vec<_> = lab.iter().flat_map(|text| text.lines()).filter(|line| is_a_list(line)).collect();
    let mut missing = Missing::default();
    for (_, route) in ROUTES.into_iter().filter(|(route, _)| *route != Route::Other) {
        missing.unless(
            ['"', '/'].iter().any(|end| framework.contains(&format!(".route(\"{route}{end}"))),
            "services/framework/src/lib.rs",
            &format!(".route(\"{route}…\") in router()"),
        );
        let transcripts: Vec<_> = table.iter().filter(|transcript| asks_for(transcript, route)).collect();
        let any_status = |is_it: fn(u16) -> bool| {
            transcripts.iter().any(|transcript| transcript.replies.iter().any(|reply| is_it(reply.status)))
        };
        missing.unless(
            any_status(|status| (200..400).contains(&status)),
            "conformance/src/table/workloads.rs",
            &format!("a transcript in which {route} answers"),
        );
        missing.unless(
            any_status(|status| status == 405),
            "conformance/src/table/workloads.rs",
            &format!("a transcript in which {route} refuses a method with 405"),
        );
        missing.unless(
            lists.iter().any(|line| names(line, route)),
            "lab/src/loads.rs",
            &format!("{route} in WORKLOADS, the list that --help shows"),
        );
        missing.unless(
            readme.lines().any(|line| {
                line.strip_prefix("| `")
                    .and_then(|row| row.split_once(" | "))
                    .is_some_and(|(cell, _)| names(cell, route))
            }),
            "README.md",
            &format!("| `GET {route}…` | … | in the table of routes"),
        );
    }
    missing.report();
}

/// The compiler demands neither a label for each `Route` nor one for each `Syscall`.
#[test]
fn every_route_and_every_system_call_has_a_label() {
    let counters = text("crates/scoreboard/src/counters.rs");
    let variants = |name: &str| {
        let (_, rest) = counters.split_once(&format!("pub enum {name} {{")).expect("the enum");
        let (variants, _) = rest.split_once('}').expect("its end");
        variants.split(',').map(str::trim).filter(|variant| !variant.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    let routes: Vec<_> = ROUTES.iter().map(|(route, _)| format!("{route:?}")).collect();
    let calls: Vec<_> = Syscall::ALL.iter().map(|(call, _)| format!("{call:?}")).collect();
    assert_eq!(variants("Route"), routes, "crates/scoreboard/src/counters.rs: Route and ROUTES, in the same order");
    assert_eq!(variants("Syscall"), calls, "crates/scoreboard/src/counters.rs: Syscall and ALL, in the same order");
}

/// Does a request of the transcript have this route, or a path below it, as its target?
fn asks_for(transcript: &Transcript, route: &str) -> bool {
    let sent = transcript.steps.iter().filter_map(|step| match step {
        Step::Send(bytes) => Some(String::from_utf8_lossy(bytes)),
        _ => None,
    });
    sent.into_iter().any(|text| {
        text.split("HTTP/1.1\r\n").any(|before| {
            let line = before.rsplit('\n').next().unwrap_or_default();
            names(line, route)
        })
    })
}

/// Is it a line that lists workloads?
fn is_a_list(line: &str) -> bool {
    ROUTES.iter().filter(|(_, route)| names(line, route)).count() >= 4
}

/// Does the text name this route? The route must stand alone: `/files` does not name `/`, nor `/nods` `/nod`.
fn names(text: &str, route: &str) -> bool {
    text.match_indices(route).any(|(at, _)| {
        let (before, after) = (text[..at].chars().next_back(), text[at + route.len()..].chars().next());
        let goes_on = |next: Option<char>| next.is_some_and(|next| next.is_alphanumeric() || "-_<>*.%".contains(next));
        !goes_on(before) && !goes_on(after)
    })
}
