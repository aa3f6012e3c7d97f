//! Whether other programs or other machines used the CPUs.

use super::trial::Trial;

/// Others may use the CPUs for this share of the window: more is seen in the figures.
pub(crate) const DISTURBING_SHARE: f64 = 0.02;
/// And for this many seconds of each CPU of the side on average: in less, the kernel's own threads and the ticks of its
/// clocks are seen, and there may be some on every CPU.
const SECONDS: f64 = 0.040;

/// What other programs used of the CPUs, so much that the trial has to be repeated, as a sentence; `None` if no
/// share is above 2 % of the window and above 40 ms. A share is one of the time of all CPUs of a side, so on a side with
/// four CPUs, others have used more than 160 ms of CPU time in all.
///
/// Others are other programs, on the CPUs of either side, and other machines of the same hypervisor.
pub fn disturbance(trial: &Trial) -> Option<String> {
    let machine = &trial.figures.machine;
    let found: Vec<String> = [
        ("other programs used", machine.foreign_on_server_cpus, "of the target's CPUs"),
        ("other programs used", machine.foreign_on_client_cpus, "of the load generator's CPUs"),
        ("the hypervisor gave other machines", machine.steal, "of a CPU"),
    ]
    .into_iter()
    .filter_map(|(use_of_others, share, of)| {
        let share = share.filter(|&share| share > DISTURBING_SHARE && share * trial.seconds > SECONDS)?;
        Some(format!("{use_of_others} {:.0} % {of}", share * 100.0))
    })
    .collect();
    (!found.is_empty()).then(|| found.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::tests::empty_trial;

    fn trial(seconds: f64, server: f64, client: f64, steal: f64) -> Trial {
        let mut trial = Trial { seconds, ..empty_trial() };
        let machine = &mut trial.figures.machine;
        machine.foreign_on_server_cpus = Some(server);
        machine.foreign_on_client_cpus = Some(client);
        machine.steal = Some(steal);
        trial
    }

    #[test]
    fn others_disturb_a_trial_above_2_percent_and_40_ms() {
        assert_eq!(disturbance(&empty_trial()), None, "nothing is known");
        assert_eq!(disturbance(&trial(100.0, 0.02, 0.01, 0.0)), None);
        assert_eq!(disturbance(&trial(0.6, 0.06, 0.06, 0.06)), None, "36 ms");
        for (trial, words) in [
            (trial(0.6, 0.07, 0.0, 0.0), "other programs used 7 % of the target's CPUs"),
            (trial(5.0, 0.0, 0.31, 0.0), "other programs used 31 % of the load generator's CPUs"),
            (trial(5.0, 0.0, 0.0, 0.03), "the hypervisor gave other machines 3 % of a CPU"),
            (
                trial(5.0, 0.5, 0.0, 0.03),
                "other programs used 50 % of the target's CPUs, the hypervisor gave other machines 3 % of a CPU",
            ),
        ] {
            assert_eq!(disturbance(&trial).as_deref(), Some(words));
        }
    }
}
