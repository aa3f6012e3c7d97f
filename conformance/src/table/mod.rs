//! The transcripts, by subject.

mod chunked;
mod connection;
mod content_length;
mod early_error;
mod expect;
mod fields;
mod files;
mod half_close;
mod head;
mod host;
mod limits;
mod pipelining;
mod request_line;
mod smuggling;
mod target;
mod time;
mod trailers;
mod workloads;

use crate::transcript::Transcript;

/// All transcripts.
pub fn table() -> Vec<Transcript> {
    [
        request_line::table(),
        target::table(),
        host::table(),
        fields::table(),
        content_length::table(),
        chunked::table(),
        trailers::table(),
        expect::table(),
        pipelining::table(),
        connection::table(),
        head::table(),
        half_close::table(),
        limits::table(),
        workloads::table(),
        files::table(),
        smuggling::table(),
        early_error::table(),
        time::table(),
    ]
    .concat()
}

/// A request without content.
fn request(method: &str, target: &str, fields: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}

fn get(target: &str) -> String {
    request("GET", target, "")
}

/// `GET /` with these further fields, each with its CRLF.
fn get_with(fields: &str) -> String {
    request("GET", "/", fields)
}

/// `POST /counter` with these fields and this content.
fn post(fields: &str, content: &str) -> String {
    request("POST", "/counter", fields) + content
}

fn post_chunked(content: &str) -> String {
    post("Transfer-Encoding: chunked\r\n", content)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use crate::transcript::{End, Step};

    #[test]
    fn every_transcript_has_its_own_name_and_a_source() {
        let table = super::table();
        assert!(table.len() >= 150, "{}", table.len());
        let names: HashSet<_> = table.iter().map(|t| t.name).collect();
        assert_eq!(names.len(), table.len());
        for transcript in &table {
            let known = ["RFC 9110, ", "RFC 9112, ", "RFC 3986, ", "RFC 9113, ", "RFC 1945, ", "limit: ", "design: "];
            assert!(known.iter().any(|k| transcript.source.starts_with(k)), "{}", transcript.source);
            let ends = transcript.replies.iter().any(|r| r.with.contains(&("Connection", "close".into())));
            assert!(!ends || transcript.end == End::Closed, "{}", transcript.name);
            assert!(transcript.steps.iter().all(|s| *s != Step::Send(Vec::new())), "{}", transcript.name);
        }
    }
}
