//! Keeps a member that joined again without its old data from undoing what it once acknowledged.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use openraft::raft::AppendEntriesRequest;
use parking_lot::Mutex;

use super::codec;
use super::types::{LogId, TypeConfig};

/// Rest between two rounds of asking the others who leads.
const ASK_INTERVAL: Duration = Duration::from_millis(200);

/// What a member that joined again may do. Its earlier votes and acknowledgements are forgotten, so
///
/// - it follows nobody until another member has led a quorum without its help, and then only leaders of that term or a
///   later one: a leader of an earlier term could otherwise commit over what was acknowledged;
/// - it votes only once its synced log holds all that such a leader had committed.
#[derive(Debug)]
pub(crate) struct RejoinGuard {
    waiting: AtomicBool,
    /// Term of a leader that a quorum of the others has confirmed; 0 while none is known.
    floor_term: AtomicU64,
    /// The newest entry committed in the term of a leader that is followed.
    committed: Mutex<Option<LogId>>,
    mark: PathBuf,
}

impl RejoinGuard {
    /// The guard holds while the file `mark` exists. The term that was learned stands in it: it stays true, for what was
    /// promised since is on this member's disk.
    pub(crate) fn new(mark: PathBuf) -> Self {
        let text = std::fs::read_to_string(&mark).unwrap_or_default();
        RejoinGuard {
            waiting: AtomicBool::new(mark.exists()),
            floor_term: AtomicU64::new(text.trim().parse().unwrap_or(0)),
            committed: Mutex::default(),
            mark,
        }
    }

    pub(crate) fn may_vote(&self) -> bool {
        !self.waiting.load(Ordering::Acquire)
    }

    /// Whether a leader of this term may be followed.
    pub(super) fn admits(&self, term: u64) -> bool {
        if self.may_vote() {
            return true;
        }
        let floor_term = self.floor_term.load(Ordering::Acquire);
        floor_term != 0 && term >= floor_term
    }

    /// Told of a leader's message before it is looked at. False when it has to be refused.
    pub(super) fn admit(&self, request: &AppendEntriesRequest<TypeConfig>) -> bool {
        if self.may_vote() {
            return true;
        }
        let term = request.vote.leader_id.term;
        // What an earlier term has committed says nothing about what the leader's own term had.
        let current = request
            .leader_commit
            .filter(|commit| codec::term_of(commit) == term);
        let admitted = self.admits(term);
        if admitted && let Some(commit) = current {
            let mut committed = self.committed.lock();
            *committed = (*committed).max(Some(commit));
        }
        admitted
    }

    /// Told how far the synced log matches the leader's.
    pub(super) fn matched(&self, last: Option<&LogId>) {
        if self.may_vote() {
            return;
        }
        let Some(commit) = *self.committed.lock() else {
            return;
        };
        if last.is_none_or(|last| *last < commit) {
            return;
        }
        match std::fs::remove_file(&self.mark) {
            Ok(()) => {
                self.waiting.store(false, Ordering::Release);
                tracing::info!(
                    commit = commit.index,
                    "caught up with the leader; voting again"
                );
            }
            Err(error) => tracing::warn!(%error, "cannot remove the rejoin mark; not voting yet"),
        }
    }

    fn note_floor(&self, term: u64) -> std::io::Result<()> {
        let draft = self.mark.with_extension("new");
        std::fs::write(&draft, term.to_string())?;
        std::fs::File::open(&draft)?.sync_all()?;
        std::fs::rename(&draft, &self.mark)
    }

    /// Asks until one of the others leads a quorum; from then on leaders of its term are followed. `ask` gives the terms
    /// of those that answered.
    pub(crate) async fn learn_floor<F>(&self, ask: impl Fn() -> F)
    where
        F: Future<Output = Vec<u64>>,
    {
        while !self.may_vote() && self.floor_term.load(Ordering::Acquire) == 0 {
            if let Some(term) = ask().await.into_iter().max() {
                tracing::info!(term, "following the leader that the others have");
                if let Err(error) = self.note_floor(term) {
                    tracing::warn!(%error, "cannot note whom the others follow; the next start asks again");
                }
                self.floor_term.store(term, Ordering::Release);
                return;
            }
            tokio::time::sleep(ASK_INTERVAL).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::types::Vote;
    use super::*;

    struct Rejoining {
        _dir: tempfile::TempDir,
        guard: RejoinGuard,
    }

    fn rejoining() -> Rejoining {
        let dir = tempfile::tempdir().unwrap();
        let mark = dir.path().join("rejoining");
        std::fs::write(&mark, b"").unwrap();
        let guard = RejoinGuard::new(mark);
        Rejoining { _dir: dir, guard }
    }

    fn append(term: u64, commit: Option<LogId>) -> AppendEntriesRequest<TypeConfig> {
        AppendEntriesRequest {
            vote: Vote::new_committed(term, 1),
            prev_log_id: None,
            entries: Vec::new(),
            leader_commit: commit,
        }
    }

    async fn confirmed(term: u64) -> Rejoining {
        let rejoining = rejoining();
        let answer = || std::future::ready(vec![term]);
        rejoining.guard.learn_floor(answer).await;
        rejoining
    }

    #[test]
    fn nobody_is_followed_before_a_quorum_of_the_others_has_a_leader() {
        let Rejoining { guard, .. } = &rejoining();
        assert!(!guard.admit(&append(5, Some(codec::log_id(5, 10)))));
        guard.matched(Some(&codec::log_id(5, 10)));
        assert!(!guard.may_vote());
    }

    #[tokio::test]
    async fn a_leader_of_an_earlier_term_is_not_followed() {
        let Rejoining { guard, .. } = &confirmed(3).await;
        assert!(!guard.admit(&append(2, None)));
        assert!(guard.admit(&append(3, None)));
        assert!(guard.admit(&append(4, None)));
    }

    #[tokio::test]
    async fn what_was_learned_outlives_a_restart() {
        let confirmed = confirmed(3).await;
        let guard = RejoinGuard::new(confirmed.guard.mark.clone());
        assert!(!guard.may_vote());
        assert!(!guard.admit(&append(2, None)));
        assert!(guard.admit(&append(3, None)));
        // Nobody is asked again.
        guard.learn_floor(std::future::pending).await;
    }

    #[tokio::test]
    async fn it_votes_only_after_it_has_caught_up() {
        let Rejoining { guard, .. } = &confirmed(2).await;
        assert!(guard.admit(&append(2, Some(codec::log_id(2, 10)))));
        guard.matched(Some(&codec::log_id(2, 9)));
        guard.matched(Some(&codec::log_id(1, 200)));
        guard.matched(None);
        assert!(!guard.may_vote());
        guard.matched(Some(&codec::log_id(2, 10)));
        assert!(guard.may_vote() && !guard.mark.exists());
    }

    #[tokio::test]
    async fn what_an_earlier_term_committed_is_not_enough_to_catch_up_with() {
        let Rejoining { guard, .. } = &confirmed(3).await;
        assert!(guard.admit(&append(3, Some(codec::log_id(2, 10)))));
        guard.matched(Some(&codec::log_id(2, 10)));
        assert!(!guard.may_vote());
    }
}
