//! Asks Prometheus whether it has the last sample that it was sent.

use super::wire::PATH;
use crate::scrape;
use crate::target::Url;
use std::io;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(2);
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(200);

/// Queries the run's last sample, which `selector` finds: 0 at `at`. If it is missing, returns why, in words that continue
/// a sentence after "…, but".
pub fn missing_last_sample(write: &Url, selector: String, at: i64) -> Option<String> {
    let prefix = write.path().strip_suffix(PATH)?;
    let time = format!("{}.{:03}", at / 1000, at % 1000);
    let url = write.with_path(&format!("{prefix}/api/v1/query"));
    let mut why = String::new();
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            std::thread::sleep(PAUSE);
        }
        match value(&url, &selector, &time) {
            Ok(Some(value)) if value == "0" => return None,
            Ok(_) => why = "the last one is missing there".into(),
            Err(error) => why = format!("Prometheus cannot be asked whether the last one is there: {error}"),
        }
    }
    Some(why)
}

/// The value of the only sample in the query's result.
fn value(url: &Url, query: &str, time: &str) -> io::Result<Option<String>> {
    let (status, body) = scrape::get_with(url, &[("query", query), ("time", time)], TIMEOUT)?;
    if status != 200 {
        return Err(io::Error::other(format!("{url} answers with status {status}")));
    }
    let answer: serde_json::Value = serde_json::from_slice(&body)?;
    Ok(answer["data"]["result"][0]["value"][1].as_str().map(str::to_owned))
}
