use conformance::response::Response;

use crate::handler::{Asked, Log};

/// What came of an input.
#[derive(Debug)]
pub struct Output {
    requests: Vec<Asked>,
    replies: Vec<Response>,
}

impl Output {
    /// Reads it all; only where it may have been cut off may an end be missing.
    pub fn of(mut bytes: &[u8], log: &Log, whole: bool) -> Output {
        let requests = log.requests();
        let mut replies: Vec<Response> = Vec::new();
        while !bytes.is_empty() {
            assert!(!replies.last().is_some_and(Response::closes), "a reply behind one with close");
            let head = requests.get(replies.len()).map(|asked| asked.method == "HEAD");
            // What was never asked for is a refusal. Whether that was a HEAD, nobody knows.
            let parsed = match (head, parse(bytes, head.unwrap_or(false))) {
                (None, None) => parse(bytes, true).filter(|(_, len)| *len == bytes.len()),
                (_, parsed) => parsed,
            };
            let Some((reply, len)) = parsed else {
                assert!(!whole, "half a reply: {}", bytes.escape_ascii());
                break;
            };
            bytes = &bytes[len..];
            if reply.status != 100 {
                replies.push(reply);
            }
        }
        assert!(replies.len() <= requests.len() + 1, "one refusal at most");
        assert!(replies.get(requests.len()).is_none_or(|refusal| refusal.status >= 400 && refusal.closes()));
        let statuses = log.served();
        assert!(replies.iter().map(|reply| reply.status).take(statuses.len()).eq(statuses.iter().copied()));
        assert!(!whole || statuses.len() == replies.len(), "each is told of");
        Output { requests, replies }
    }

    /// The same requests were understood, and the same replies given; of two faults, either may be the one refused.
    pub fn assert_same(&self, other: &Output) {
        assert_eq!(self.requests, other.requests);
        let answers = self.requests.len();
        assert_eq!(self.replies.len(), other.replies.len());
        assert_eq!(
            self.replies.iter().take(answers).collect::<Vec<_>>(),
            other.replies.iter().take(answers).collect::<Vec<_>>()
        );
    }
}

fn parse(bytes: &[u8], to_head: bool) -> Option<(Response, usize)> {
    Response::parse(bytes, to_head).unwrap_or_else(|why| panic!("{why}: {}", bytes.escape_ascii()))
}
