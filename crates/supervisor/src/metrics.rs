//! /metrics: what a service does and what it costs.

mod cost;
mod families;
mod traffic;

use prometheus::Registry;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

use crate::status::Shared;
use families::Families;

pub(crate) use cost::CPU_SOURCE;

/// A registry of everything that is told of that service.
pub(crate) fn registry(status: Shared) -> prometheus::Result<Registry> {
    let registry = Registry::new();
    registry.register(Box::new(All(status)))?;
    Ok(registry)
}

/// The figures are not kept in `prometheus`' own counters but in the scoreboard and the kernel, and read when asked.
struct All(Shared);

impl Collector for All {
    /// None: which families there are depends on what the machine tells.
    fn desc(&self) -> Vec<&Desc> {
        Vec::new()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut status = self.0.get();
        let mut families = Families::default();
        traffic::collect(&status, &mut families);
        cost::collect(&mut status, &mut families);
        families.0
    }
}
