//! The bugs, their names and what each does.

use std::fmt;

/// Makes the enum and what belongs to each of its values from one table.
macro_rules! bugs {
    ($($bug:ident, $name:literal, $words:literal;)*) => {
        /// A mistake somebody could make, at one line of the store.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Bug {
            $(#[doc = $words] $bug,)*
        }

        impl Bug {
            /// Every bug.
            pub const ALL: &[Bug] = &[$(Bug::$bug,)*];

            /// What it is called on the command line.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Bug::$bug => $name,)*
                }
            }

            /// What a store with the bug does.
            #[must_use]
            pub fn words(self) -> &'static str {
                match self {
                    $(Bug::$bug => $words,)*
                }
            }
        }
    };
}

bugs! {
    NoReadBarrier, "no-read-barrier", "A linearizable read is answered from the member's own state at once.";
    OldReadRound, "old-read-round", "A read that comes while a read barrier's round is under way shares that round.";
    ReadWithoutQuorum, "read-without-quorum", "A leader serves read barriers without asking a quorum whether it still leads.";
    AckBeforeWrite, "ack-before-write", "The log gathers entries for a while before it writes them, and reports them as synced when they are queued.";
    TailLost, "tail-lost", "A start takes the last entries of the log, and the mark of what is committed, for a torn tail.";
    VoteInMemory, "vote-in-memory", "A vote is remembered, and never written to the log.";
    MarkBehind, "mark-behind", "The state is stored with the mark of the run before, whose successor is applied again after a start.";
    ForwardedAgain, "forwarded-again", "A forwarded batch of unknown fate is sent again to the next leader.";
    StaleCompare, "stale-compare", "A txn compares with the state before the run that it is applied in.";
    TxnReadsBefore, "txn-reads-before", "A read in a txn does not see the writes before it.";
    HashOrder, "hash-order", "A delete of a range deletes in the order of a hash table.";
    TombstoneElided, "tombstone-elided", "The delete of a key that was written in the same run leaves no tombstone on disk.";
    MoreOffByOne, "more-off-by-one", "A range says that there is more when its limit is just reached.";
    CountOfPage, "count-of-page", "The count of a range ends at its limit.";
    SharedPrevious, "shared-previous", "All events of a revision carry the previous value of its first one.";
    UnaskedFragments, "unasked-fragments", "Large watch responses are cut between events for watches that did not ask for it.";
    OneEventARevision, "one-event-a-revision", "A watch gets the first matching event of a revision only.";
    ResumesEarly, "resumes-early", "A watch that asks for a start revision begins one before it.";
    ResumesLate, "resumes-late", "A watch that has caught up with the log skips a revision.";
    EarlyProgress, "early-progress", "Progress is reported while events wait to be sent.";
    RenewalNotReplicated, "renewal-not-replicated", "A leader renews leases by its own clock, however long ago it told the others.";
    LeaseEndsAhead, "lease-ends-ahead", "A lease that would end before one of the next looks is ended now.";
    LeaseKeysOneByOne, "lease-keys-one-by-one", "The keys of a lease that ends are deleted in a revision each.";
    SyncSkipped, "sync-skipped", "The log is written and never synced.";
}

impl Bug {
    /// The bug of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Bug> {
        Bug::ALL.iter().copied().find(|bug| bug.name() == name)
    }
}

impl fmt::Display for Bug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bug_is_found_by_its_name() {
        for bug in Bug::ALL {
            assert_eq!(Bug::named(bug.name()), Some(*bug));
        }
        assert_eq!(Bug::named("no-such-bug"), None);
    }
}
