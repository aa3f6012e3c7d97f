//! What a run of the disk lab says.

use super::figures::texts;
use maud::{Markup, html};
use results::disk::Disk;
use results::{Results, disk_report};

pub fn part(results: &Results, disk: &Disk) -> Markup {
    html! {
        section {
            p { "Files in " code { (disk.dir) } ": " (disk.file_system) " on the device " (disk.device) "." }
            @for part in disk_report::told(results, disk) {
                h2 { (part.heading) }
                p.note { (part.files) }
                @for sentence in &part.sentences { p.answer { (sentence) } }
                (texts(&part.heads, part.rows.iter().map(|row| (row.as_slice(), false))))
                @if !part.remarks.is_empty() {
                    details.remarks {
                        summary { "Remarks on these figures (" (part.remarks.len()) ")" }
                        ul { @for remark in &part.remarks { li { (remark.trim_start_matches(['*', ' '])) } } }
                    }
                }
            }
            p.note { (disk_report::NOTE) }
        }
    }
}
