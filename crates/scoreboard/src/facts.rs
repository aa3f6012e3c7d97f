//! Facts that a model states about itself: names and values as short texts in shared memory.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, fence};
use std::sync::{Mutex, PoisonError};

const MAX_FACTS: usize = 8;
const MAX_NAME_BYTES: usize = 32;
const MAX_VALUE_BYTES: usize = 128;

/// How often a reader tries to read a fact that is being written. If its writer died while writing, the fact stays
/// unreadable, and the reader leaves it out.
const MAX_READ_ATTEMPTS: usize = 1000;

/// Serialises the writers of this process. (A lock in shared memory would stay locked if a process died holding it.)
static WRITERS: Mutex<()> = Mutex::new(());

/// The facts in shared memory. When all its bytes are zero, there is none.
#[repr(C)]
pub(crate) struct Facts([Fact; MAX_FACTS]);

/// One fact, protected by a sequence lock: `version` is odd while a writer changes the fact, and increases with each
/// change.
#[repr(C)]
struct Fact {
    version: AtomicU64,
    name: Text<MAX_NAME_BYTES>,
    value: Text<MAX_VALUE_BYTES>,
}

#[repr(C)]
struct Text<const CAPACITY: usize> {
    len: AtomicUsize,
    bytes: [AtomicU8; CAPACITY],
}

impl Facts {
    pub(crate) fn state(&self, name: &str, value: &str) {
        let _lock = WRITERS.lock().unwrap_or_else(PoisonError::into_inner);
        let (name, value) = (truncated(name, MAX_NAME_BYTES), truncated(value, MAX_VALUE_BYTES));
        let has_name = |fact: &&Fact| fact.name.get() == name.as_bytes();
        let is_free = |fact: &&Fact| fact.name.len.load(Relaxed) == 0;
        let Some(fact) = self.0.iter().find(has_name).or_else(|| self.0.iter().find(is_free)) else { return };
        let version = fact.version.load(Relaxed) | 1; // already odd if an earlier writer died while writing
        fact.version.store(version, Relaxed);
        fence(Release);
        fact.name.set(name);
        fact.value.set(value);
        fact.version.store(version + 1, Release);
    }

    pub(crate) fn all(&self) -> Vec<(String, String)> {
        self.0.iter().filter_map(Fact::read).filter(|(name, _)| !name.is_empty()).collect()
    }
}

impl Fact {
    fn read(&self) -> Option<(String, String)> {
        for _ in 0..MAX_READ_ATTEMPTS {
            let version = self.version.load(Acquire);
            let (name, value) = (self.name.get(), self.value.get());
            fence(Acquire);
            if version.is_multiple_of(2) && self.version.load(Relaxed) == version {
                let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
                return Some((text(name), text(value)));
            }
            std::hint::spin_loop();
        }
        None
    }
}

impl<const CAPACITY: usize> Text<CAPACITY> {
    fn set(&self, text: &str) {
        for (to, from) in self.bytes.iter().zip(text.bytes()) {
            to.store(from, Relaxed);
        }
        self.len.store(text.len(), Relaxed);
    }

    fn get(&self) -> Vec<u8> {
        let len = self.len.load(Relaxed).min(CAPACITY);
        self.bytes[..len].iter().map(|byte| byte.load(Relaxed)).collect()
    }
}

/// The beginning of `text`, at most `max_bytes` long, cut at a character boundary.
fn truncated(text: &str, max_bytes: usize) -> &str {
    &text[..text.floor_char_boundary(max_bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts(std::array::from_fn(|_| Fact { version: AtomicU64::new(0), name: text(), value: text() }))
    }

    fn text<const CAPACITY: usize>() -> Text<CAPACITY> {
        Text { len: AtomicUsize::new(0), bytes: [const { AtomicU8::new(0) }; CAPACITY] }
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn long_texts_are_truncated_and_a_ninth_fact_is_ignored() {
        let facts = facts();
        facts.state(&"n".repeat(40), &"é".repeat(100));
        assert_eq!(facts.all(), [pair(&"n".repeat(MAX_NAME_BYTES), &"é".repeat(MAX_VALUE_BYTES / 2))]);
        (1..MAX_FACTS).for_each(|n| facts.state(&n.to_string(), "a value"));
        facts.state("one too many", "");
        assert_eq!(facts.all().len(), MAX_FACTS);
        facts.state("7", "");
        assert_eq!(facts.all()[7], pair("7", ""));
    }

    #[test]
    fn a_reader_never_sees_a_half_written_fact() {
        const ROUNDS: usize = 20_000;
        let facts = facts();
        let values = ["a".repeat(MAX_VALUE_BYTES), "b".repeat(MAX_VALUE_BYTES / 2), "c".to_owned()];
        std::thread::scope(|scope| {
            let writers: Vec<_> = values
                .iter()
                .map(|value| scope.spawn(|| (0..ROUNDS).for_each(|_| facts.state("fact", value))))
                .collect();
            while !writers.iter().all(|writer| writer.is_finished()) {
                for (name, value) in facts.all() {
                    assert!(name == "fact" && values.contains(&value), "{name}: {value}");
                }
            }
        });
        assert_eq!(facts.all().len(), 1);
    }

    #[test]
    fn a_fact_whose_writer_died_while_writing_is_left_out_until_it_is_stated_again() {
        let facts = facts();
        facts.state("fact", "old");
        facts.0[0].version.fetch_add(1, Relaxed);
        assert_eq!(facts.all(), []);
        facts.state("fact", "new");
        assert_eq!(facts.all(), [pair("fact", "new")]);
    }
}
