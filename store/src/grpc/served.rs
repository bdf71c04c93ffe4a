//! What a request was about and how long each part of its way took: told in the log when it took long.

use std::fmt::Write;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use tonic::Status;

use crate::config::SlowRequests;
use crate::metrics::Operation;

/// Lines about slow requests in a second; how many more there were, the next line says.
const LINES_PER_SECOND_MAX: u32 = 10;
/// Bytes of a key that are logged.
const KEY_BYTES_LOGGED_MAX: usize = 256;

/// The parts of a request's way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    began: Instant,
    last: Instant,
    barrier: Duration,
    /// For a place among the large ranges.
    queue: Duration,
    /// A read here; of a write everything from its proposal until it was applied here.
    apply: Duration,
}

impl Times {
    pub(super) fn begin() -> Times {
        let began = Instant::now();
        Times {
            began,
            last: began,
            barrier: Duration::ZERO,
            queue: Duration::ZERO,
            apply: Duration::ZERO,
        }
    }

    fn lap(&mut self) -> Duration {
        let now = Instant::now();
        now - std::mem::replace(&mut self.last, now)
    }

    pub(super) fn barrier_passed(&mut self) {
        self.barrier = self.lap();
    }

    pub(super) fn admitted(&mut self) {
        self.queue = self.lap();
    }

    pub(super) fn applied(&mut self) {
        self.apply = self.lap();
    }
}

/// What a request was about. Values are no part of it.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    pub(super) method: &'static str,
    pub(super) operation: Operation,
    /// The first key of a transaction.
    pub(super) key: Bytes,
    pub(super) range_end: Bytes,
    pub(super) request_bytes: usize,
    /// Of a put.
    pub(super) value_bytes: usize,
    /// Of a transaction.
    pub(super) operations: usize,
    pub(super) limit: i64,
    pub(super) is_read: bool,
}

impl Subject {
    /// With nothing but its names.
    pub(super) fn of(method: &'static str, operation: Operation) -> Subject {
        Subject {
            method,
            operation,
            key: Bytes::new(),
            range_end: Bytes::new(),
            request_bytes: 0,
            value_bytes: 0,
            operations: 0,
            limit: 0,
            is_read: false,
        }
    }

    /// As etcd prints a request, without values; of a transaction its first key and how large it is.
    fn text(&self) -> String {
        let mut text = format!("key:\"{}\" ", logged(&self.key));
        if !self.range_end.is_empty() {
            _ = write!(text, "range_end:\"{}\" ", logged(&self.range_end));
        }
        for (name, number) in [
            ("limit", self.limit),
            ("value_size", self.value_bytes as i64),
            ("operations", self.operations as i64),
        ] {
            if number != 0 {
                _ = write!(text, "{name}:{number} ");
            }
        }
        text
    }

    /// What etcd puts in front of its name for a request.
    fn prefix(&self) -> &'static str {
        match (self.is_read, self.method) {
            (true, "Txn") => "read-only txn ",
            (true, _) => "read-only range ",
            (false, _) => "",
        }
    }
}

fn logged(key: &[u8]) -> impl std::fmt::Display {
    key[..key.len().min(KEY_BYTES_LOGGED_MAX)].escape_ascii()
}

/// What came of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answered<'a> {
    pub(super) keys: usize,
    pub(super) bytes: usize,
    pub(super) refusal: Option<&'a Status>,
}

impl<'a> Answered<'a> {
    /// `size` gives keys and bytes of an answer.
    pub(super) fn of<T>(
        answer: &'a Result<T, Status>,
        size: impl FnOnce(&T) -> (usize, usize),
    ) -> Answered<'a> {
        let (keys, bytes) = answer.as_ref().map_or((0, 0), size);
        Answered {
            keys,
            bytes,
            refusal: answer.as_ref().err(),
        }
    }
}

/// Tells of requests that took long.
#[derive(Debug)]
pub(super) struct SlowLog {
    limits: SlowRequests,
    lines: Mutex<Lines>,
}

#[derive(Debug)]
struct Lines {
    second_began: Instant,
    written: u32,
    left_out: u64,
}

