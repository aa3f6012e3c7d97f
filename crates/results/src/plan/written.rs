//! How the loads of a plan are written into results.json, and read from files that older programs wrote.

use crate::background::BackgroundLoad;
use crate::load::{Load, PerConnection};
use crate::schedule::Schedule;
use serde::Deserialize;

/// The loads as they are written, and the lists that older programs wrote: the loads are all combinations of their values,
/// each beside the same background. One or the other is there.
#[derive(Deserialize)]
#[serde(default)]
struct Written {
    loads: Option<Vec<Load>>,
    workloads: Vec<String>,
    schedules: Vec<Schedule>,
    concurrencies: Vec<usize>,
    requests_per_connection: Vec<PerConnection>,
    beside: BackgroundLoad,
    busy_workload: String,
    slow_reader_workload: String,
}

impl Default for Written {
    fn default() -> Written {
        Written {
            loads: None,
            workloads: Vec::new(),
            schedules: Vec::new(),
            concurrencies: Vec::new(),
            requests_per_connection: Vec::new(),
            beside: BackgroundLoad::default(),
            // What these clients requested before results.json said it.
            busy_workload: "/work/10000000".into(),
            slow_reader_workload: "/files/1m".into(),
        }
    }
}

impl Written {
    fn loads(self) -> Vec<Load> {
        if let Some(loads) = self.loads {
            return loads;
        }
        let background = BackgroundLoad {
            busy_workload: (self.beside.busy > 0).then_some(self.busy_workload),
            slow_reader_workload: (self.beside.slow_readers > 0).then_some(self.slow_reader_workload),
            ..self.beside
        };
        let Written { workloads, schedules, concurrencies, requests_per_connection, .. } = self;
        Load::combinations(&workloads, &schedules, &requests_per_connection, &concurrencies, &background)
    }
}

/// For `#[serde(flatten, with)]`.
pub mod loads {
    use super::Written;
    use crate::load::Load;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(loads: &[Load], serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Loads<'l> {
            loads: &'l [Load],
        }
        Loads { loads }.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Load>, D::Error> {
        Ok(Written::deserialize(deserializer)?.loads())
    }
}
