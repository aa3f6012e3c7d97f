use std::time::Duration;

/// What a peer does, and what the server must reply.
#[derive(Clone, Debug)]
pub struct Transcript {
    /// A sentence that says what must be so.
    pub name: &'static str,
    /// The section of the RFC that demands it, or the limit or design of our own.
    pub source: &'static str,
    /// What the peer does, in this order.
    pub steps: Vec<Step>,
    /// The responses, in this order; an interim 100 counts as one.
    pub replies: Vec<Expected>,
    /// How the server leaves the connection.
    pub end: End,
    /// Whether a `100 Continue` comes depends on how the bytes arrive.
    pub continue_is_optional: bool,
    /// The replies depend on what other connections did, so their bytes may differ from run to run.
    pub shares_state: bool,
    /// It is for hyper, whose replies are [translated](crate::hyper::translated) before they are compared.
    pub for_hyper: bool,
}

/// What the peer does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Shuts its write side, but still reads.
    HalfClose,
    /// Waits until that many responses have arrived, counted from the start.
    Await(usize),
    /// Lets time pass.
    Wait(Duration),
}

/// How the server leaves the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Open: the server answers one more request.
    Open,
    /// Closed, or at least with its write side shut.
    Closed,
}

/// What a response must be.
#[derive(Clone, Debug)]
pub struct Expected {
    /// Its status code.
    pub status: u16,
    /// Fields that it must have, with these values.
    pub with: Vec<(&'static str, String)>,
    /// Fields that it must not have.
    pub without: Vec<&'static str>,
    /// What its content must be.
    pub content: Content,
    /// Is it the response to a HEAD?
    pub to_head: bool,
}

/// What the content of a response must be.
#[derive(Clone, Debug)]
pub enum Content {
    /// Anything.
    Any,
    /// These bytes.
    Exactly(Vec<u8>),
    /// Decimal digits and a line feed.
    Number,
    /// A piece of a file of the fixture.
    File {
        /// Its name.
        name: &'static str,
        /// Where the piece starts, in bytes.
        offset: usize,
        /// How long it is, in bytes; the rest of the file if it is `None`.
        len: Option<usize>,
    },
}

/// How the bytes of a transcript are cut before they are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Not at all: each [`Step::Send`] goes out in one piece.
    Whole,
    /// Once, before that byte, counted over all steps.
    At(usize),
    /// Before every byte.
    Everywhere,
}

/// A transcript without any step yet.
pub fn on(name: &'static str, source: &'static str) -> Transcript {
    Transcript {
        name,
        source,
        steps: Vec::new(),
        replies: Vec::new(),
        end: End::Open,
        continue_is_optional: false,
        shares_state: false,
        for_hyper: false,
    }
}

/// These methods build a transcript, one step or reply after the other.
impl Transcript {
    pub(crate) fn send(mut self, bytes: impl AsRef<[u8]>) -> Transcript {
        self.steps.push(Step::Send(bytes.as_ref().to_vec()));
        self
    }

    pub(crate) fn half_close(mut self) -> Transcript {
        self.steps.push(Step::HalfClose);
        self.closes()
    }

    pub(crate) fn wait(mut self, time: Duration) -> Transcript {
        self.steps.push(Step::Wait(time));
        self
    }

    /// The peer waits for the replies so far before its next step.
    pub(crate) fn await_replies(mut self) -> Transcript {
        self.steps.push(Step::Await(self.replies.len()));
        self
    }

    pub(crate) fn reply(mut self, status: u16) -> Transcript {
        let (with, without) = (Vec::new(), Vec::new());
        self.replies.push(Expected { status, with, without, content: Content::Any, to_head: false });
        self
    }

    /// `200`, with this text.
    pub(crate) fn ok(self, text: &str) -> Transcript {
        self.reply(200).body(text)
    }

