//! Lines that stay and one line that is written anew in place; without a terminal, a plain line now and then.

use std::io::{IsTerminal, Write, stdout};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Pause between plain status lines.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);
/// Back to the line's start, and wipe it.
const WIPE: &str = "\r\x1b[2K";

#[derive(Debug)]
pub(super) struct Screen {
    terminal: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The status line stands at the bottom.
    shown: bool,
    plain_at: Option<Instant>,
    last: String,
}

impl Screen {
    pub(super) fn new() -> Screen {
        Screen {
            terminal: stdout().is_terminal(),
            state: Mutex::default(),
        }
    }

    /// A line that stays.
    pub(super) fn say(&self, line: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let wipe = if state.shown { WIPE } else { "" };
        state.shown = false;
        print(&format!("{wipe}{line}\n"));
    }

    /// The line at the bottom.
    pub(super) fn status(&self, line: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if self.terminal {
            print(&format!("{WIPE}{line}"));
            state.shown = true;
            return;
        }
        let due = state
            .plain_at
            .is_none_or(|at| at.elapsed() >= PLAIN_INTERVAL);
        if due && state.last != line {
            print(&format!("{line}\n"));
            state.plain_at = Some(Instant::now());
            line.clone_into(&mut state.last);
        }
    }
}

/// Nobody reading is no reason to stop the cluster.
fn print(text: &str) {
    let mut out = stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
