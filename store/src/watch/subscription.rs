//! What a stream keeps of its watches: cursors, gathered by the group they read.

use std::sync::Arc;

use super::WatchSpec;
use super::group::Group;

/// One watch.
pub(super) struct Watcher {
    pub(super) id: i64,
    /// Tells it from an earlier watch in the same slot.
    pub(super) serial: u32,
    pub(super) subscription: u32,
    /// Its place among the watchers of the subscription.
    pub(super) position: u32,
    /// First revision it has not seen. While `drained`, it has also seen everything before the subscription's next mark.
    pub(super) next: i64,
    /// The start revision it asked for.
    pub(super) start: i64,
    pub(super) drained: bool,
    /// Whether it reads history; the log of its group does not reach back to `next`.
    pub(super) lagging: bool,
    /// Whether it has not caught up since it was made or began to lag.
    pub(super) behind: bool,
    pub(super) fragment: bool,
    pub(super) progress_notify: bool,
    /// Whether it had no event since the last progress tick.
    pub(super) idle: bool,
    /// Whether it is in the list of those that a tick found idle.
    pub(super) progress_due: bool,
}

impl Watcher {
    pub(super) fn new(spec: &WatchSpec, id: i64, serial: u32) -> Watcher {
        Watcher {
            id,
            serial,
            subscription: 0,
            position: 0,
            next: 0,
            start: spec.start_revision,
            drained: true,
            lagging: false,
            behind: false,
            fragment: spec.fragment,
            progress_notify: spec.progress_notify,
            idle: true,
            progress_due: false,
        }
    }
}

/// Asks for a pass for the sake of a watcher that is not drained: it says nothing about the others.
pub(super) const NO_NEWS: i64 = i64::MAX;

/// A watch, unless it was cancelled meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WatcherRef {
    pub(super) slot: u32,
    pub(super) serial: u32,
}

/// The watchers of one stream in one group. They are visited one after the other in a pass; a mark that comes during a
/// pass starts another one.
pub(super) struct Subscription {
    pub(super) group: Arc<Group>,
    /// The stream's number among the members of the group.
    pub(super) member: u32,
    /// Slots of the watchers.
    pub(super) watchers: Vec<u32>,
    /// The next to visit in this pass.
    pub(super) position: usize,
    /// Drained watchers have seen everything before this revision.
    pub(super) pass_from: i64,
    /// Whether this pass is for the sake of watchers that are not drained alone: it began without news.
    is_newsless: bool,
    /// `pass_from` of the next pass, if there is to be one.
    pub(super) again: Option<i64>,
    /// Whether a turn for it is queued.
    pub(super) active: bool,
}

impl Subscription {
    pub(super) fn new(group: Arc<Group>, member: u32) -> Subscription {
        Subscription {
            group,
            member,
            watchers: Vec::new(),
            position: 0,
            pass_from: 0,
            is_newsless: false,
            again: None,
            active: false,
        }
    }

    /// Asks for a pass in which drained watchers are known to have seen everything before `revision`.
    ///
    /// The first news that comes during a pass without any is known to the rest of that pass too. What it visits with the
    /// mark of an earlier pass could seem to have missed what it had no interest in.
    pub(super) fn ask_for_pass(&mut self, revision: i64) {
        if revision != NO_NEWS && std::mem::take(&mut self.is_newsless) {
            self.pass_from = revision;
        }
        self.again = Some(self.again.map_or(revision, |again| again.min(revision)));
    }

    /// Begins the pass that was asked for, if the last one is over.
    pub(super) fn begin_pass(&mut self) {
        if self.position >= self.watchers.len()
            && let Some(revision) = self.again.take()
        {
            self.position = 0;
            self.is_newsless = revision == NO_NEWS;
            if !self.is_newsless {
                self.pass_from = revision;
            }
        }
    }

    pub(super) fn has_more(&self) -> bool {
        self.position < self.watchers.len() || self.again.is_some()
    }

    /// Takes out the watcher at `position`; returns the slot of the one that moved there.
    pub(super) fn remove(&mut self, position: u32) -> Option<u32> {
        let position = position as usize;
        self.watchers.swap_remove(position);
        let moved = self.watchers.get(position).copied();
        // After a pass everybody was visited; to ask again for what that one was about would make news old.
        let is_under_way = self.position <= self.watchers.len();
        if moved.is_some() && position < self.position && is_under_way {
            // The one that moved may not have been visited in this pass, which is as little news to the others as this one.
            self.ask_for_pass(match self.is_newsless {
                true => NO_NEWS,
                false => self.pass_from,
            });
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use state_machine::KeyRange;

    use super::super::group::Interest;
    use super::*;

    /// Two watchers, visited in a pass that was about revision 51.
    fn after_a_pass() -> Subscription {
        let interest = Interest {
            keys: KeyRange::default(),
            no_put: false,
            no_delete: false,
            prev_kv: false,
        };
        let mut subscription = Subscription::new(Arc::new(Group::new(0, interest, 0)), 0);
        subscription.watchers = vec![0, 1];
        subscription.ask_for_pass(51);
        subscription.position = 2;
        subscription.begin_pass();
        assert_eq!(subscription.pass_from, 51);
        subscription.position = 2;
        subscription
    }

    #[test]
    fn news_during_a_pass_without_any_is_known_to_its_rest() {
        let mut subscription = after_a_pass();
        subscription.ask_for_pass(NO_NEWS);
        subscription.begin_pass();
        subscription.position = 1;
        subscription.ask_for_pass(100);
        assert_eq!(subscription.pass_from, 100);
        subscription.ask_for_pass(120);
        assert_eq!(subscription.pass_from, 100, "the first news is the oldest");
    }

    #[test]
    fn a_watcher_that_ends_after_a_pass_makes_no_news_old() {
        let mut subscription = after_a_pass();
        subscription.ask_for_pass(100);
        assert_eq!(subscription.remove(0), Some(1));
        subscription.begin_pass();
        assert_eq!(subscription.pass_from, 100);
    }

    #[test]
    fn a_watcher_that_moves_during_a_pass_is_visited_in_another_one() {
        let mut subscription = after_a_pass();
        subscription.ask_for_pass(100);
        subscription.begin_pass();
        subscription.position = 1;
        assert_eq!(subscription.remove(0), Some(1));
        assert_eq!(subscription.again, Some(100));
    }
}
