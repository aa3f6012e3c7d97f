//! What a process tree costs: CPU, memory, processes, threads, descriptors, context switches and page faults of a
//! process and all its descendants.
//!
//! [`Tree::sample`] walks the tree in `/proc` and returns a [`Sample`], in which every figure is a total over the tree:
//!
//! ```
//! let mut tree = process_tree::Tree::new(nix::unistd::getpid());
//! let before = tree.sample()?;
//! // ... the work to be measured ...
//! let after = tree.sample()?;
//! println!("{:?} on the CPU, {:?} bytes", after.cpu - before.cpu, after.memory_bytes);
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! Counters (CPU, switches, faults) never go backwards. Where the kernel does not report everything, the figure is too
//! low and never too high; each field says by how much. Where the kernel reports nothing, the figure is `None`, not 0.
//!
//! [`Account`] is the CPU time of a service together with what it has served meanwhile. [`BusyTimes`],
//! [`KernelMemory`] and [`DiskReads`] are of the whole machine.
//!
//! [`own_cgroup`] reads the figures of the control group of the calling process, which in a container is the group of
//! the whole container; [`OwnGroup`] is one that contains nothing but this process and its descendants. [`raise_open_file_limit`] and [`max_processes`] are about the limits that a server meets.

mod account;
mod busy_times;
mod cgroup;
mod disk_reads;
mod files;
mod kernel_memory;
mod limits;
mod members;
mod probe;
mod sample;
mod spread;
mod switches;
mod tree;

pub use account::{Account, Served, boot_id};
pub use busy_times::BusyTimes;
pub use cgroup::{Cgroup, GroupCpu, OwnGroup, Pressure, Stall, Throttled, own_cgroup};
pub use disk_reads::DiskReads;
pub use files::ticks;
pub use kernel_memory::KernelMemory;
pub use limits::{ProcessLimit, max_processes, raise_open_file_limit, running_processes};
pub use sample::Sample;
pub use tree::Tree;
