//! Server-side apply, and the ownership of fields that every write keeps in `metadata.managedFields`.

use std::sync::LazyLock;

use crate::schema::At;
use crate::status::{Reason, Status};
use crate::{Value, catalog, meta};

mod check;
mod compare;
mod conflict;
mod element;
mod empty;
mod extract;
mod fields;
mod golang;
mod ignored;
pub mod last_applied;
pub mod managers;
mod merge;
mod place;
mod remove;
pub mod scale;
mod set;
mod unowned;
mod updater;

pub use element::Element;
pub use empty::empty;
pub use fields::{DEPTH_MAX, STEPS_MAX};
pub use ignored::{Ignored, Pattern};
pub use managers::{Manager, Managers, Operation, Owned, name_of_user_agent};
pub use set::{FieldPath, Node, Set, path_text};
pub use unowned::merge_unowned;

use check::check;
use compare::Comparison;
use conflict::Conflicts;
use place::Place;

/// Who owns what an object had before it was first applied and ownership was kept.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// The fields of metadata and type that nobody owns.
static UNOWNED: LazyLock<Set> = LazyLock::new(|| {
    Set::of(&[
        &["apiVersion"],
        &["kind"],
        &["metadata"],
        &["metadata", "name"],
        &["metadata", "namespace"],
        &["metadata", "creationTimestamp"],
        &["metadata", "selfLink"],
        &["metadata", "uid"],
        &["metadata", "clusterName"],
        &["metadata", "generation"],
        &["metadata", "managedFields"],
        &["metadata", "resourceVersion"],
    ])
});

/// What there is of an object in another version of its kind.
#[derive(Debug, Clone, Copy)]
pub enum InVersion<T> {
    Known(T),
    /// The kind has the version, but what the object is in it cannot be told here. Who owns fields in it keeps them all, conflicts
    /// with nobody, and is taken to own what has the same path in the version of the write.
    Untold,
    /// The kind has no such version, or no more. Who owns fields in it is forgotten.
    Absent,
}

impl<T> InVersion<T> {
    /// The same of something made from it.
    pub fn map<U>(self, make: impl FnOnce(T) -> U) -> InVersion<U> {
        match self {
            InVersion::Known(known) => InVersion::Known(make(known)),
            InVersion::Untold => InVersion::Untold,
            InVersion::Absent => InVersion::Absent,
        }
    }

    /// What is known, if it is.
    pub fn known(self) -> Option<T> {
        match self {
            InVersion::Known(known) => Some(known),
            InVersion::Untold | InVersion::Absent => None,
        }
    }
}

/// The versions of a kind. Ownership is written in the version of the write.
pub trait Versions {
    /// The object in another version, and that version's type. It may hold fields that the type does not know.
    fn convert(&self, object: &Value, api_version: &str) -> InVersion<(Value, At<'_>)>;
}

/// The versions of a kind that has one alone.
#[derive(Debug, Clone, Copy)]
pub struct OnlyVersion;

impl Versions for OnlyVersion {
    fn convert(&self, _: &Value, _: &str) -> InVersion<(Value, At<'_>)> {
        InVersion::Absent
    }
}

/// What a write is made to.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The type of the object in the version of the write.
    pub at: At<'a>,
    /// The kind is a built-in one and no CRD's.
    pub built_in: bool,
    /// The version of the write, as `apiVersion` says it.
    pub api_version: &'a str,
    pub kind: &'a str,
    /// Empty for a write to the object itself.
    pub subresource: &'a str,
    pub ignored: &'a Ignored,
    /// An object of the kind that sets nothing, which a creation is compared with: what `empty` gives for a built-in kind, and
    /// `{}` for a CRD's.
    pub empty: &'a Value,
    pub versions: &'a dyn Versions,
    /// The time of the write, as RFC 3339 with seconds, in UTC.
    pub now: &'a str,
}

