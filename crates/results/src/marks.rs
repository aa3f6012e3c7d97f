//! What is said of a single figure of a cell wherever it is shown: its verdict, the mark beside its value, and why it is
//! missing.

use crate::figures::Name;
use crate::schema::{Bound, Cell, Flaw, Verdict};
use crate::statistics::Figure;

/// The share of an offered rate that is achieved where only chance is missing.
const KEPT: f64 = 0.99;

impl Flaw {
    /// What stands before a value with this flaw: `>=` or `<=` where the value is a bound, otherwise `!`.
    pub fn mark(&self) -> &'static str {
        match self.bound {
            Some(Bound::Lower) => ">=",
            Some(Bound::Upper) => "<=",
            None => "!",
        }
    }
}

impl Cell {
    /// The figure with this path in results.json, if it is there and may be compared.
    pub fn comparable(&self, path: &str) -> Option<Figure> {
        let (name, figure) = self.figures.at(path);
        figure.filter(|_| self.flaw(&name).is_none())
    }

    /// The verdict on this figure. A cell that has a verdict but no flaws (of a target that could not be measured) has the
    /// same verdict on all figures.
    pub fn verdict_on(&self, name: &Name) -> Verdict {
        match self.flaw(name) {
            Some(flaw) => flaw.verdict,
            None if self.flaws.is_empty() => self.verdict,
            None => Verdict::Valid,
        }
    }

    /// What stands before the value of this figure; empty if the figure may be compared.
    pub fn mark(&self, name: &Name) -> &'static str {
        self.flaw(name).map_or("", Flaw::mark)
    }

    /// Whether the target's answers came too slowly for an offered rate, or the generator did not send them at it.
    pub fn falls_short(&self) -> bool {
        let is_short = self.figures.pace.achieved_share.is_some_and(|share| share.median < KEPT);
        is_short && self.flaw(&self.figures.at("throughput").0).is_some()
    }

    /// Why this figure is missing, if `missing` says it.
    pub fn why_missing(&self, name: &Name) -> Option<&str> {
        self.missing.get(&name.path()).or_else(|| self.missing.get(name.group)).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::names;
    use crate::schema::tests::results;

    #[test]
    fn a_figure_has_its_own_flaw_or_that_of_its_group_and_without_any_flaws_the_cells_verdict() {
        let mut cell = results(&["a"]).cells.remove(0);
        let name = |path: &str| names().find(|name| name.path() == path).unwrap();
        cell.verdict = Verdict::ClientLimited;
        assert_eq!(cell.verdict_on(&name("latency_us.p99")), Verdict::ClientLimited);
        assert_eq!(cell.mark(&name("latency_us.p99")), "");
        let flaw = |bound| Flaw { verdict: Verdict::ClientLimited, why: "busy".into(), bound };
        cell.flaws = [("throughput".into(), flaw(Some(Bound::Lower))), ("latency_us".into(), flaw(None))].into();
        assert_eq!(cell.mark(&name("throughput")), ">=");
        assert_eq!(cell.mark(&name("latency_us.p99")), "!");
        assert_eq!(cell.verdict_on(&name("latency_us.p99")), Verdict::ClientLimited);
        assert_eq!(cell.verdict_on(&name("server.cpu_us_per_request")), Verdict::Valid);
        cell.missing.insert("server".into(), "no account".into());
        assert_eq!(cell.why_missing(&name("server.threads")), Some("no account"));
        assert_eq!(cell.why_missing(&name("throughput")), None);
    }
}
