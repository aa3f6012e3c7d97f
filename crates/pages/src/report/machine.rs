//! The machine, and how to repeat the run.

use maud::{Markup, html};
use results::units::{bytes, duration};
use results::{Plan, Results};

pub fn part(results: &Results, below: &[String]) -> Markup {
    let machine = &results.machine;
    let own = [
        ("host", machine.host.clone()),
        ("kernel", machine.kernel.clone()),
        ("cpu", machine.cpu.clone()),
        ("cpus", Some(format!("{}, of which the load generator may use {:?}", machine.cpus, machine.cpus_allowed))),
        ("memory", machine.memory_bytes.map(|memory| bytes(memory as f64))),
    ];
    html! {
        section {
            h2 { "This run, and how to repeat it" }
            @if let Some(command) = &results.command { pre tabindex="0" { (command) } }
            @for line in below { p.note { (line) } }
            details {
                summary { "The plan" }
                dl { @for (name, value) in plan(&results.settings) { dt { (name) } dd { (value) } } }
            }
            details {
                summary { "The machine" }
                dl {
                    @for (name, value) in own { @if let Some(value) = value { dt { (name) } dd { (value) } } }
                    @for (name, value) in &machine.provenance { dt { (name) } dd { (value) } }
                }
            }
        }
    }
}

fn plan(plan: &Plan) -> Vec<(&'static str, String)> {
    let optional = [
        ("budget", plan.budget.map(duration)),
        ("precision", plan.precision.map(|share| format!("{:.1} %", share * 100.0))),
    ];
    let always = [
        ("window", duration(plan.duration)),
        ("warm-up", format!("{} at least", duration(plan.warmup))),
        ("blocks of each load", plan.trials.to_string()),
        ("arrivals in open loops", plan.arrivals.to_string()),
        ("seed", plan.seed.to_string()),
        ("threads of the generator", plan.threads.to_string()),
        ("CPUs of the generator", format!("{:?}", plan.cpus)),
        ("time-out of a request", duration(plan.timeout)),
    ];
    always.into_iter().chain(optional.into_iter().filter_map(|(name, value)| Some((name, value?)))).collect()
}
