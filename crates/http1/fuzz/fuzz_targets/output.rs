use conformance::response::Response;

use crate::handler::{Log, LoggedRequest};

/// The requests and the replies that an input led to.
#[derive(Debug)]
pub struct Output {
    requests: Vec<LoggedRequest>,
    replies: Vec<Response>,
}

impl Output {
    /// Parses the replies and checks them against the log. Only if not `whole` may the last reply be incomplete.
    pub fn of(mut bytes: &[u8], log: &Log, whole: bool) -> Output {
        let requests = log.requests();
        let mut replies: Vec<Response> = Vec::new();
        while !bytes.is_empty() {
            assert!(!replies.last().is_some_and(Response::closes), "a reply behind one with close");
            let head = requests.get(replies.len()).map(|request| request.method == "HEAD");
            // A reply without a logged request is a refusal, and its request may have been a HEAD or not.
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
        assert!(!whole || statuses.len() == replies.len(), "the handler is called for each reply");
        Output { requests, replies }
    }

    /// Both have the same requests and the same replies to them. The refusals may differ: an input with two faults may
    /// be refused for either.
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
