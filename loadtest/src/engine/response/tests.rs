//! Tests of the response parser: where responses end, and which are refused.

use super::*;

/// Where a response ends, its status, and whether it closes the connection.
type Parsed = (Option<usize>, u16, bool);

/// Feeds the whole input, then splits it at every byte, then feeds it byte by byte. All must agree on where the
/// response ends, and on its body.
fn parse(input: &[u8], to_head: bool) -> (Parsed, Vec<u8>) {
    let feed = |pieces: &[&[u8]]| {
        let mut body = Vec::new();
        (parse_pieces(pieces, to_head, &mut body), body)
    };
    let whole = feed(&[input]);
    for at in 1..input.len() {
        assert_eq!(feed(&[&input[..at], &input[at..]]), whole, "split at {at}");
    }
    assert_eq!(feed(&input.chunks(1).collect::<Vec<_>>()), whole, "byte by byte");
    whole
}

fn parse_pieces(pieces: &[&[u8]], to_head: bool, body: &mut Vec<u8>) -> Parsed {
    let mut response = Response::default();
    let mut before = 0;
    for piece in pieces {
        match response.feed(piece, to_head, |piece| body.extend_from_slice(piece)) {
            ParseProgress::Incomplete => before += piece.len(),
            ParseProgress::Complete(used) => return (Some(before + used), response.status(), response.closes()),
            ParseProgress::Invalid(_) => return (None, 0, false),
        }
    }
    if response.is_complete_at_eof() {
        (Some(before), response.status(), true)
    } else {
        (None, response.status(), false)
    }
}

fn ends(input: &str) -> Parsed {
    parse(input.as_bytes(), false).0
}

#[test]
fn the_body_is_handed_on_without_head_chunk_sizes_and_trailers() {
    let chunked = "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nT: v\r\n\r\n";
    for rest in ["Content-Length: 11\r\n\r\nhello world", chunked, "\r\nhello world"] {
        let input = format!("HTTP/1.1 200 OK\r\n{rest}");
        assert_eq!(parse(input.as_bytes(), false).1, b"hello world", "{rest}");
    }
    let surplus = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi there";
    assert_eq!(parse(surplus, false).1, b"hi");
    assert_eq!(parse(surplus, true).1, b"");
}

#[test]
fn a_response_ends_after_its_content_length() {
    let input = "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nHello World\n";
    assert_eq!(ends(input), (Some(input.len()), 200, false));
    assert_eq!(ends(&format!("{input}HTTP/1.1 200")), (Some(input.len()), 200, false));
    assert_eq!(ends(&input[..input.len() - 1]).0, None);
    assert_eq!(ends("HTTP/1.1 200 OK\ncontent-length:2\n\nab"), (Some(36), 200, false));
}

#[test]
fn a_chunked_response_ends_after_its_trailers() {
    let input = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA;x=\"y\"\r\n0123456789\r\n0\r\nT: v\r\n\r\n";
    assert_eq!(ends(input), (Some(input.len()), 200, false));
    assert_eq!(ends(&format!("{input}X")), (Some(input.len()), 200, false));
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for bad in ["\r\n", "g\r\n", "5\r\nhelloo\r\n", "fffffffffffffffff\r\n", "-1\r\n"] {
        assert_eq!(ends(&format!("{head}{bad}")).0, None, "{bad:?}");
    }
}

#[test]
fn a_response_without_a_length_ends_with_the_connection() {
    for input in [
        "HTTP/1.1 200 OK\r\n\r\nuntil here",
        "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nz",
    ] {
        assert_eq!(ends(input), (Some(input.len()), 200, true));
    }
}

#[test]
fn responses_to_head_and_some_statuses_have_no_body() {
    for status in ["204 No Content", "304 Not Modified"] {
        let input = format!("HTTP/1.1 {status}\r\nContent-Length: 5\r\n\r\n");
        assert_eq!(ends(&input).0, Some(input.len()));
    }
    let input = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(parse(input, true).0.0, Some(input.len()));
}

#[test]
fn interim_responses_are_skipped() {
    let input = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(ends(input), (Some(input.len()), 404, false));
    assert_eq!(ends("HTTP/1.1 101 Switching Protocols\r\n\r\n").0, None);
}

#[test]
fn the_connection_field_decides_whether_the_connection_closes() {
    let closes = |fields: &str| ends(&format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{fields}\r\n")).2;
    assert!(!closes(""));
    assert!(!closes("Connection: keep-alive\r\n"));
    assert!(closes("Connection: close\r\n"));
    assert!(closes("connection: Foo , CLOSE\r\n"));
    assert!(!closes("X-Connection: close\r\n"));
}

#[test]
fn a_malformed_response_is_refused() {
    for bad in [
        "garbage",
        "SSH-2.0-OpenSSH\r\n",
        "HTTP/2 200\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.x 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
    ] {
        assert_eq!(ends(bad).0, None, "{bad:?}");
    }
}

#[test]
fn a_head_that_is_too_long_is_refused() {
    let mut response = Response::default();
    assert_eq!(response.feed(b"HTTP/1.1 200 OK\r\n", false, |_| {}), ParseProgress::Incomplete);
    let mut fed = 0;
    while response.feed(b"X-Again: and again\r\n", false, |_| {}) == ParseProgress::Incomplete {
        fed += 20;
        assert!(fed <= MAX_HEAD);
    }
    let mut response = Response::default();
    assert!(matches!(
        response.feed(&[&b"HTTP/1.1 200 "[..], &[b'a'; MAX_HEAD]].concat(), false, |_| {}),
        ParseProgress::Invalid(_)
    ));
}
