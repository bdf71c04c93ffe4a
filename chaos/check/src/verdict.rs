//! What a checker says: a verdict, what led to it, and how often each check had something to judge.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::history::{Fault, Operation, Outcome, Run};

/// How many violations of each check a report names; more are only counted.
pub const VIOLATIONS_MAX: usize = 8;

/// How many notes of one kind a report names; more are only counted.
pub const NOTES_MAX: usize = 10;

/// Longest text of a request in a report, in characters.
const REQUEST_CHARACTERS_MAX: usize = 400;

/// An invariant that is looked at. Its words are in [`Check::words`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// Revisions without gap.
    Witness,
    /// Witnesses of all members agree.
    MembersAgree,
    /// Answered writes are where their answer says.
    AnsweredWrite,
    /// Every revision has a cause.
    Cause,
    /// No write has two effects.
    AppliedOnce,
    /// One revision, one write.
    RevisionUnique,
    /// Answers of puts and deletes.
    WriteAnswer,
    /// Answers and effects of txns.
    TxnAnswer,
    /// Answers of ranges at the newest revision.
    RangeAnswer,
    /// Answers of ranges at an older revision.
    PastAnswer,
    /// Real time.
    RealTime,
    /// Serializable reads.
    Serializable,
    /// Compacted revisions.
    Compacted,
    /// Refusals.
    Refusal,
    /// Keys of a lease vanish at once.
    LeaseAtomic,
    /// Leases do not end early.
    LeaseEarly,
    /// Answers about leases.
    LeaseAnswer,
    /// Watch: only what was asked for.
    WatchFilter,
    /// Watch: in order.
    WatchOrdered,
    /// Watch: each once.
    WatchUnique,
    /// Watch: a revision whole.
    WatchAtomic,
    /// Watch: progress is true.
    WatchBookmark,
    /// Watch: from where it was asked.
    WatchResumable,
    /// Watch: none left out.
    WatchReliable,
    /// Watch: what was there before.
    WatchPrevKv,
    /// Watch: what the event says.
    WatchContent,
    /// Watch: ended for a reason.
    WatchCanceled,
    /// Hashes of members agree.
    Hash,
}

impl Check {
    /// All checks.
    pub const ALL: [Self; 28] = [
        Self::Witness,
        Self::MembersAgree,
        Self::AnsweredWrite,
        Self::Cause,
        Self::AppliedOnce,
        Self::RevisionUnique,
        Self::WriteAnswer,
        Self::TxnAnswer,
        Self::RangeAnswer,
        Self::PastAnswer,
        Self::RealTime,
        Self::Serializable,
        Self::Compacted,
        Self::Refusal,
        Self::LeaseAtomic,
        Self::LeaseEarly,
        Self::LeaseAnswer,
        Self::WatchFilter,
        Self::WatchOrdered,
        Self::WatchUnique,
        Self::WatchAtomic,
        Self::WatchBookmark,
        Self::WatchResumable,
        Self::WatchReliable,
        Self::WatchPrevKv,
        Self::WatchContent,
        Self::WatchCanceled,
        Self::Hash,
    ];

    /// The invariant in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Witness => "revisions follow one another without gap or repeat",
            Self::MembersAgree => "the members show the same events at the same revisions",
            Self::AnsweredWrite => {
                "an answered write is in the store at the revision it was answered with"
            }
            Self::Cause => {
                "every revision was made by an operation that may have had an effect, or by the end of a lease"
            }
            Self::AppliedOnce => "no write takes effect twice",
            Self::RevisionUnique => "no two writes have one revision",
            Self::WriteAnswer => "a put or delete answers what was there before it",
            Self::TxnAnswer => "a txn compares, reads and writes at one state and answers so",
            Self::RangeAnswer => "a range answers the keys of the revision in its header",
            Self::PastAnswer => "a range at an older revision answers the keys of that revision",
            Self::RealTime => "what is called after something was answered comes after it",
            Self::Serializable => "a serializable read sees a revision that was there",
            Self::Compacted => {
                "revisions are refused as compacted after, and only after, a compaction"
            }
            Self::Refusal => "a refusal has its reason in a state between call and return",
            Self::LeaseAtomic => "the keys of a lease vanish in one revision",
            Self::LeaseEarly => "a lease does not end before its time",
            Self::LeaseAnswer => "answers about a lease agree with its life",
            Self::WatchFilter => "a watch gets only events of its keys and kinds",
            Self::WatchOrdered => "a watch gets events in order",
            Self::WatchUnique => "a watch gets each event once",
            Self::WatchAtomic => "a watch gets all events of a revision in one response",
            Self::WatchBookmark => {
                "after a progress response no event comes at or below its revision"
            }
            Self::WatchResumable => {
                "a watch begins with the first matching event at or after its start"
            }
            Self::WatchReliable => "a watch gets every matching event",
            Self::WatchPrevKv => "an event carries what was there before it",
            Self::WatchContent => "an event carries the key as it was written",
            Self::WatchCanceled => "a watch is ended as compacted only below a compaction",
            Self::Hash => "hashes at one revision and one compaction are equal on all members",
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

/// An invariant that was broken, and by whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The invariant.
    pub check: Check,
    /// What happened, and what should have.
    pub text: String,
    /// The revision it is about, if it is about one.
    pub revision: Option<i64>,
    /// The operation, or the pair of them, that shows it.
    pub operations: Vec<Involved>,
    /// The watch that shows it.
    pub watch: Option<u64>,
}

