//! What may decide a measurement besides the servers: how this program was built, and the state of the machine.

mod files;
mod kernel;
mod limits;
mod processor;

use files::{Fact, Files};
use std::collections::BTreeMap;

/// All facts that can be known, by name. What changes from minute to minute is not among them.
///
/// | name | meaning |
/// |---|---|
/// | `commit` | the commit that was checked out when this program was built; later changes of files do not show |
/// | `compiler`, `build` | the compiler; profile, optimisation, target and flags |
/// | `governor`, `frequency_driver`, `turbo` | how the frequency of the CPUs is chosen |
/// | `smt` | whether cores have several CPUs: the kernel's control, and whether it is active |
/// | `mitigations` | the kernel's measures against faults of the processor, and those that it lacks |
/// | `hypervisor`, `hardware` | whether this is a virtual machine; the vendor's names of it |
/// | `clock_source` | how the kernel reads the time |
/// | `irq_accounting` | whether the time in interrupts is taken out of that of the interrupted process |
/// | `cgroups`, `cpu_quota` | the version of control groups; the CPUs that a quota allows |
/// | `transparent_huge_pages` | for which memory the kernel uses pages of 2 MiB |
/// | `open_files`, `processes` | the most that this process, or its user, may have |
/// | `somaxconn`, `port_range`, `tracked_connections` | the longest backlog; the client's ports; the most entries of conntrack |
/// | `swap_bytes` | the size of the swap space |
pub fn here() -> BTreeMap<String, String> {
    let root = Files::at("/");
    let mut facts = build();
    facts.extend(processor::facts(&root));
    facts.extend(kernel::facts(&root));
    facts.extend(limits::facts(&root));
    facts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// What the build script has found.
fn build() -> Vec<Fact> {
    vec![
        ("commit", option_env!("BUILT_OF_COMMIT").map(str::to_owned)),
        ("compiler", option_env!("BUILT_BY").map(str::to_owned)),
        ("build", option_env!("BUILT_WITH").map(str::to_owned)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_facts() {
        let facts = here();
        assert!(facts["compiler"].starts_with("rustc 1."), "{facts:?}");
        assert!(facts["open_files"].parse::<u64>().is_ok() && facts.contains_key("port_range"), "{facts:?}");
        assert!(facts.values().all(|value| !value.is_empty() && !value.contains('\n')), "{facts:?}");
    }
}