impl<'a> Context<'a> {
    fn place(&self) -> Place<'a> {
        Place::root(self.at, self.built_in)
    }

    /// The root of the object in another version. One of a CRD that differs by its name alone has the fields of all versions, and
    /// none may come or go because a version on the way does not know it.
    fn place_elsewhere(&self, at: At<'a>) -> Place<'a> {
        let place = Place::root(at, self.built_in);
        if self.built_in {
            place
        } else {
            place.with_unknown_fields()
        }
    }

    fn filter(&self, set: Set) -> Set {
        match self.ignored {
            Ignored::Fields(fields) if fields.is_empty() => set,
            ignored => ignored.filter(&set),
        }
    }

    fn filtered(&self, comparison: Comparison) -> Comparison {
        comparison.map(|set| self.filter(set))
    }

    fn manager(&self, name: &str, operation: Operation) -> Manager {
        Manager::new(name, operation, self.api_version, self.subresource)
    }
}

/// Applies a configuration to an object, or makes one of it. The result is to be read as the body of a `PUT` would be:
/// it may hold nulls, and lacks defaults.
///
/// # Errors
///
/// 409 with a cause for each field that another manager owns, unless `force`; 400 and 500 in upstream's words for a configuration
/// that cannot be merged.
pub fn apply(
    context: &Context<'_>,
    live: Option<&Value>,
    applied: &Value,
    manager: &str,
    force: bool,
) -> Result<Value, Status> {
    let nothing = Value::Object(crate::Map::new());
    let stored = live.unwrap_or(&nothing);
    let managers = Managers::of(stored)
        .map_err(|fault| failure(format!("failed to decode managed fields: {fault}")))?;
    check_kind(context, applied)?;
    let managers = if managers.0.is_empty() && live.is_some() {
        write(context, context.empty, stored, managers, BEFORE_FIRST_APPLY).map_err(|fault| {
            failure(format!(
                "failed to create manager for existing fields: {fault}"
            ))
        })?
    } else {
        managers
    };
    check_applied(context, stored, applied)?;
    let owner = context.manager(manager, Operation::Apply);
    let attempt = |managers, force| {
        let apply = updater::Apply {
            configuration: applied,
            manager: &owner,
            force,
        };
        updater::apply(context, stored, managers, apply)
    };
    let outcome = if manager == last_applied::MANAGER && !force {
        attempt(managers.clone(), false).or_else(|conflicts| {
            let conflicts = conflicts_left(context, stored, conflicts);
            if conflicts.is_empty() {
                attempt(managers, true)
            } else {
                Err(conflicts)
            }
        })
    } else {
        attempt(managers, force)
    };
    let updater::Applied { object, managers } = outcome.map_err(|conflicts| conflicts.status())?;
    let managers = stripped(managers, &owner, object.is_some().then_some(context.now));
    let mut object = object.unwrap_or_else(|| stored.clone());
    if manager == last_applied::MANAGER {
        last_applied::refresh(&mut object, applied);
    }
    managers.write(&mut object);
    Ok(object)
}

/// Keeps the ownership of an object that is written without applying: what the write changes is the manager's from now on.
/// What the body says of ownership is heard where it can be read, and an empty list or entry makes the object forget it all.
pub fn update(context: &Context<'_>, live: Option<&Value>, new: &mut Value, manager: &str) {
    let stored = live.unwrap_or(context.empty);
    let managers = managers_of_update(context, stored, new);
    let metadata = meta::metadata_mut(new);
    metadata.remove("managedFields");
    // An object whose ownership is not kept stays like that until it is applied.
    if managers.0.is_empty() && live.is_some() {
        return;
    }
    // An object that its own type does not fit has no ownership.
    if let Ok(managers) = write(context, stored, new, managers, manager) {
        managers.write(new);
    }
}

/// Whether two versions of an object are the same but for the times of their managed fields. Then the newer one is not to be written.
#[must_use]
pub fn is_same_but_times(old: &Value, new: &Value) -> bool {
    let managed = |name: &str| name == "managedFields";
    let metadata = |name: &str| name == "metadata";
    same_but(old, new, metadata, |old, new| {
        same_but(old, new, managed, |old, new| match (old, new) {
            (Value::Array(old), Value::Array(new)) => {
                old.len() == new.len()
                    && old
                        .iter()
                        .zip(new)
                        .all(|(old, new)| same_but(old, new, |name| name == "time", |_, _| true))
            }
            _ => old == new,
        })
    })
}

