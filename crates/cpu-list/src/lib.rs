//! A list of CPUs in the form of cpuset(7), such as `0-3,8`, to which a program restricts itself.
//!
//! This works where a control group's `cpuset` does not: on a machine that lacks one of the CPUs, and in a container
//! without privileges. Threads and processes that are started afterwards inherit the restriction.

use std::fmt;
use std::io;
use std::str::FromStr;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// The CPUs of a list, ascending. An empty list stands for all CPUs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuList(Vec<usize>);

impl FromStr for CpuList {
    type Err = String;

    fn from_str(text: &str) -> Result<CpuList, String> {
        let expected =
            || format!("`{text}` is no list of CPUs; write it like 0, 0-3 or 0,2 (the largest is {})", max());
        let mut cpus = Vec::new();
        for part in text.split(',').filter(|_| !text.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let number = |digits: &str| digits.parse().ok().filter(|&cpu: &usize| cpu <= max());
            let (first, last) = number(first).zip(number(last)).filter(|(a, b)| a <= b).ok_or_else(expected)?;
            cpus.extend(first..=last);
        }
        cpus.sort_unstable();
        cpus.dedup();
        Ok(CpuList(cpus))
    }
}

/// `0,1,2`
impl fmt::Display for CpuList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cpus: Vec<String> = self.0.iter().map(usize::to_string).collect();
        f.write_str(&cpus.join(","))
    }
}

impl CpuList {
    /// The CPUs, ascending.
    pub fn cpus(&self) -> &[usize] {
        &self.0
    }

    /// The CPUs that the calling thread may use: sched_getaffinity(2).
    ///
    /// # Errors
    /// The kernel's error: the machine has more CPUs than a `cpu_set_t` holds.
    pub fn allowed() -> io::Result<CpuList> {
        CpuList::of(Pid::from_raw(0))
    }

    /// The CPUs that the thread with this id may use, which for a process is its main thread: sched_getaffinity(2).
    ///
    /// # Errors
    /// The kernel's error: there is no such thread, or the machine has more CPUs than a `cpu_set_t` holds.
    pub fn of(thread: Pid) -> io::Result<CpuList> {
        let set = sched_getaffinity(thread)?;
        Ok(CpuList((0..CpuSet::count()).filter(|&cpu| set.is_set(cpu).unwrap_or(false)).collect()))
    }

    /// Restricts the calling thread to those CPUs of the list that it may use: sched_setaffinity(2). If it may use none of
    /// them, it stays as it is. Returns a sentence if a CPU of the list cannot be used.
    ///
    /// # Errors
    /// The kernel's error.
    pub fn restrict(&self) -> io::Result<Option<String>> {
        let allowed = CpuList::allowed()?;
        let (usable, missing): (Vec<usize>, Vec<usize>) = self.0.iter().partition(|cpu| allowed.0.contains(cpu));
        let used = if usable.is_empty() { allowed } else { CpuList(usable) };
        if !self.0.is_empty() {
            used.apply()?;
        }
        let missing = CpuList(missing);
        Ok((!missing.0.is_empty()).then(|| format!("there is no CPU {missing} here to use: CPU {used} instead")))
    }

    /// Lets the calling thread use exactly these CPUs, also others than those that it may use now: sched_setaffinity(2). The
    /// kernel leaves out those that the machine or the cpuset of the thread lacks.
    ///
    /// # Errors
    /// The kernel's error: none of the CPUs can be used.
    pub fn apply(&self) -> io::Result<()> {
        let mut set = CpuSet::new();
        self.0.iter().try_for_each(|&cpu| set.set(cpu))?;
        Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
    }
}

fn max() -> usize {
    CpuSet::count() - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> CpuList {
        text.parse().unwrap()
    }

    #[test]
    fn a_list_has_numbers_and_ranges() {
        assert_eq!(list("").0, []);
        assert_eq!(list("2").0, [2]);
        assert_eq!(list("4-6,0,5").0, [0, 4, 5, 6]);
        for wrong in [",", "0,", "-1", "1-", "3-2", "a", "0 1", "1024", "0-99999999999"] {
            let error = wrong.parse::<CpuList>().unwrap_err();
            assert!(error.starts_with(&format!("`{wrong}` ")), "{error}");
        }
    }

    #[test]
    fn cpus_that_are_there_are_used_and_others_are_named() {
        let all = CpuList::allowed().unwrap();
        let first = CpuList(vec![all.0[0]]);
        let absent = CpuList(vec![max()]);
        assert!(!all.0.contains(&max()), "this test needs a machine with less than {} CPUs", max() + 1);

        assert_eq!(
            absent.restrict().unwrap(),
            Some(format!("there is no CPU {absent} here to use: CPU {all} instead"))
        );
        assert_eq!(CpuList::allowed().unwrap(), all);

        let both = CpuList(vec![first.0[0], max()]);
        assert_eq!(
            both.restrict().unwrap(),
            Some(format!("there is no CPU {absent} here to use: CPU {first} instead"))
        );
        assert_eq!(CpuList::allowed().unwrap(), first);

        assert_eq!(CpuList::default().restrict().unwrap(), None);
        assert_eq!(CpuList::allowed().unwrap(), first);

        all.apply().unwrap();
        assert_eq!(CpuList::allowed().unwrap(), all, "a restriction can be taken back");
        assert!(CpuList::default().apply().is_err() && absent.apply().is_err());
    }
}
