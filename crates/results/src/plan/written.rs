//! How the loads of a plan are written into results.json, and read from files that older programs wrote.

use crate::background::BackgroundLoad;
use crate::load::{Load, PerConnection};
use crate::schedule::Schedule;
use serde::{Deserialize, Serialize};

/// The loads as they are written, and as older programs wrote them.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Loads { loads: Vec<Load> },
    Product(Product),
}

/// What older programs wrote: the loads are all combinations of the lists' values, each beside the same background.
#[derive(Deserialize)]
struct Product {
    workloads: Vec<String>,
    schedules: Vec<Schedule>,
    concurrencies: Vec<usize>,
    requests_per_connection: Vec<PerConnection>,
    #[serde(default)]
    beside: BackgroundLoad,
    busy_workload: Option<String>,
    slow_reader_workload: Option<String>,
}

impl Product {
    fn loads(self) -> Vec<Load> {
        // What these clients requested before results.json said it.
        let busy = self.busy_workload.unwrap_or_else(|| "/work/10000000".into());
        let slow_reader = self.slow_reader_workload.unwrap_or_else(|| "/files/1m".into());
        let background = BackgroundLoad {
            busy_workload: (self.beside.busy > 0).then_some(busy),
            slow_reader_workload: (self.beside.slow_readers > 0).then_some(slow_reader),
            ..self.beside
        };
        let mut loads = Vec::new();
        for workload in &self.workloads {
            for &schedule in &self.schedules {
                for &requests_per_connection in &self.requests_per_connection {
                    for &concurrency in &self.concurrencies {
                        let (workload, background) = (workload.clone(), background.clone());
                        loads.push(Load { workload, schedule, concurrency, requests_per_connection, background });
                    }
                }
            }
        }
        loads
    }
}

/// For `#[serde(flatten, with)]`.
pub mod loads {
    use super::*;
    use serde::{Deserializer, Serializer};

    pub fn serialize<S: Serializer>(loads: &[Load], serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Loads<'l> {
            loads: &'l [Load],
        }
        Loads { loads }.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Load>, D::Error> {
        Ok(match Written::deserialize(deserializer)? {
            Written::Loads { loads } => loads,
            Written::Product(product) => product.loads(),
        })
    }
}
