//! What clients and watchers of apiservers saw, line by line.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A kind of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Built in.
    ConfigMap,
    /// Custom, defined when a run begins.
    Widget,
}

/// Every kind.
pub const KINDS: [Kind; 2] = [Kind::ConfigMap, Kind::Widget];

/// Which object; all are in one namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// Of which kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::ConfigMap => write!(f, "configmap {}", self.name),
            Kind::Widget => write!(f, "widget {}", self.name),
        }
    }
}

/// An object as it was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its resourceVersion.
    pub version: u64,
    /// What creates and updates write: a word of one request.
    pub value: String,
    /// What patches write: a word of one request, or nothing.
    pub patch: String,
}

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum Request {
    /// One object as it is now.
    Get {
        /// Which.
        key: Key,
    },
    /// All objects of a kind as they are now, maybe in pages.
    List {
        /// Of which kind.
        kind: Kind,
    },
    /// A new object.
    Create {
        /// Which.
        key: Key,
        /// With what.
        value: String,
    },
    /// Another value, if the object still has a version.
    Update {
        /// Which.
        key: Key,
        /// The version.
        version: u64,
        /// The value.
        value: String,
    },
    /// A merge patch of one field, whatever the version.
    Patch {
        /// Which.
        key: Key,
        /// What the field is set to.
        patch: String,
    },
    /// The end of an object.
    Delete {
        /// Which.
        key: Key,
        /// Only if it still has this uid.
        uid: String,
        /// Only if it still has this version.
        version: Option<u64>,
    },
}

impl Request {
    /// Of which kind its objects are.
    pub fn kind(&self) -> Kind {
        match self {
            Request::List { kind } => *kind,
            Request::Get { key }
            | Request::Create { key, .. }
            | Request::Update { key, .. }
            | Request::Patch { key, .. }
            | Request::Delete { key, .. } => key.kind,
        }
    }

    /// Whether it changes something when it succeeds.
    pub fn writes(&self) -> bool {
        !matches!(self, Request::Get { .. } | Request::List { .. })
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// An object.
    Object(Object),
    /// A whole list.
    Objects {
        /// Its resourceVersion.
        revision: u64,
        /// What it has.
        items: Vec<Object>,
    },
    /// A delete that was done.
    Deleted,
    /// An answer that says that nothing was done; code 0 if the request never left.
    Refused {
        /// HTTP's code.
        code: u16,
        /// Why.
        reason: String,
    },
    /// Nobody knows.
    Unknown {
        /// Why not.
        error: String,
    },
}

/// One request from its call to its return.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Who asked.
    pub client: u32,
    /// Which apiserver.
    pub server: usize,
    /// When, in nanoseconds of the run's clock.
    pub call_ns: u64,
    /// When it was answered or given up.
    pub return_ns: u64,
    /// What was asked.
    pub request: Request,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What kind of change an event tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Change {
    /// It is new.
    Added,
    /// It is another.
    Modified,
    /// It is gone.
    Deleted,
}

/// What a watcher saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "saw", rename_all = "kebab-case")]
pub enum Saw {
    /// It listed, and watches from there.
    Began {
        /// The list's resourceVersion.
        revision: u64,
        /// What it had.
        items: Vec<Object>,
    },
    /// An event.
    Event {
        /// Of which kind.
        change: Change,
        /// The object as it is then, with the version of the change.
        object: Object,
    },
    /// A bookmark.
    Bookmark {
        /// Everything up to there was sent.
        revision: u64,
    },
    /// A whole line that tells nothing that a watcher understands.
    Unreadable {
        /// Its beginning.
        line: String,
    },
}

/// What one watcher saw at one time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sight {
    /// Who.
    pub watcher: u32,
    /// Of which kind.
    pub kind: Kind,
    /// From which apiserver.
    pub server: usize,
    /// When, in nanoseconds of the run's clock.
    pub time_ns: u64,
    /// What.
    #[serde(flatten)]
    pub saw: Saw,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "kebab-case")]
pub enum Record {
    /// A request.
    Op(Operation),
    /// Of a watcher.
    Watch(Sight),
}