impl Violation {
    pub(crate) fn new(check: Check, text: impl Into<String>) -> Self {
        Self {
            check,
            text: text.into(),
            revision: None,
            operations: Vec::new(),
            watch: None,
        }
    }

    pub(crate) fn at(mut self, revision: i64) -> Self {
        self.revision = Some(revision);
        self
    }

    pub(crate) fn by(mut self, operation: &Operation) -> Self {
        self.operations.push(Involved::from(operation));
        self
    }

    pub(crate) fn watch(mut self, watch: u64) -> Self {
        self.watch = Some(watch);
        self
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "broken: {}. {}", self.check, self.text)?;
        if let Some(revision) = self.revision {
            write!(f, " [revision {revision}]")?;
        }
        if let Some(watch) = self.watch {
            write!(f, " [watch {watch}]")?;
        }
        for operation in &self.operations {
            write!(f, "\n  {operation}")?;
        }
        Ok(())
    }
}

/// An operation that shows a violation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Involved {
    /// The operation's id.
    pub id: u64,
    /// Who called.
    pub client: u32,
    /// Whom.
    pub member: u32,
    /// When it was called, in nanoseconds.
    pub call_ns: u64,
    /// When it returned, in nanoseconds.
    pub return_ns: Option<u64>,
    /// The revision it was answered with.
    pub revision: Option<i64>,
    /// The request in words, shortened.
    pub request: String,
}

impl From<&Operation> for Involved {
    fn from(operation: &Operation) -> Self {
        let mut request = format!("{:?}", operation.request);
        if let Some((end, _)) = request.char_indices().nth(REQUEST_CHARACTERS_MAX) {
            request.truncate(end);
            request.push('…');
        }
        Self {
            id: operation.id,
            client: operation.client,
            member: operation.member,
            call_ns: operation.call_ns,
            return_ns: operation.return_ns,
            revision: match &operation.outcome {
                Outcome::Ok(response) => Some(response.revision),
                Outcome::Failed(_) | Outcome::Unknown { .. } => None,
            },
            request,
        }
    }
}

impl fmt::Display for Involved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "operation {} of client {} on member {}, called at {} ns",
            self.id, self.client, self.member, self.call_ns
        )?;
        match self.return_ns {
            Some(return_ns) => write!(f, ", returned at {return_ns} ns")?,
            None => f.write_str(", never returned")?,
        }
        if let Some(revision) = self.revision {
            write!(f, " with revision {revision}")?;
        }
        write!(f, ": {}", self.request)
    }
}

/// What a history is worth.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything that was looked at held.
    Held {
        /// How often each check had something to judge.
        counts: BTreeMap<Check, u64>,
    },
    /// Something did not hold.
    Violated {
        /// The first of them, at most [`VIOLATIONS_MAX`] of each check.
        violations: Vec<Violation>,
        /// How many there were in all.
        total: u64,
    },
    /// Something the judgement rests on is missing or broken.
    Inconclusive {
        /// What.
        why: Vec<String>,
        /// What would be violations if it were not for that; at most [`VIOLATIONS_MAX`] of each check.
        suspected: Vec<Violation>,
    },
}

impl Verdict {
    /// Whether everything held.
    #[must_use]
    pub fn is_held(&self) -> bool {
        matches!(self, Self::Held { .. })
    }

    /// The violations, if that is the verdict.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        match self {
            Self::Violated { violations, .. } => violations,
            Self::Held { .. } | Self::Inconclusive { .. } => &[],
        }
    }
}

/// A verdict and what belongs to it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// What the history is worth.
    pub verdict: Verdict,
    /// What was run.
    pub run: Run,
    /// How often each check had something to judge; checks that never had are 0.
    pub counts: BTreeMap<Check, u64>,
    /// What could not be judged because the history it needs was no longer kept, or because only a newer server promises it,
    /// and how often.
    pub unjudged: BTreeMap<&'static str, u64>,
    /// What is not wrong but worth knowing: a lease that ended late, a member that went back in time for serializable reads.
    pub notes: Vec<String>,
    /// Operations seen: answered, refused, unknown.
    pub operations: Tally,
    /// The newest revision the witnesses saw.
    pub revision: i64,
    /// The faults of the history, in its order.
    pub faults: Vec<Fault>,
}

/// Operations by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Answered.
    pub ok: u64,
    /// Certainly without effect.
    pub failed: u64,
    /// Perhaps with an effect.
    pub unknown: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally {
            ok,
            failed,
            unknown,
        } = self.operations;
        writeln!(
            f,
            "{ok} answered, {failed} refused and {unknown} unknown operations, revision {}",
            self.revision
        )?;
        match &self.verdict {
            Verdict::Held { .. } => writeln!(f, "held")?,
            Verdict::Violated { violations, total } => {
                writeln!(f, "violated, {total} times")?;
                for violation in violations {
                    writeln!(f, "{violation}")?;
                }
            }
            Verdict::Inconclusive { why, suspected } => {
                writeln!(f, "inconclusive: {}", why.join("; "))?;
                for violation in suspected {
                    writeln!(f, "suspected {violation}")?;
                }
            }
        }
        for (check, count) in &self.counts {
            writeln!(f, "{count:>10}  {check}")?;
        }
        for (what, count) in &self.unjudged {
            writeln!(f, "{count:>10}  not judged: {what}")?;
        }
        self.notes
            .iter()
            .try_for_each(|note| writeln!(f, "note: {note}"))
    }
}
