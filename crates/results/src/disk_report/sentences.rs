//! What a part of a run says, in sentences.

use super::part::{BYSTANDER, Part};
use crate::cache::Cache;
use crate::contrast::{Contrast, contrast, over_blocks};
use crate::disk::LEAST_GAIN;
use crate::figures::CPU;
use crate::schema::{Bound, Cell};
use crate::units::{count, micros, three_digits};

/// The lecture's factor: 72.70 fetches/s with linux-aio, 40.51 with sendfile (lighttpd 1.5, 2006).
const FACTOR: f64 = 72.70 / 40.51;
/// The model that sends files by sendfile(2), and the one that the lecture compares with it.
const SENDFILE: &str = "epoll";
const LINUX_AIO: &str = "linux-aio";
/// The model that does something else while a file is read.
const POSIX_AIO: &str = "posix-aio";

/// What the disk allows; nothing where all files are in memory.
pub(super) fn of_the_disk(part: &Part<'_>) -> Option<String> {
    if !part.cache.needs_the_disk() {
        return None;
    }
    let ceilings: Vec<String> = part
        .set
        .ceilings
        .iter()
        .map(|ceiling| format!("{} at depth {}", count(ceiling.files_per_second), ceiling.depth))
        .collect();
    let (last, first) = ceilings.split_last()?;
    let bytes = part.set.ceiling()? * part.set.bytes as f64 / 1e6;
    let all = if first.is_empty() { last.clone() } else { format!("{} and {last}", first.join(", ")) };
    let mut sentence = format!("The disk alone gives {all} (files/s; at most {} MB/s).", count(bytes));
    if !part.set.shows_depth() {
        let gain = part.set.gain().unwrap_or_default();
        sentence += &format!(
            " At depth 16 that is only {gain:.1} times as much as at depth 1 (less than {LEAST_GAIN}): on this disk, reads at the same time gain little, and what differs below has other causes, too."
        );
    }
    Some(sentence)
}

/// Who reaches the largest and the smallest share of what the disk allows, at what CPU time.
pub(super) fn of_the_targets(part: &Part<'_>) -> Option<String> {
    let reached = |cell: &Cell| cell.comparable("throughput").map(|figure| figure.median);
    let mut sorted: Vec<_> = part.fetches.iter().filter_map(|cell| Some((reached(cell)?, *cell))).collect();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
    let described = |&(fetches, cell): &(f64, &Cell)| {
        let share = match (part.cache, part.set.ceiling()) {
            (Cache::Cold, Some(ceiling)) => {
                format!(", {:.0} % of what the disk gives,", fetches / ceiling * 100.0)
            }
            _ => String::new(),
        };
        let cpu =
            cell.comparable(CPU).map_or(String::new(), |cpu| format!(" at {} of CPU time a fetch", micros(cpu.median)));
        format!("{} serves {} fetches/s{share}{cpu}", cell.key.target, count(fetches))
    };
    match &sorted[..] {
        [] => None,
        [only] => Some(format!("{}.", described(only))),
        [most, .., least] => Some(format!("Most: {}. Least: {}.", described(most), described(least))),
    }
}

/// Whether the lecture's factor holds.
pub(super) fn of_the_factor(part: &Part<'_>) -> Option<String> {
    let (aio, sendfile) = (part.fetches_of(LINUX_AIO)?, part.fetches_of(SENDFILE)?);
    let ratio = |of: &str, path| shown(of, contrast(aio, sendfile, path));
    Some(format!(
        "linux-aio / sendfile (epoll): {}; {}. The lecture's factor, for cold files: {FACTOR:.2} times the fetches/s.",
        ratio("fetches/s", "throughput"),
        ratio("CPU time a fetch", CPU),
    ))
}

/// What a client waits that asks for something else meanwhile.
pub(super) fn of_the_bystander(part: &Part<'_>) -> Option<String> {
    let (sendfile, aio) = (part.bystander_of(SENDFILE)?, part.bystander_of(POSIX_AIO)?);
    let bound = |cell: &Cell| cell.flaw(&cell.figures.at(BYSTANDER).0).map(|flaw| flaw.bound);
    let (of, ratio) = match (bound(sendfile), bound(aio)) {
        // What posix-aio took is less, so the true ratio is larger.
        (None, Some(Some(Bound::Upper))) => ("at least", over_blocks(sendfile, aio, BYSTANDER)),
        _ => ("", contrast(sendfile, aio, BYSTANDER)),
    };
    let of = format!("p99 of /, epoll / posix-aio: {of}");
    Some(format!("Something else meanwhile: {}.", shown(of.trim_end(), ratio)))
}

fn shown(of: &str, ratio: Result<Contrast, String>) -> String {
    match ratio {
        Ok(it) => format!("{of} {} ({} .. {})", three_digits(it.ratio), three_digits(it.low), three_digits(it.high)),
        Err(why) => format!("{of} not known ({why})"),
    }
}