impl Lines {
    /// How many lines were left out before this one, or none when this one is left out too.
    fn take(&mut self, now: Instant) -> Option<u64> {
        if now.duration_since(self.second_began) >= Duration::from_secs(1) {
            self.second_began = now;
            self.written = 0;
        }
        if self.written == LINES_PER_SECOND_MAX {
            self.left_out += 1;
            return None;
        }
        self.written += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

impl SlowLog {
    pub(super) fn new(limits: SlowRequests) -> SlowLog {
        SlowLog {
            limits,
            lines: Mutex::new(Lines {
                second_began: Instant::now(),
                written: 0,
                left_out: 0,
            }),
        }
    }

    /// Writes a line if the request took long.
    pub(super) fn look(&self, times: &Times, subject: &Subject, answered: Answered<'_>) {
        let now = Instant::now();
        let took = now - times.began;
        let is_slow_apply = times.apply > self.limits.apply;
        if !is_slow_apply && took <= self.limits.unary_request {
            return;
        }
        let Some(left_out) = self.lines.lock().take(now) else {
            return;
        };
        let line = Line {
            times,
            subject,
            answered,
            left_out,
        };
        if is_slow_apply {
            line.apply(self.limits.apply);
        } else {
            line.request(took, self.limits.unary_request);
        }
    }
}

/// What both kinds of line are made of.
struct Line<'a> {
    times: &'a Times,
    subject: &'a Subject,
    answered: Answered<'a>,
    left_out: u64,
}

impl Line<'_> {
    fn response(&self) -> String {
        let Answered { keys, bytes, .. } = self.answered;
        if self.subject.is_read {
            format!("range_response_count:{keys} size:{bytes}")
        } else {
            format!("size:{bytes}")
        }
    }

    fn error(&self) -> Option<&str> {
        self.answered.refusal.map(Status::message)
    }

    /// Under etcd's text and names for a slow apply, and the parts of the way beside them.
    fn apply(&self, expected: Duration) {
        tracing::warn!(
            took = ?self.times.apply,
            "expected-duration" = ?expected,
            prefix = self.subject.prefix(),
            request = self.subject.text(),
            response = self.response(),
            error = self.error(),
            method = self.subject.method,
            "request-size" = self.subject.request_bytes,
            barrier = ?self.times.barrier,
            queue = ?self.times.queue,
            encode = ?self.times.last.elapsed(),
            total = ?self.times.began.elapsed(),
            "left-out" = self.left_out,
            "apply request took too long"
        );
    }

    /// The same for a request that was slow as a whole.
    fn request(&self, took: Duration, expected: Duration) {
        tracing::warn!(
            "time spent" = ?took,
            "expected-duration" = ?expected,
            "response type" = self.subject.method,
            "request size" = self.subject.request_bytes,
            "response count" = self.answered.keys,
            "response size" = self.answered.bytes,
            "request content" = self.subject.text(),
            error = self.error(),
            barrier = ?self.times.barrier,
            queue = ?self.times.queue,
            apply = ?self.times.apply,
            encode = ?self.times.last.elapsed(),
            "left-out" = self.left_out,
            "request stats"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_so_many_lines_and_the_next_one_says_how_many_more_there_were() {
        let start = Instant::now();
        let mut lines = Lines {
            second_began: start,
            written: 0,
            left_out: 0,
        };
        for _ in 0..LINES_PER_SECOND_MAX {
            assert_eq!(lines.take(start), Some(0));
        }
        for _ in 0..3 {
            assert_eq!(lines.take(start + Duration::from_millis(999)), None);
        }
        assert_eq!(lines.take(start + Duration::from_secs(1)), Some(3));
        assert_eq!(lines.take(start + Duration::from_secs(1)), Some(0));
    }

    #[test]
    fn a_request_is_printed_by_its_keys() {
        let subject = Subject {
            key: Bytes::from_static(b"/a\xff"),
            range_end: Bytes::from_static(b"/b"),
            limit: 7,
            is_read: true,
            ..Subject::of("Range", Operation::Range)
        };
        assert_eq!(subject.text(), "key:\"/a\\xff\" range_end:\"/b\" limit:7 ");
        assert_eq!(subject.prefix(), "read-only range ");
        let long = Subject {
            key: vec![b'k'; 10_000].into(),
            ..Subject::of("Range", Operation::Range)
        };
        assert_eq!(long.text().len(), KEY_BYTES_LOGGED_MAX + "key:\"\" ".len());
    }
}
