//! The machine that a run took place on.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The machine that the load generator ran on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Host name; in a container, the container's.
    pub host: Option<String>,
    /// What the kernel drew at random when it was booted; the same in all containers of a host. random(4)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
    /// Kernel name and release.
    pub kernel: Option<String>,
    /// Model of the first CPU.
    pub cpu: Option<String>,
    /// Number of CPUs that are online.
    pub cpus: usize,
    /// CPUs that the generator may use.
    pub cpus_allowed: Vec<usize>,
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
    /// What else may decide a measurement, by name: the commit and the compiler of this program, governor, SMT,
    /// mitigations, hypervisor, clock source and others.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub provenance: BTreeMap<String, String>,
}