    /// The reply to `/`: `200`, `Hello World`.
    pub(crate) fn hello(self) -> Transcript {
        self.ok("Hello World\n").with("Content-Type", "text/plain")
    }

    /// A refusal that ends the connection.
    pub(crate) fn refused(self, status: u16) -> Transcript {
        self.reply(status).with("Connection", "close").closes()
    }

    pub(crate) fn closes(mut self) -> Transcript {
        self.end = End::Closed;
        self
    }

    pub(crate) fn with(self, name: &'static str, value: impl Into<String>) -> Transcript {
        self.last(|reply| reply.with.push((name, value.into())))
    }

    pub(crate) fn without(self, name: &'static str) -> Transcript {
        self.last(|reply| reply.without.push(name))
    }

    pub(crate) fn body(self, bytes: impl AsRef<[u8]>) -> Transcript {
        self.last(|reply| reply.content = Content::Exactly(bytes.as_ref().to_vec()))
    }

    pub(crate) fn number(self) -> Transcript {
        self.last(|reply| reply.content = Content::Number).state()
    }

    pub(crate) fn file(self, name: &'static str) -> Transcript {
        self.last(|reply| reply.content = Content::File { name, offset: 0, len: None })
    }

    pub(crate) fn piece(self, name: &'static str, offset: usize, len: usize) -> Transcript {
        self.last(|reply| reply.content = Content::File { name, offset, len: Some(len) })
    }

    pub(crate) fn for_head(self) -> Transcript {
        self.last(|reply| reply.to_head = true)
    }

    pub(crate) fn maybe_continue(mut self) -> Transcript {
        self.continue_is_optional = true;
        self
    }

    pub(crate) fn state(mut self) -> Transcript {
        self.shares_state = true;
        self
    }

    fn last(mut self, change: impl FnOnce(&mut Expected)) -> Transcript {
        change(self.replies.last_mut().expect("a reply comes first"));
        self
    }
}

/// These methods look at a complete transcript.
impl Transcript {
    /// How many bytes the peer sends.
    pub fn len(&self) -> usize {
        self.steps.iter().map(|step| if let Step::Send(bytes) = step { bytes.len() } else { 0 }).sum()
    }

    /// Does the peer send nothing?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Does the peer let time pass?
    pub fn takes_time(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Wait(_)))
    }

    /// Is it short enough to be run once for each of its bytes? Then its replies are short, too.
    pub fn is_short(&self) -> bool {
        let large = |reply: &Expected| matches!(reply.content, Content::File { name: "64k" | "1m" | "10m", .. });
        self.len() <= 600 && !self.replies.iter().any(large)
    }

    /// Does the peer half-close?
    pub fn half_closes(&self) -> bool {
        self.steps.contains(&Step::HalfClose)
    }

    /// The steps, with the bytes cut.
    pub fn cut(&self, cut: Cut) -> Vec<Step> {
        let mut at = 0;
        let mut steps = Vec::new();
        for step in &self.steps {
            let Step::Send(bytes) = step else {
                steps.push(step.clone());
                continue;
            };
            match cut {
                Cut::At(place) if (at + 1..at + bytes.len()).contains(&place) => {
                    let (front, back) = bytes.split_at(place - at);
                    steps.extend([front, back].map(|piece| Step::Send(piece.to_vec())));
                }
                Cut::Everywhere => steps.extend(bytes.iter().map(|&byte| Step::Send(vec![byte]))),
                Cut::Whole | Cut::At(_) => steps.push(step.clone()),
            }
            at += bytes.len();
        }
        steps
    }

    /// Every [`Cut::At`] that cuts something.
    pub fn cuts(&self) -> impl Iterator<Item = Cut> + use<> {
        let mut at = 0;
        let mut places = Vec::new();
        for step in &self.steps {
            if let Step::Send(bytes) = step {
                places.extend(at + 1..at + bytes.len());
                at += bytes.len();
            }
        }
        places.into_iter().map(Cut::At)
    }
}
