//! Refuses the values of flags that the model cannot keep on this machine.

use crate::capacity::{Capacity, MachineLimits};
use crate::flags::Flags;
use crate::{Bound, Failure, Model};

/// The most event loops. Far fewer use all CPUs of a large machine, and each loop costs descriptors and memory.
const MOST_LOOPS: Bound =
    Bound { flag: "threads", least: 1, most: 1024, why: "each loop has a thread, descriptors and buffers of its own" };

/// The number of event loops: as many as `--threads` says, or else as many as this process may use CPUs and the model can have.
pub(crate) fn threads(model: &Model, given: Option<usize>, cpus: usize) -> Result<usize, Failure> {
    let of_model = model.bounds.iter().filter(|bound| bound.flag == MOST_LOOPS.flag);
    let mut bounds = of_model.chain([&MOST_LOOPS]);
    match given {
        Some(threads) => bounds.try_fold(threads, |threads, bound| bound.check(threads).map(|()| threads)),
        None => Ok(bounds.fold(cpus, |threads, bound| threads.clamp(bound.least, bound.most))),
    }
}

/// Checks the flags on sizes that the model bounds.
pub(crate) fn check_sizes(model: &Model, flags: &Flags) -> Result<(), Failure> {
    let sizes = [("max-head", flags.max_head), ("max-request-line", flags.max_request_line)];
    let size = |flag| sizes.iter().find(|(name, _)| *name == flag).map(|(_, size)| *size);
    model.bounds.iter().try_for_each(|bound| size(bound.flag).map_or(Ok(()), |size| bound.check(size)))
}

/// The values of the flags that only this model has. Where two contradict each other, a default yields to a given value.
pub(crate) fn own_flags(
    model: &Model,
    flags: &Flags,
    capacity: &Capacity,
    machine: &MachineLimits,
) -> Result<Vec<(&'static str, usize)>, Failure> {
    let mut values = flags.of_model.clone();
    for (n, flag) in model.flags.iter().enumerate() {
        for &other in flag.at_most {
            let (value, place) = (values[n].1, values.iter().position(|(name, _)| *name == other));
            let (most, what) = match place {
                Some(place) => (values[place].1, format!("the {} of --{other}", values[place].1)),
                None => (capacity.connections, format!("the connections that may be open: {}", capacity.described())),
            };
            match place {
                _ if value <= most => {}
                _ if !flags.is_given(flag.name) => values[n].1 = most,
                Some(place) if !flags.is_given(other) => values[place].1 = value,
                _ => return Err(refusal(flag.name, value, &format!("it is more than {what}"))),
            }
        }
        if flag.is_threads {
            machine.check_threads(flag.name, values[n].1)?;
        }
    }
    Ok(values)
}

impl Bound {
    fn check(&self, value: usize) -> Result<(), Failure> {
        let Bound { flag, least, most, why } = *self;
        if value < least {
            return Err(refusal(flag, value, &format!("it must be at least {least}: {why}")));
        }
        if value > most {
            return Err(refusal(flag, value, &format!("it must be at most {most}: {why}")));
        }
        Ok(())
    }
}

fn refusal(flag: &str, value: usize, why: &str) -> Failure {
    Failure::CannotStart(format!("--{flag} {value}: {why}"))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::Flag;

    const THREE: Bound = Bound { flag: "threads", least: 1, most: 3, why: "there are three" };

    #[test]
    fn a_given_number_of_threads_is_refused_and_the_default_is_adapted() {
        let few = Model { bounds: &[THREE], ..Model::new("few", |_, _| Ok(())) };
        let many = Model::new("many", |_, _| Ok(()));
        assert_eq!(threads(&few, Some(3), 64).unwrap(), 3);
        assert_eq!(threads(&few, None, 64).unwrap(), 3);
        assert_eq!(threads(&many, None, 64).unwrap(), 64);
        let Err(Failure::CannotStart(line)) = threads(&few, Some(4), 64) else { panic!("it was accepted") };
        assert_eq!(line, "--threads 4: it must be at most 3: there are three");
        assert!(threads(&many, Some(usize::MAX), 1).is_err());
    }

    const LOW: Flag =
        Flag { name: "low", env: "LOW", default: Some("5"), help: "", at_most: &["high"], is_threads: false };
    const HIGH: Flag = Flag { name: "high", env: "HIGH", default: Some("9"), at_most: &["max-connections"], ..LOW };

    #[test]
    fn a_default_yields_to_a_given_value_and_two_given_values_must_agree() {
        let model = Model { flags: &[LOW, HIGH], ..Model::new("two", |_, _| Ok(())) };
        let machine =
            MachineLimits { open_files: 1024, processes: None, threads_of_process: 100, running: 0, threads: 1 };
        let capacity = Capacity { connections: 20, set_by: "--max-connections" };
        let values = |args: &[&str]| {
            let args = std::iter::once("two").chain(args.iter().copied()).map(OsString::from);
            match own_flags(&model, &Flags::parse(model, args).unwrap(), &capacity, &machine) {
                Ok(values) => Ok((values[0].1, values[1].1)),
                Err(Failure::CannotStart(line)) => Err(line),
                Err(other) => panic!("{other:?}"),
            }
        };
        assert_eq!(values(&[]), Ok((5, 9)));
        assert_eq!(values(&["--low", "12"]), Ok((12, 12)));
        assert_eq!(values(&["--high", "3"]), Ok((3, 3)));
        assert_eq!(values(&["--low", "4", "--high", "3"]), Err("--low 4: it is more than the 3 of --high".to_owned()));
        let line = values(&["--high", "21"]).unwrap_err();
        assert_eq!(line, "--high 21: it is more than the connections that may be open: 20 (by --max-connections)");
    }
}
