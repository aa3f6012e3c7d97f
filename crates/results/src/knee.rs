//! Judges a knee search: whether the rate of its cell is the knee, or only a bound of it.

use crate::schedule::Schedule;
use crate::schema::{Bound, Cell, Flaw, Probe, Trial, Verdict};
use crate::units::count;

/// The figures of a cell that depend on where the knee is.
const FIGURES: [&str; 2] = ["pace.offered_per_second", "throughput"];

/// Marks the rate and the throughput of a knee search with a [`Flaw`] if a trial did not find the knee, unless they have
/// one that is as grave. It comes after all other objections: the cell gets the verdict, if it has no graver one, and the
/// reason. Other cells stay as they are.
pub(crate) fn judge(cell: &mut Cell) {
    if !matches!(cell.key.load.schedule, Schedule::Knee(_)) {
        return;
    }
    let trials = cell.counted_trials();
    let flaws: Vec<Flaw> = trials.iter().filter_map(|trial| flaw(trial)).collect();
    let Some(mut flaw) = flaws.first().cloned() else { return };
    if flaws.iter().any(|other| other.bound != flaw.bound) {
        flaw.bound = None;
    }
    if flaws.len() < trials.len() {
        flaw.why = format!("in {} of {} trials, {}", flaws.len(), trials.len(), flaw.why);
    }
    cell.verdict = cell.verdict.max(flaw.verdict);
    cell.reasons.push(flaw.why.clone());
    for figure in FIGURES {
        // A flaw of the whole group counts, too.
        let (name, _) = cell.figures.at(figure);
        if cell.flaw(&name).is_none_or(|other| other.verdict < flaw.verdict) {
            cell.flaws.insert(figure.into(), flaw.clone());
        }
    }
}

