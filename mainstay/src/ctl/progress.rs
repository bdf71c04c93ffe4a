//! How far a long command is, on standard error.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use super::go;

/// Pause between two words on how far it is.
const TERMINAL_INTERVAL: Duration = Duration::from_millis(200);
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);
/// Back to the line's start, and wipe it.
const WIPE: &str = "\r\x1b[2K";

/// So much of so much.
pub(super) fn bytes(what: &str, done_bytes: u64, total_bytes: u64) -> String {
    format!(
        "{what} {} of {}",
        go::bytes(done_bytes),
        go::bytes(total_bytes)
    )
}

/// How far it is, in one line on standard error; without a terminal, a plain line now and then.
pub(super) struct Line {
    terminal: bool,
    shown: bool,
    at: Instant,
}

impl Line {
    pub(super) fn new() -> Line {
        Line {
            terminal: stderr().is_terminal(),
            shown: false,
            at: Instant::now(),
        }
    }

    pub(super) fn say(&mut self, text: impl FnOnce() -> String) {
        let interval = if self.terminal {
            TERMINAL_INTERVAL
        } else {
            PLAIN_INTERVAL
        };
        if self.at.elapsed() < interval {
            return;
        }
        self.at = Instant::now();
        if self.terminal {
            self.shown = true;
            eprint!("{WIPE}{}", text());
        } else {
            eprintln!("{}", text());
        }
    }

    pub(super) fn end(&mut self) {
        if self.shown {
            eprint!("{WIPE}");
        }
    }
}
