//! What a client asks and how its answer is judged; the loop in `run` does the rest.

use std::time::Instant;

pub mod keep_alive;
pub mod put;
pub mod range;
pub mod txn;

/// How the calls of a workload travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// One call per operation.
    Unary,
    /// One call per client, kept open; each message on it is an operation.
    Streaming,
}

/// Requests of one kind. A slot is one client: it has one operation in flight.
pub trait Workload {
    fn path(&self) -> &'static str;

    fn style(&self) -> Style {
        Style::Unary
    }

    /// Appends the next request of `slot`, which was due at `due`.
    fn build(&mut self, slot: usize, due: Instant, out: &mut Vec<u8>);

    /// Judges the answer to the slot's last request; the text says what is wrong with it.
    fn answer(&mut self, slot: usize, message: &[u8]) -> Result<(), String>;

    /// Operations that were answered correctly and had no effect because another write came first.
    fn conflicts(&self) -> u64 {
        0
    }

    /// A message on a stream the workload opened itself, known by its tag.
    fn streamed(&mut self, tag: u64, _message: &[u8]) -> Result<(), String> {
        Err(format!("a message nobody asked for, on stream {tag}"))
    }

    /// The measured time begins (true) or ends (false).
    fn measuring(&mut self, _now: bool) {}

    /// False while answers on the workload's own streams are still to come.
    fn settled(&self) -> bool {
        true
    }
}

/// Names keys by number: a prefix and ten digits, so that they sort by number.
#[derive(Clone, Debug)]
pub struct Keys {
    prefix: String,
}

const DIGITS: usize = 10;

impl Keys {
    pub fn new(prefix: &str) -> Keys {
        Keys {
            prefix: prefix.to_owned(),
        }
    }

    /// Writes the name of key `number` over what `out` held.
    pub fn name(&self, mut number: u64, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(self.prefix.as_bytes());
        let start = out.len();
        out.resize(start + DIGITS, b'0');
        for digit in out[start..].iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
        }
    }

    /// The number of a key named so; `None` for other keys.
    pub fn number(&self, key: &[u8]) -> Option<u64> {
        let digits = key.strip_prefix(self.prefix.as_bytes())?;
        std::str::from_utf8(digits).ok()?.parse().ok()
    }
}

/// In which order a workload takes its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Order {
    Random,
    Sequential,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_as_numbers_do() {
        let keys = Keys::new("k/");
        let name = |number| {
            let mut out = Vec::new();
            keys.name(number, &mut out);
            out
        };
        assert_eq!(name(1234), b"k/0000001234");
        assert!(name(999) < name(1000));
        assert_eq!(keys.number(&name(1234)), Some(1234));
        assert_eq!(keys.number(b"l/0000001234"), None);
    }
}
