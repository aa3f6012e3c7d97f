//! What a target has used up to one moment, read together with what it has answered: [`Spent`].

use super::own_count::OwnCount;
use process_tree::{Account, boot_id};
use std::time::Duration;

/// The source of a CPU time that has no control group: the clocks of the live processes, and wait4(2) for those that the
/// supervisor itself has waited for.
const WITHOUT_GROUP: &str = "clocks+wait4";

/// Where the target runs, seen from the load generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// On the same machine.
    Here,
    /// On another machine.
    Elsewhere,
    /// It does not say it.
    Unknown,
}

/// CPU time and answers of a target up to one moment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Spent {
    /// When it was read: CLOCK_MONOTONIC of the target's machine.
    pub at: Duration,
    /// CPU time of the target, without its supervisor.
    pub cpu: Duration,
    /// CPU time of the service's supervisor.
    pub supervisor_cpu: Option<Duration>,
    /// Replies before and after the CPU time was read.
    pub replies: (u64, u64),
    /// System calls that the service's own code has made.
    pub syscalls: Option<u64>,
    /// For how long a CPU quota kept the target from its CPUs.
    pub throttled: Option<Duration>,
    /// Whether children of the target that end while it lives are missing from its CPU time.
    pub lacks_ended_children: bool,
    /// How CPU time and replies were read.
    pub source: String,
    /// The CPUs that the target may use; none if it does not say it.
    pub cpus: Vec<usize>,
    /// The machine that it runs on.
    pub place: Place,
}

impl Spent {
    /// Takes over the account that a service gives. If it does not count its replies, as that of a guest, the answers that the
    /// load generator has received stand for them: those at the account's moment if both have the same clock.
    pub fn of_service(account: Account, own_count: &OwnCount<'_>) -> Spent {
        let place = match (&account.boot_id, boot_id()) {
            (Some(theirs), Some(ours)) if theirs == ours => Place::Here,
            (Some(_), Some(_)) => Place::Elsewhere,
            _ => Place::Unknown,
        };
        let at = Duration::from_nanos(account.monotonic_ns);
        let by_generator = || if place == Place::Elsewhere { own_count.whole() } else { own_count.around(at) };
        Spent {
            at,
            cpu: Duration::from_nanos(account.cpu_ns),
            supervisor_cpu: Some(Duration::from_nanos(account.supervisor_cpu_ns)),
            replies: match account.served {
                Some(served) => (served.replies_before, served.replies_after),
                None => by_generator(),
            },
            syscalls: account.served.map(|served| served.syscalls),
            throttled: account.throttled_ns.map(Duration::from_nanos),
            // Our models tell their supervisor of children that have ended; a guest does not.
            lacks_ended_children: account.served.is_none() && account.cpu_source == WITHOUT_GROUP,
            source: match account.served {
                Some(_) => format!("the service's account ({})", account.cpu_source),
                None => format!(
                    "its supervisor's account ({}), and the load generator's count of answers",
                    account.cpu_source
                ),
            },
            cpus: account.cpus,
            place,
        }
    }

    /// Replies that came while the CPU time was read.
    pub fn spread(&self) -> u64 {
        self.replies.1.abs_diff(self.replies.0)
    }

    /// Replies up to this moment: the middle of the two counts.
    pub fn replies(&self) -> f64 {
        (self.replies.0 as f64).midpoint(self.replies.1 as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use process_tree::Served;

    #[test]
    fn an_account_of_another_boot_is_of_another_machine() {
        let account = |boot_id: Option<String>| Account {
            monotonic_ns: 1_000,
            cpu_ns: 2,
            supervisor_cpu_ns: 3,
            served: Some(Served { replies_before: 10, replies_after: 13, syscalls: 4 }),
            throttled_ns: None,
            cpu_source: "clocks".into(),
            cpus: vec![1],
            boot_id,
        };
        let own_count = OwnCount::begin(&|| 0);
        let place = |boot_id| Spent::of_service(account(boot_id), &own_count).place;
        assert_eq!(place(boot_id().map(str::to_owned)), Place::Here);
        assert_eq!(place(Some("another".into())), Place::Elsewhere);
        assert_eq!(place(None), Place::Unknown);
        let spent = Spent::of_service(account(None), &own_count);
        assert_eq!((spent.spread(), spent.replies(), spent.at), (3, 11.5, Duration::from_micros(1)));
    }
}
