//! Tests of the load generator against servers that misbehave, each in its own way, on loopback.

#[path = "../common/mod.rs"]
mod common;

mod answers;
mod errors;
mod paths;
mod runs;

use common::{LIFETIME, SingleTarget, only, server};
use loadtest::events::{Event, Observer};
use results::{Cell, Load, OutcomeClass, Plan, Results, Verdict};
use std::collections::BTreeMap;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Keeps a connection open until the client closes it.
fn hold(mut stream: &TcpStream) {
    while matches!(stream.read(&mut [0; 1024]), Ok(1..)) {}
}

fn plan() -> Plan {
    Plan {
        targets: vec!["x".into()],
        loads: vec![Load { concurrency: 2, ..Load::default() }],
        duration: Duration::from_secs(1),
        warmup: Duration::ZERO,
        // The time-outs are long, so that a busy machine does not turn one class into another.
        timeout: Duration::from_secs(20),
        connect_timeout: Duration::from_secs(20),
        ..Plan::default()
    }
}

/// The classes of errors that occurred.
fn classes(cell: &Cell) -> BTreeMap<&str, u64> {
    let some = cell.outcomes.iter().filter(|&(class, count)| class.is_error() && count > 0);
    some.map(|(class, count)| (class.name(), count)).collect()
}

/// A plan with a short request time-out, for servers that do not answer at all.
fn impatient() -> Plan {
    Plan { timeout: Duration::from_millis(50), ..plan() }
}

#[track_caller]
fn fails_as(class: &str, serve: impl Fn(TcpStream, usize) + Send + Sync + 'static) {
    let plan = if class == "read_timeout" { impatient() } else { plan() };
    let cell = only(&plan, server(serve));
    assert_eq!(classes(&cell).keys().collect::<Vec<_>>(), [&class], "{cell:?}");
    assert_eq!((cell.verdict, cell.outcomes[OutcomeClass::Ok]), (Verdict::Errors, 0));
    assert_eq!(cell.figures.latency_us.p50, None);
    assert!(cell.missing.contains_key("latency_us"));
}

/// Sets the stop flag after this number of answers.
struct StopAfterAnswers<'a>(&'a AtomicBool, u64);

impl Observer for StopAfterAnswers<'_> {
    fn on(&mut self, event: Event<'_>) {
        if matches!(event, Event::Progress { answered, .. } if answered >= self.1) {
            self.0.store(true, Relaxed);
        }
    }
}

/// Runs the plan's only cell until there are this many answers, even if a busy machine takes long for them.
fn until(answers: u64, plan: &Plan, address: SocketAddr) -> Results {
    let stop = AtomicBool::new(false);
    let plan = Plan { duration: LIFETIME, ..plan.clone() };
    loadtest::run(&plan, Instant::now(), &mut SingleTarget(address), &mut StopAfterAnswers(&stop, answers), &stop)
        .unwrap()
}
