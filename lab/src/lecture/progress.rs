//! Shows on standard error how far the lecture is: on a terminal on the progress line, elsewhere in a line when a claim begins.

use std::time::{Duration, Instant};

use loadtest::events::{Event, Observer};
use loadtest::front::{disturbed, has_progress_line, say, show_progress};
use results::claims::{Claim, Part, figure};
use results::units::plural;

use super::sentence::Sentence;

/// The progress of a lecture.
pub struct Progress {
    quiet: bool,
    /// Claims that were asked for.
    claims: usize,
    /// How many of them have begun.
    begun: usize,
    /// The present one.
    id: &'static str,
    /// When the present one is over at the latest.
    ends: Instant,
    /// What the claims after the present one take at most.
    later: Duration,
    /// Where its experiment is, as `block 2 of 7, / with 64 connections`.
    place: String,
    /// Whether it has said that other load tests run: each experiment would.
    has_warned: bool,
}

impl Progress {
    /// So many claims, which take so long at most. With `quiet`, nothing is shown.
    pub fn new(quiet: bool, claims: usize, take: Duration) -> Progress {
        let (id, ends, place) = ("", Instant::now(), String::new());
        Progress { quiet, claims, begun: 0, id, ends, later: take, place, has_warned: false }
    }

    /// Says how many claims there are, how long they take, and which CPUs are used for what.
    pub fn start(&self, cpus: &str) {
        if !self.quiet {
            say(&format!("{}{}. {cpus}", plural(self.claims, "claim"), about(self.later, "")));
        }
    }

    /// A claim begins, whose experiment takes so long at most.
    pub fn begin(&mut self, sentence: &Sentence, takes: Duration) {
        self.begun += 1;
        self.id = sentence.id;
        self.ends = Instant::now() + takes;
        self.later = self.later.saturating_sub(takes);
        self.place = String::new();
        match has_progress_line() {
            _ if self.quiet => {}
            true => self.show(),
            false => say(&self.line()),
        }
    }

    /// A claim was judged.
    pub fn judged(&self, claim: &Claim) {
        if !self.quiet {
            say(&in_a_line(claim));
        }
    }

    fn show(&self) {
        show_progress(match &self.place {
            none if none.is_empty() => self.line(),
            place => format!("{}: {place}", self.line()),
        });
    }

    /// Where the lecture is, as `3 of 15 thread-lighter, about 6m left`.
    fn line(&self) -> String {
        let left = self.later + self.ends.saturating_duration_since(Instant::now());
        format!("{} of {} {}{}", self.begun, self.claims, self.id, about(left, " left"))
    }
}

impl Observer for Progress {
    fn on(&mut self, event: Event<'_>) {
        match event {
            Event::BlockStarted { load, done, planned } => {
                // On a narrow terminal the end is cut off.
                self.place = format!("block {} of {planned}, {load}", done + 1);
            }
            Event::Progress { remaining, .. } => self.ends = self.ends.min(Instant::now() + remaining),
            Event::Disturbed { by } => {
                let is_known = std::mem::replace(&mut self.has_warned, true);
                if !is_known && !self.quiet {
                    say(&disturbed(by));
                }
            }
            _ => return,
        }
        if !self.quiet && has_progress_line() {
            self.show();
        }
    }
}

/// About how long it takes, in whole seconds; nothing if that is no time.
fn about(time: Duration, left: &str) -> String {
    match time.as_secs() {
        0 => String::new(),
        seconds @ 1..60 => format!(", about {seconds}s{left}"),
        seconds => format!(", about {}m{left}", seconds.div_ceil(60)),
    }
}

/// A claim that was judged: its ruling, and the figure that decides or the reason.
fn in_a_line(claim: &Claim) -> String {
    let ruling = format!("{}: {}", claim.id, claim.ruling);
    let part = claim.deciding_part();
    let why = claim.why.as_ref().or_else(|| part?.why.as_ref());
    match part.and_then(against_margin).into_iter().chain(why.cloned()).collect::<Vec<_>>() {
        none if none.is_empty() => ruling,
        said => format!("{ruling}: {}", said.join("; ")),
    }
}

fn against_margin(part: &Part) -> Option<String> {
    part.figure.map(|_| format!("{} {}, margin {}", part.what, figure(part), part.margin))
}
