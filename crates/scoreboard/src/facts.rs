use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, fence};
use std::sync::{Mutex, PoisonError};

const FACTS: usize = 8;
const NAME: usize = 32;
const VALUE: usize = 128;

/// How often one that is being replaced is read again. Its writer may have died half-way; then it is left out.
const TRIES: usize = 1000;

/// One writes at a time; in each process, that is. (A lock in shared memory would stay with whoever dies holding it.)
static WRITING: Mutex<()> = Mutex::new(());

/// Small texts in shared memory. All bytes zero: none.
#[repr(C)]
pub(crate) struct Facts([Fact; FACTS]);

/// A sequence lock: odd while it is being written, and another number after that.
#[repr(C)]
struct Fact {
    version: AtomicU64,
    name: Text<NAME>,
    value: Text<VALUE>,
}

#[repr(C)]
struct Text<const MOST: usize> {
    len: AtomicUsize,
    bytes: [AtomicU8; MOST],
}

impl Facts {
    pub(crate) fn state(&self, name: &str, value: &str) {
        let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
        let (name, value) = (cut(name, NAME), cut(value, VALUE));
        let is_it = |fact: &&Fact| fact.name.get() == name.as_bytes();
        let is_free = |fact: &&Fact| fact.name.len.load(Relaxed) == 0;
        let Some(fact) = self.0.iter().find(is_it).or_else(|| self.0.iter().find(is_free)) else { return };
        let version = fact.version.load(Relaxed) | 1; // odd already, if a writer has died
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
        for _ in 0..TRIES {
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

impl<const MOST: usize> Text<MOST> {
    fn set(&self, text: &str) {
        for (to, from) in self.bytes.iter().zip(text.bytes()) {
            to.store(from, Relaxed);
        }
        self.len.store(text.len(), Relaxed);
    }

    fn get(&self) -> Vec<u8> {
        let len = self.len.load(Relaxed).min(MOST);
        self.bytes[..len].iter().map(|byte| byte.load(Relaxed)).collect()
    }
}

fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts(std::array::from_fn(|_| Fact { version: AtomicU64::new(0), name: text(), value: text() }))
    }

    fn text<const MOST: usize>() -> Text<MOST> {
        Text { len: AtomicUsize::new(0), bytes: [const { AtomicU8::new(0) }; MOST] }
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn what_is_too_long_is_cut_and_a_ninth_is_not_taken() {
        let facts = facts();
        facts.state(&"n".repeat(40), &"é".repeat(100));
        assert_eq!(facts.all(), [pair(&"n".repeat(NAME), &"é".repeat(VALUE / 2))]);
        (1..FACTS).for_each(|n| facts.state(&n.to_string(), "a value"));
        facts.state("one too many", "");
        assert_eq!(facts.all().len(), FACTS);
        facts.state("7", "");
        assert_eq!(facts.all()[7], pair("7", ""));
    }

    #[test]
    fn whoever_reads_never_sees_half_of_one() {
        const ROUNDS: usize = 20_000;
        let facts = facts();
        let values = ["a".repeat(VALUE), "b".repeat(VALUE / 2), "c".to_owned()];
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
    fn one_whose_writer_died_half_way_is_left_out_until_it_is_stated_again() {
        let facts = facts();
        facts.state("fact", "old");
        facts.0[0].version.fetch_add(1, Relaxed);
        assert_eq!(facts.all(), []);
        facts.state("fact", "new");
        assert_eq!(facts.all(), [pair("fact", "new")]);
    }
}
