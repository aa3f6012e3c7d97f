//! What was asked.

use maud::{Markup, html};
use results::Results;
use results::units::{duration, plural};

pub fn part(results: &Results) -> Markup {
    html! {
        header {
            h1 { (title(results)) }
            p.facts { (facts(results)) }
            @if results.interrupted {
                p.warning {
                    @if results.cells.iter().all(|cell| cell.trials.is_empty()) && !results.is_board() {
                        "This run was interrupted before anything was measured."
                    } @else {
                        "This run was interrupted: only what was measured until then is shown."
                    }
                }
            }
            @for remark in &results.remarks { p.warning { (remark) } }
        }
    }
}

/// What kind of run it is.
fn title(results: &Results) -> &'static str {
    match &results.settings.disk {
        _ if results.is_board() => "What the lecture says, and whether it holds here",
        Some(_) => "Files on a disk, by each way to read them",
        None => "How do you want to do I/O?",
    }
}

/// The size of the run, when and where it was made.
fn facts(results: &Results) -> String {
    let plan = &results.settings;
    let machine = &results.machine;
    let mut facts = Vec::new();
    if results.is_board() {
        facts.push(plural(results.claims.len(), "claim"));
    } else {
        let blocks =
            if plan.trials > 1 { format!(", up to {} of each", plural(plan.trials, "block")) } else { String::new() };
        facts.push(format!("{} on {}{blocks}", plural(plan.loads.len(), "load"), plural(plan.targets.len(), "target")));
        facts.push(format!("windows of {}", duration(plan.duration)));
    }
    if !results.started_at.is_empty() {
        facts.push(format!("begun {}", results.started_at));
    }
    facts.push(plural(machine.cpus, "CPU"));
    facts.extend(machine.cpu.clone());
    facts.extend(machine.provenance.get("hypervisor").map(|name| format!("hypervisor: {name}")));
    facts.extend(machine.kernel.clone());
    facts.push(format!("run {}", results.run_id));
    facts.join(" · ")
}
