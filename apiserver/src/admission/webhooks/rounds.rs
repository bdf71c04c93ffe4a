//! The two rounds in which an object may be changed: who was asked, and who is asked again because others changed it since.

use std::collections::BTreeSet;
use std::sync::Arc;

use objects::Value;

use super::hook::Hook;

/// The rounds of one request.
#[derive(Default)]
pub(in crate::admission) struct Rounds {
    /// Both rounds ask the same webhooks.
    hooks: Option<Arc<[Hook]>>,
    is_second: bool,
    /// Those that want to be asked again, and were asked since the last change.
    called: BTreeSet<usize>,
    /// Those that are asked in the second round.
    again: BTreeSet<usize>,
    has_changed: bool,
    /// What the first round left.
    output: Option<Value>,
}

impl Rounds {
    /// Begins the second round. False if none is needed: no webhook changed the object.
    pub(in crate::admission) fn begin_second(&mut self) -> bool {
        self.is_second = true;
        self.has_changed
    }

    pub(super) fn hooks(&mut self, read: impl FnOnce() -> Arc<[Hook]>) -> Arc<[Hook]> {
        self.hooks.get_or_insert_with(read).clone()
    }

    /// Sees whether others changed the object after the first round.
    pub(super) fn look_at(&mut self, object: Option<&Value>) {
        if self.is_second && self.output.as_ref() != object {
            self.again.append(&mut self.called);
        }
    }

    /// Whether a webhook is asked in this round.
    pub(super) fn asks(&self, at: usize) -> bool {
        !self.is_second || self.again.contains(&at)
    }

    /// Notes that a webhook was asked.
    pub(super) fn asked(&mut self, at: usize, is_reinvoked: bool, changed: bool) {
        if changed {
            self.again.append(&mut self.called);
            self.has_changed = true;
        }
        if is_reinvoked {
            self.called.insert(at);
        }
    }

    pub(super) fn end(&mut self, object: Option<&Value>) {
        self.output = object.cloned();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Rounds;

    #[test]
    fn who_wants_it_is_asked_again_after_a_later_change_and_nobody_else() {
        let mut rounds = Rounds::default();
        let object = json!({});
        rounds.asked(0, true, true);
        rounds.asked(1, false, false);
        rounds.asked(2, true, true);
        rounds.end(Some(&object));
        assert!(rounds.begin_second());
        rounds.look_at(Some(&object));
        assert_eq!([0, 1, 2].map(|at| rounds.asks(at)), [true, false, false]);
        // Plugins changed it meanwhile.
        rounds.look_at(Some(&json!(1)));
        assert_eq!([0, 1, 2].map(|at| rounds.asks(at)), [true, false, true]);
        assert!(!Rounds::default().begin_second());
    }
}
