//! What built-in kinds ask of their objects, in upstream's words.

use crate::{Value, invalid::Faults};

pub(crate) mod amount;
mod kinds;
pub mod metadata;
pub mod names;
mod pages;
mod pod;
mod selectors;
mod spot;
mod workloads;

pub use kinds::{access_review, token_request};

/// How often a kind checks metadata itself, beside what is checked of all kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnMetadata {
    /// Never, or in its own functions.
    Never,
    /// Once on creation and once on an update.
    Once,
    /// As `Once`, and an update is also checked as a creation is.
    Again,
}

/// What one kind asks of its objects. Metadata is checked before the kind's own functions are called.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    pub group: &'static str,
    pub kind: &'static str,
    pub namespaced: bool,
    /// What its objects may be called.
    pub name: names::Rule,
    pub own_metadata: OwnMetadata,
    pub create: fn(&Value, &mut Faults),
    /// The new object and the old one.
    pub update: fn(&Value, &Value, &mut Faults),
    /// An update of the subresource `status`.
    pub status: fn(&Value, &Value, &mut Faults),
    /// An update of another subresource, whose name is the first.
    pub subresource: fn(&str, &Value, &Value, &mut Faults),
    /// What a client is told beside success; the old object if there is one.
    pub warnings: fn(&Value, Option<&Value>) -> Vec<String>,
}

impl Rules {
    /// Rules about metadata alone.
    #[must_use]
    pub const fn new(
        group: &'static str,
        kind: &'static str,
        namespaced: bool,
        name: names::Rule,
    ) -> Rules {
        Rules {
            group,
            kind,
            namespaced,
            name,
            own_metadata: OwnMetadata::Once,
            create: |_, _| {},
            update: |_, _, _| {},
            status: |_, _, _| {},
            subresource: |_, _, _, _| {},
            warnings: |_, _| Vec::new(),
        }
    }
}

/// The tables of all rooms.
const TABLES: [&[Rules]; 4] = [
    pod::RULES,
    workloads::RULES,
    kinds::RULES,
    crate::crd::RULES,
];

/// The rules of a kind; none for a kind that has no rules of its own here.
#[must_use]
pub fn rules(group: &str, kind: &str) -> Option<&'static Rules> {
    TABLES
        .iter()
        .flat_map(|table| table.iter())
        .find(|rules| rules.kind == kind && rules.group == group)
}

/// The faults of an object that is to be created, after defaults and preparation.
#[must_use]
pub fn create(group: &str, kind: &str, object: &Value) -> Faults {
    let mut faults = Faults::new();
    if let Some(rules) = rules(group, kind) {
        if rules.own_metadata == OwnMetadata::Never {
            metadata::general(object, rules.namespaced, names::path_segment, &mut faults);
        } else {
            metadata::create(object, rules.namespaced, rules.name, &mut faults);
        }
        (rules.create)(object, &mut faults);
        faults.extend(pages::check(group, kind, object, None));
    }
    faults
}

/// The faults of an object that is to take the place of another.
#[must_use]
pub fn update(group: &str, kind: &str, new: &Value, old: &Value) -> Faults {
    let mut faults = change(group, kind, new, old, |_| |_, _, _| {});
    if let Some(rules) = rules(group, kind) {
        if rules.own_metadata == OwnMetadata::Again {
            metadata::create(new, rules.namespaced, rules.name, &mut faults);
        }
        (rules.update)(new, old, &mut faults);
        faults.extend(pages::check(group, kind, new, Some(old)));
    }
    faults
}

/// The faults of an object whose status is to be updated.
#[must_use]
pub fn status_update(group: &str, kind: &str, new: &Value, old: &Value) -> Faults {
    change(group, kind, new, old, |rules| rules.status)
}

/// The faults of an object that is updated through a subresource that is not `status`.
#[must_use]
pub fn subresource_update(group: &str, kind: &str, name: &str, new: &Value, old: &Value) -> Faults {
    let mut faults = change(group, kind, new, old, |_| |_, _, _| {});
    if let Some(rules) = rules(group, kind) {
        (rules.subresource)(name, new, old, &mut faults);
    }
    faults
}

type Change = fn(&Value, &Value, &mut Faults);

/// Upstream checks metadata more than once on its way, once for all kinds and then in most; causes are told as often for that reason.
fn change(group: &str, kind: &str, new: &Value, old: &Value, own: fn(&Rules) -> Change) -> Faults {
    let mut faults = Faults::new();
    if let Some(rules) = rules(group, kind) {
        metadata::general(new, rules.namespaced, names::path_segment, &mut faults);
        metadata::general_update(new, old, &mut faults);
        if rules.own_metadata != OwnMetadata::Never {
            metadata::update(new, old, &mut faults);
        }
        own(rules)(new, old, &mut faults);
    }
    faults
}

/// What a client is told beside success about an object that is created, or that takes the place of an old one.
#[must_use]
pub fn warnings(group: &str, kind: &str, new: &Value, old: Option<&Value>) -> Vec<String> {
    rules(group, kind).map_or_else(Vec::new, |rules| (rules.warnings)(new, old))
}
