//! Makes a trial again if other programs disturbed it.

use crate::trial::Ended;
use results::Trial;
use results::lists::add_new;
use results::units::plural;
use std::io;

/// How often a trial is made again.
pub const MOST: usize = 2;

/// Makes a trial with `make`, and again while `judge` says that other programs disturbed it, up to [`MOST`] times; `left` is how often
/// the run may still do so. Returns the first undisturbed one, else the last one, with a remark that says why others
/// were thrown away. `make` gets the reason why the trial before was thrown away.
///
/// A trial in which requests failed is never thrown away: a disturbance may not hide an error.
///
/// # Errors
/// Those of `make`.
pub fn undisturbed(
    left: &mut usize,
    judge: &dyn Fn(&Trial) -> Option<String>,
    make: &mut dyn FnMut(Option<&str>) -> io::Result<Ended>,
) -> io::Result<Ended> {
    let mut reasons: Vec<String> = Vec::new();
    let mut thrown_away = None;
    loop {
        let ended = make(reasons.last().map(String::as_str))?;
        let is_cut_short = match &ended {
            Ended::Stopped => true,
            Ended::Measured { trial, .. } => trial.aborted,
            Ended::NotReady(_) | Ended::NoRate(_) => false,
        };
        if is_cut_short && let Some(whole) = thrown_away {
            reasons.pop();
            return Ok(with_remark(whole, &reasons));
        }
        let disturbed = match &ended {
            Ended::Measured { trial, no_answer_at_end: None, .. }
                if reasons.len() < MOST
                    && *left > 0
                    && !trial.aborted
                    && trial.gone.is_none()
                    && trial.outcomes.errors() == 0 =>
            {
                judge(trial)
            }
            _ => None,
        };
        let Some(why) = disturbed else { return Ok(with_remark(ended, &reasons)) };
        *left -= 1;
        reasons.push(why);
        thrown_away = Some(ended);
    }
}

fn with_remark(mut ended: Ended, reasons: &[String]) -> Ended {
    if let Ended::Measured { trial, .. } = &mut ended
        && !reasons.is_empty()
    {
        let trials = plural(reasons.len(), "trial");
        let mut causes = Vec::new();
        add_new(&mut causes, reasons.iter().cloned());
        trial.remarks.push(format!("made again, {trials} thrown away: {}", causes.join("; ")));
    }
    ended
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::NotReady;
    use crate::measure::tests::empty_trial;
    use results::OutcomeClass;

    /// A trial of which `judge` knows by its length how much others disturbed it.
    fn measured(foreign: f64) -> Ended {
        let trial = Box::new(Trial { seconds: foreign, ..empty_trial() });
        Ended::Measured { trial, cpus: None, no_answer_at_end: None }
    }

    fn judge(trial: &Trial) -> Option<String> {
        (trial.seconds > 2.0).then(|| format!("others used {} %", trial.seconds))
    }

    /// What is kept of these, how many were made, and how often a trial may still be made again.
    fn kept(mut left: usize, made: Vec<Ended>) -> (Ended, usize, usize) {
        let (mut made, mut count) = (made.into_iter(), 0);
        let ended = undisturbed(&mut left, &judge, &mut |why| {
            assert_eq!(why.is_some(), count > 0);
            count += 1;
            Ok(made.next().unwrap())
        });
        (ended.unwrap(), count, left)
    }

    fn trial(ended: Ended) -> (f64, Vec<String>) {
        let Ended::Measured { trial, .. } = ended else { panic!("no trial") };
        (trial.seconds, trial.remarks)
    }

    #[test]
    fn the_first_undisturbed_trial_is_kept_else_the_last() {
        let (ended, count, left) = kept(9, vec![measured(1.0)]);
        assert_eq!((trial(ended), count, left), ((1.0, vec![]), 1, 9));
        let (ended, count, left) = kept(9, vec![measured(31.0), measured(1.0)]);
        let remark = "made again, 1 trial thrown away: others used 31 %".to_owned();
        assert_eq!((trial(ended), count, left), ((1.0, vec![remark]), 2, 8));
        let (ended, count, left) = kept(9, vec![measured(31.0), measured(5.0), measured(7.0)]);
        let remark = "made again, 2 trials thrown away: others used 31 %; others used 5 %".to_owned();
        assert_eq!((trial(ended), count, left), ((7.0, vec![remark]), 3, 7));
    }

    #[test]
    fn a_run_makes_only_so_many_trials_again() {
        assert_eq!(kept(0, vec![measured(31.0)]).1, 1);
        let (_, count, left) = kept(1, vec![measured(31.0), measured(31.0)]);
        assert_eq!((count, left), (2, 0));
    }

    #[test]
    fn failures_are_not_thrown_away() {
        let change = |change: fn(&mut Trial)| {
            let mut ended = measured(31.0);
            if let Ended::Measured { trial, .. } = &mut ended {
                change(trial);
            }
            ended
        };
        assert_eq!(kept(9, vec![change(|trial| trial.outcomes[OutcomeClass::Reset] = 1)]).1, 1);
        assert_eq!(kept(9, vec![change(|trial| trial.gone = Some("it was gone".into()))]).1, 1);
        assert_eq!(kept(9, vec![change(|trial| trial.aborted = true)]).1, 1);
        let not_ready = || Ended::NotReady(NotReady::Unreachable("it does not start".into()));
        assert!(matches!(kept(9, vec![measured(31.0), not_ready()]), (Ended::NotReady(_), 2, 8)));
    }

    #[test]
    fn an_interrupt_leaves_the_last_whole_trial() {
        let (ended, ..) = kept(9, vec![measured(31.0), measured(5.0), Ended::Stopped]);
        let remark = "made again, 1 trial thrown away: others used 31 %".to_owned();
        assert_eq!(trial(ended), (5.0, vec![remark]));
        assert!(matches!(kept(9, vec![Ended::Stopped]).0, Ended::Stopped));
    }
}
