//! The page /metrics, in the Prometheus text format: what a service does, and what it costs.

mod cost;
mod families;
mod traffic;

use prometheus::Registry;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

use crate::status::SharedStatus;
use families::Families;

/// Makes a registry of all metrics of the service.
pub(crate) fn registry(status: SharedStatus) -> prometheus::Result<Registry> {
    let registry = Registry::new();
    registry.register(Box::new(ServiceCollector(status)))?;
    Ok(registry)
}

/// Reads the figures from the scoreboard and the kernel at each scrape; no counters of `prometheus` are used.
struct ServiceCollector(SharedStatus);

impl Collector for ServiceCollector {
    /// Empty, because it depends on the machine which families exist.
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