/// Whether two objects are the same, with another test for the fields of some name.
fn same_but(
    old: &Value,
    new: &Value,
    special: impl Fn(&str) -> bool,
    test: impl Fn(&Value, &Value) -> bool,
) -> bool {
    let (Value::Object(old), Value::Object(new)) = (old, new) else {
        return old == new;
    };
    old.len() == new.len()
        && old.iter().all(|(name, old)| {
            new.get(name).is_some_and(|new| {
                if special(name) {
                    test(old, new)
                } else {
                    old == new
                }
            })
        })
}

/// The managers that a write which does not apply begins with: the body's, if it says any and can be read, or the stored ones.
fn managers_of_update(context: &Context<'_>, stored: &Value, new: &Value) -> Managers {
    let of_stored = || Managers::of(stored).unwrap_or_default();
    if !context.subresource.is_empty() {
        return of_stored();
    }
    if let Some(Value::Array(entries)) = meta::at(new, &["metadata", "managedFields"]) {
        let forget = match entries.as_slice() {
            [] => true,
            [only] => only.as_object().is_some_and(crate::Map::is_empty),
            _ => false,
        };
        if forget {
            return Managers::default();
        }
    }
    match Managers::of(new) {
        Ok(managers) if !managers.0.is_empty() => managers,
        _ => of_stored(),
    }
}

/// The managers after a write that does not apply, which the named one made.
fn write(
    context: &Context<'_>,
    stored: &Value,
    new: &Value,
    managers: Managers,
    name: &str,
) -> Result<Managers, String> {
    let place = context.place();
    check(new, place, true)?;
    check(stored, place, true)?;
    let (mut managers, set) = updater::update(context, stored, new, managers);
    let set = set.difference(&UNOWNED);
    if !set.is_empty() {
        let manager = context.manager(name, Operation::Update);
        let set = match managers.0.get(&manager) {
            Some(before) => set.union(&before.set),
            None => set,
        };
        let owned = Owned {
            set,
            api_version: context.api_version.to_owned(),
            time: context.now.to_owned(),
        };
        managers.0.insert(manager, owned);
    }
    managers.cap();
    Ok(managers)
}

/// The managers after an apply: nobody owns what the server keeps itself, and the time is that of the change.
fn stripped(mut managers: Managers, owner: &Manager, changed_at: Option<&str>) -> Managers {
    if let Some(owned) = managers.0.get_mut(owner) {
        owned.set = owned.set.difference(&UNOWNED);
        if let Some(now) = changed_at {
            now.clone_into(&mut owned.time);
        }
    }
    managers.0.retain(|_, owned| !owned.set.is_empty());
    managers
}

/// The conflicts that are none by the annotation of client-side apply, for the manager it belongs to.
fn conflicts_left(context: &Context<'_>, live: &Value, conflicts: Conflicts) -> Conflicts {
    match last_applied::takeable(context, live) {
        Some(allowed) => conflicts.without(&allowed),
        None => conflicts,
    }
}

fn check_kind(context: &Context<'_>, applied: &Value) -> Result<(), Status> {
    let (api_version, kind) = (
        meta::text(applied, &["apiVersion"]),
        meta::text(applied, &["kind"]),
    );
    if api_version == context.api_version && kind == context.kind {
        return Ok(());
    }
    let kind = group_version_kind(api_version, kind);
    Err(Status::bad_request(format!("invalid object type: {kind}")))
}

fn check_applied(context: &Context<'_>, live: &Value, applied: &Value) -> Result<(), Status> {
    if meta::at(applied, &["metadata", "managedFields"]).is_some_and(Value::is_array) {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    let place = context.place();
    let named = |object: &Value| {
        let kind = group_version_kind(context.api_version, context.kind);
        format!("{}/{}; {kind}", meta::namespace(object), meta::name(object))
    };
    check(applied, place, false).map_err(|fault| {
        let named = named(applied);
        failure(format!(
            "failed to create typed patch object ({named}): {fault}"
        ))
    })?;
    check(live, place, true).map_err(|fault| {
        let named = named(live);
        failure(format!(
            "failed to create typed live object ({named}): {fault}"
        ))
    })
}

/// A kind as upstream's messages show it: `apps/v1, Kind=Deployment`.
fn group_version_kind(api_version: &str, kind: &str) -> String {
    let (group, version) = catalog::split_api_version(api_version);
    format!("{group}/{version}, Kind={kind}")
}

/// A failure that has no reason on the wire.
fn failure(message: String) -> Status {
    Status::new(Reason::Unknown, message)
}
