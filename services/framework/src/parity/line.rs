//! Request lines, which hyper reads too late (in pieces, when the head has ended) or more leniently than the other models.

use app::Limits;

/// Looks at the request lines that pass a socket, as far as it is known where they begin: at a connection's begin, and behind a
/// request that ended a read. It never takes content, or a line within a head, for a request line.
#[derive(Default)]
pub struct Lines {
    /// The beginning of a line whose end is not here yet.
    begun: Vec<u8>,
    /// The line has ended, and the rest of its head comes.
    in_head: bool,
}

impl Lines {
    /// Looks at bytes that come between two requests or within a head. The status is that of a refusal.
    pub fn look(&mut self, bytes: &[u8], limits: &Limits) -> Option<u16> {
        let mut rest = bytes;
        while !self.in_head && !rest.is_empty() {
            let end = rest.iter().position(|&b| b == b'\n').map_or(rest.len(), |at| at + 1);
            let (piece, behind) = rest.split_at(end);
            rest = behind;
            let line = if self.begun.is_empty() && piece.ends_with(b"\n") {
                piece // most lines come whole
            } else {
                self.begun.extend_from_slice(piece);
                &self.begun
            };
            if line == b"\r\n" {
                self.begun.clear(); // an empty line before a request line is skipped: RFC 9112, 2.2
                continue;
            }
            if !is_usual(line)
                && let Some(status @ (400 | 414)) = app::refused_line(line, limits)
            {
                return Some(status); // (hyper refuses another version before its last digit is here)
            }
            if line.ends_with(b"\n") {
                self.in_head = true;
                self.begun.clear();
            }
        }
        None
    }

    /// The next bytes begin a request line.
    pub fn next(&mut self) {
        self.in_head = false;
    }
}

/// Most lines are this short and end like this; hyper checks their other characters.
pub fn is_usual(line: &[u8]) -> bool {
    line.ends_with(b" HTTP/1.1\r\n") && line.len() < 1024 && !line.contains(&b'#')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_lines_are_refused_in_any_pieces_and_heads_are_not_looked_at() {
        for (bytes, status) in [
            ("GET / HTTP/1.1\r\nA: #\n\x16\r\n\r\n", None),
            ("\r\n\r\nGET / HTTP/1.0\r\n", None),
            ("\x16", Some(400)),
            ("\r\n\x16", Some(400)),
            ("GET /#a HTTP/1.1\r\n", Some(400)),
            ("GET / HTTP/1.1\n", Some(400)),
            ("PRI * HTTP/2.0\r\n", None),
        ] {
            for size in 1..=bytes.len() {
                let (mut lines, limits) = (Lines::default(), Limits::default());
                let refused = bytes.as_bytes().chunks(size).find_map(|piece| lines.look(piece, &limits));
                assert_eq!(refused, status, "{bytes:?} in pieces of {size}");
            }
        }
    }
}
