//! Resolves the schedules that depend on a ceiling: the throughput that was measured in the closed loop.

use results::{Cell, Key, Load, Schedule, Verdict};

/// What a trial of a cell is asked to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Asked {
    /// One window under this schedule.
    Window {
        /// A closed loop, a rate or a ramp.
        schedule: Schedule,
        /// Where the rate comes from, if another target set it.
        remark: Option<String>,
    },
    /// A search for the knee.
    Knee {
        /// What the target reached in the closed loop, in requests a second.
        ceiling: f64,
        /// The multiple of the p99 at a low rate that is still accepted.
        multiple: f64,
    },
}

/// Resolves the schedule of a cell, from the cells of the run that are over.
///
/// # Errors
/// Why there is no rate: the ceiling was not measured.
pub fn resolve(key: &Key, cells: &[Cell]) -> Result<Asked, String> {
    let closed_loop = Load { schedule: Schedule::Closed, ..key.load.clone() };
    let closed = || cells.iter().filter(|cell| cell.key.load == closed_loop);
    let own = || {
        let ceiling = closed().find(|cell| cell.key.target == key.target).and_then(ceiling);
        ceiling.ok_or_else(|| "the closed loop gave no ceiling".to_owned())
    };
    let window = |schedule, remark| Ok(Asked::Window { schedule, remark });
    match key.load.schedule {
        Schedule::Share(share) => window(Schedule::Rate(own()? * share), None),
        Schedule::Knee(multiple) => Ok(Asked::Knee { ceiling: own()?, multiple }),
        Schedule::Common(share) => {
            let (target, ceiling) = lowest(closed()).ok_or("the closed loop gave no ceiling for any target")?;
            let percent = share * 100.0;
            let remark = format!("the rate is {percent:.0} % of the ceiling of {target}, {ceiling:.0} requests/s");
            window(Schedule::Rate(ceiling * share), Some(remark))
        }
        schedule => window(schedule, None),
    }
}

fn ceiling(cell: &Cell) -> Option<f64> {
    cell.figures.throughput.map(|figure| figure.median).filter(|&rate| rate > 0.0)
}

/// The lowest ceiling and its target. A target that failed, or served only some of its connections, would set a rate
/// that says nothing of the others, so it does not count. Only where no figure is sound do those of targets count that
/// answered without errors.
fn lowest<'c>(closed: impl Iterator<Item = &'c Cell> + Clone) -> Option<(&'c str, f64)> {
    let among = |accepted: &[Verdict]| {
        let accepted = closed.clone().filter(|cell| accepted.contains(&cell.verdict));
        let ceilings = accepted.filter_map(|cell| Some((cell.key.target.as_str(), ceiling(cell)?)));
        ceilings.min_by(|(_, a), (_, b)| a.total_cmp(b))
    };
    let sound = among(&[Verdict::Valid, Verdict::ClientLimited, Verdict::Undercounted]);
    sound.or_else(|| among(&[Verdict::Unstable, Verdict::Disturbed, Verdict::Starved]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use results::{Figure, Plan};

    /// Closed loops that are over, and cells of `schedule` that are to come.
    fn cells(schedule: Schedule, ceilings: &[(&str, f64, Verdict)]) -> Vec<Cell> {
        let targets = ceilings.iter().map(|(name, ..)| (*name).to_owned()).collect();
        let plan = Plan {
            targets,
            loads: [Schedule::Closed, schedule].map(|schedule| Load { schedule, ..Load::default() }).to_vec(),
            ..Plan::default()
        };
        let mut cells: Vec<Cell> = plan.cells().into_iter().map(Cell::new).collect();
        for (cell, &(_, rate, verdict)) in cells.iter_mut().zip(ceilings) {
            cell.figures.throughput = Figure::of(&[rate]);
            cell.verdict = verdict;
        }
        cells
    }

    fn resolved(schedule: Schedule, ceilings: &[(&str, f64, Verdict)]) -> Vec<Result<Asked, String>> {
        let cells = cells(schedule, ceilings);
        cells[ceilings.len()..].iter().map(|cell| resolve(&cell.key, &cells)).collect()
    }

    #[test]
    fn a_knee_depends_on_the_targets_own_ceiling_only() {
        let asked = |broken: f64, verdict: Verdict| {
            resolved(Schedule::Knee(3.0), &[("a", 1000.0, Verdict::Valid), ("broken", broken, verdict)])
        };
        let own = Ok(Asked::Knee { ceiling: 1000.0, multiple: 3.0 });
        assert_eq!(asked(1.0, Verdict::Starved)[0], own);
        let none = asked(0.0, Verdict::Errors);
        assert_eq!((&none[0], &none[1]), (&own, &Err("the closed loop gave no ceiling".into())));
    }

    #[test]
    fn a_broken_target_does_not_set_the_common_rate() {
        let rate = |ceilings: &[(&str, f64, Verdict)]| match resolved(Schedule::Common(0.5), ceilings).remove(0) {
            Ok(Asked::Window { schedule: Schedule::Rate(rate), remark: Some(remark) }) => Ok((rate, remark)),
            Ok(other) => panic!("{other:?}"),
            Err(why) => Err(why),
        };
        let sound = [("a", 3000.0, Verdict::Valid), ("b", 2000.0, Verdict::ClientLimited)];
        let expected = || Ok((1000.0, "the rate is 50 % of the ceiling of b, 2000 requests/s".to_owned()));
        for bad in [Verdict::Errors, Verdict::Unsupported, Verdict::Starved, Verdict::Unstable, Verdict::Disturbed] {
            assert_eq!(rate(&[&sound[..], &[("broken", 1.0, bad)]].concat()), expected(), "{bad:?}");
        }
        let unsteady = [("a", 3000.0, Verdict::Unstable), ("b", 2000.0, Verdict::Starved), ("c", 1.0, Verdict::Errors)];
        assert_eq!(rate(&unsteady), expected());
        assert!(rate(&[("a", 1.0, Verdict::Errors)]).is_err());
    }
}
