//! What a run of the disk lab says.

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
                div.wide tabindex="0" role="region" aria-label="figures" {
                    table.figures {
                        thead {
                            tr {
                                th scope="col" { "target" }
                                @for head in part.heads.iter().skip(1) { th scope="col" { (head) } }
                            }
                        }
                        tbody {
                            @for row in &part.rows {
                                tr {
                                    @for (number, text) in row.iter().enumerate() {
                                        @if number == 0 { th scope="row" { (text) } } @else { td { (text) } }
                                    }
                                }
                            }
                        }
                    }
                }
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
