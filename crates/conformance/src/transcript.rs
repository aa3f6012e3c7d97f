use std::time::Duration;

/// What is sent to a server, and what must come of it.
#[derive(Clone, Debug)]
pub struct Transcript {
    /// A sentence.
    pub name: &'static str,
    /// The section that asks for it, or the limit of our own.
    pub source: &'static str,
    /// What the peer does, in this order.
    pub steps: Vec<Step>,
    /// The responses, in this order; 100 is one of them.
    pub replies: Vec<Expected>,
    /// How the connection is left.
    pub end: End,
    /// A `100 Continue` may come or not: that depends on how the bytes arrive.
    pub continue_is_optional: bool,
    /// The replies tell of what other connections did, so they need not be the same bytes each time.
    pub shares_state: bool,
    /// It is for hyper, whose ways of saying the same are [translated](crate::hyper::translated) first.
    pub for_hyper: bool,
}

/// What the peer does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Sends no more, but still reads.
    HalfClose,
    /// Waits until that many responses are here, counted from the start.
    Await(usize),
    /// Lets time pass.
    Wait(Duration),
}

/// How the server leaves the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Open: one more request is answered.
    Open,
    /// Closed, at least for writing.
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
    /// Does it answer a HEAD?
    pub to_head: bool,
}

/// What the content of a response must be.
#[derive(Clone, Debug)]
pub enum Content {
    /// Whatever it is.
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
    /// Once, in front of that byte, counted over all steps.
    At(usize),
    /// In front of every byte.
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

/// A transcript in the making.
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

    /// Waits for the replies so far before it goes on.
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

    /// `200 Hello World`, which `/` says.
    pub(crate) fn hello(self) -> Transcript {
        self.ok("Hello World\n").with("Content-Type", "text/plain")
    }

    /// An error that ends the connection.
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

/// A transcript that is done.
impl Transcript {
    /// How many bytes the peer sends.
    pub fn len(&self) -> usize {
        self.steps.iter().map(|step| if let Step::Send(bytes) = step { bytes.len() } else { 0 }).sum()
    }

    /// Does the peer send nothing?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Does it need time to pass?
    pub fn takes_time(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Wait(_)))
    }

    /// May it be run once for each of its bytes? It is short then, and so are the replies.
    pub fn is_short(&self) -> bool {
        let large = |reply: &Expected| matches!(reply.content, Content::File { name: "64k" | "1m" | "10m", .. });
        self.len() <= 600 && !self.replies.iter().any(large)
    }

    /// Does the peer half-close?
    pub fn half_closes(&self) -> bool {
        self.steps.contains(&Step::HalfClose)
    }

    /// The steps with the bytes cut.
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