/// Why the rate of this trial is not the knee; `None` if it is.
fn flaw(trial: &Trial) -> Option<Flaw> {
    let flaw = |verdict, bound, why| Some(Flaw { verdict, why, bound });
    let low = trial.probes.first()?;
    let Some(knee) = trial.probes.iter().filter(|probe| probe.kept_up).max_by(|a, b| a.rate.total_cmp(&b.rate)) else {
        let low_rate = count(low.rate);
        return match low.p99_us {
            None => {
                let why = trial.missing.get("latency_us.p99").or_else(|| trial.missing.get("latency_us"));
                let why = why.map_or("it could not be had", String::as_str);
                let why = format!(
                    "no knee was searched for, since it needs the p99 at a low rate: at {low_rate} requests/s, \
                     {why}: ask for a longer --duration"
                );
                flaw(Verdict::Unstable, None, why)
            }
            Some(_) => {
                let why = format!("no knee: the target did not keep up with {low_rate} requests/s");
                flaw(low.objection.unwrap_or(Verdict::Unstable), Some(Bound::Upper), why)
            }
        };
    };
    if trial.aborted {
        let why = "the knee may be higher: the search was interrupted".into();
        return flaw(Verdict::Unstable, Some(Bound::Lower), why);
    }
    let above = trial.probes.iter().filter(|probe| !probe.kept_up && probe.rate > knee.rate);
    // Where a rate was tried twice, a window without an objection settles it.
    let by_rate =
        |a: &&Probe, b: &&Probe| a.rate.total_cmp(&b.rate).then(a.objection.is_some().cmp(&b.objection.is_some()));
    match above.min_by(by_rate) {
        Some(Probe { objection: None, .. }) => None,
        Some(Probe { rate, objection: Some(verdict), .. }) => {
            let cause = match verdict {
                Verdict::ClientLimited => "the load generator",
                _ => "another program",
            };
            let why = format!("the knee may be higher: at {} requests/s, {cause} may be the cause", count(*rate));
            flaw(*verdict, Some(Bound::Lower), why)
        }
        None => {
            let why = format!("the knee may be higher: {} requests/s is the highest rate tried", count(knee.rate));
            flaw(Verdict::Unstable, Some(Bound::Lower), why)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::tests::{empty_trial, results};

    fn probe(rate: f64, kept_up: bool, objection: Option<Verdict>) -> Probe {
        Probe { rate, p99_us: Some(100.0), kept_up, objection }
    }

    /// The cell of a knee search whose trials tried this.
    fn judged(trials: &[&[Probe]]) -> Cell {
        let mut cell = results(&["a"]).cells.remove(0);
        cell.key.load.schedule = Schedule::Knee(3.0);
        cell.trials = trials.iter().map(|probes| Trial { probes: probes.to_vec(), ..empty_trial() }).collect();
        judge(&mut cell);
        cell
    }

    #[test]
    fn a_rate_that_is_not_the_knee_has_a_flaw_with_its_bound() {
        let disturbed = probe(50.0, false, Some(Verdict::Disturbed));
        let found = [probe(10.0, true, None), disturbed, probe(40.0, true, None), probe(50.0, false, None)];
        assert_eq!((judged(&[&found]).verdict, judged(&[&found]).flaws.len()), (Verdict::Valid, 0));
        for (last, verdict, bound, words) in [
            (&[probe(10.0, false, None)][..], Verdict::Unstable, Some(Bound::Upper), "did not keep up with 10"),
            (&[probe(10.0, true, None)], Verdict::Unstable, Some(Bound::Lower), "10 requests/s is the highest"),
            (
                &[probe(10.0, true, None), probe(20.0, false, Some(Verdict::ClientLimited)), probe(30.0, false, None)],
                Verdict::ClientLimited,
                Some(Bound::Lower),
                "at 20 requests/s, the load generator",
            ),
            (&[Probe { p99_us: None, ..probe(10.0, false, None) }], Verdict::Unstable, None, "a longer --duration"),
        ] {
            let cell = judged(&[last]);
            let flaw = &cell.flaws["pace.offered_per_second"];
            assert_eq!((cell.verdict, flaw.verdict, flaw.bound), (verdict, verdict, bound), "{}", flaw.why);
            assert!(flaw.why.contains(words) && cell.reasons == [flaw.why.clone()], "{}", flaw.why);
            let one_of_two = judged(&[&found, last]);
            assert!(one_of_two.reasons[0].starts_with("in 1 of 2 trials, "), "{:?}", one_of_two.reasons);
        }
    }

    #[test]
    fn a_graver_flaw_of_a_figure_or_of_its_group_stays() {
        let with = |at: &str, verdict| {
            let mut cell = results(&["a"]).cells.remove(0);
            cell.key.load.schedule = Schedule::Knee(3.0);
            cell.trials.push(Trial { probes: vec![probe(10.0, true, None)], ..empty_trial() });
            cell.verdict = verdict;
            cell.flaws.insert(at.into(), Flaw { verdict, why: "other".into(), bound: None });
            judge(&mut cell);
            cell
        };
        let errors = with("pace", Verdict::Errors);
        assert_eq!((errors.verdict, errors.flaws.len(), errors.reasons.len()), (Verdict::Errors, 2, 1));
        assert!(!errors.flaws.contains_key("pace.offered_per_second"));
        let disturbed = with("throughput", Verdict::Disturbed);
        assert_eq!((disturbed.verdict, &disturbed.flaws["throughput"].why[..]), (Verdict::Disturbed, "other"));
    }

    #[test]
    fn an_interrupted_search_counts_if_there_is_no_other() {
        let mut cell = judged(&[&[probe(10.0, true, None), probe(50.0, false, None)]]);
        let interrupted = Trial { aborted: true, ..cell.trials[0].clone() };
        cell.trials.push(interrupted.clone());
        judge(&mut cell);
        assert_eq!((cell.verdict, cell.flaws.len()), (Verdict::Valid, 0));
        cell.trials = vec![interrupted];
        judge(&mut cell);
        assert_eq!((cell.verdict, cell.flaws["throughput"].bound), (Verdict::Unstable, Some(Bound::Lower)));
    }

    #[test]
    fn a_cell_without_a_knee_search_stays_as_it_is() {
        let mut cell = results(&["a"]).cells.remove(0);
        cell.trials.push(Trial { probes: vec![probe(10.0, false, None)], ..empty_trial() });
        let before = cell.clone();
        judge(&mut cell);
        assert_eq!(cell, before);
    }
}
