//! Moves ownership along with a change: who owns what after a write, and what an apply takes away.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::compare::{Comparison, compare};
use super::conflict::Conflicts;
use super::element::same_values;
use super::extract::{in_pieces, set_of, with_named};
use super::managers::{Manager, Managers, Owned};
use super::merge::merge;
use super::place::Place;
use super::remove::remove;
use super::set::Set;
use super::{Context, InVersion};
use crate::Value;

/// An object and the place of its type.
#[derive(Clone)]
struct Typed<'a> {
    object: Cow<'a, Value>,
    place: Place<'a>,
}

/// An apply: the configuration, who applies it, and if the fields of others may be taken.
#[derive(Clone, Copy)]
pub(super) struct Apply<'a> {
    pub configuration: &'a Value,
    pub manager: &'a Manager,
    pub force: bool,
}

/// What an apply comes to.
pub(super) struct Applied {
    /// None where the object stays as it is.
    pub object: Option<Value>,
    pub managers: Managers,
}

impl<'a> Typed<'a> {
    fn new(object: &'a Value, place: Place<'a>) -> Typed<'a> {
        Typed {
            object: Cow::Borrowed(object),
            place,
        }
    }

    /// The object in another version.
    fn convert(&self, context: &Context<'a>, api_version: &str) -> InVersion<Typed<'a>> {
        if self.object.get("apiVersion").and_then(Value::as_str) == Some(api_version) {
            return InVersion::Known(self.clone());
        }
        let converted = context.versions.convert(&self.object, api_version);
        converted.map(|(object, at)| Typed {
            object: Cow::Owned(object),
            place: context.place_elsewhere(at),
        })
    }

    fn set(&self) -> Set {
        set_of(&self.object, self.place)
    }

    fn named(&self, set: &Set) -> Set {
        with_named(set, Some(self.place))
    }

    fn without(&self, fields: &Set) -> Typed<'a> {
        Typed {
            object: Cow::Owned(remove(self.object.clone().into_owned(), fields, self.place)),
            place: self.place,
        }
    }
}

/// Who owns what after a write that says nothing of ownership: the other managers lose what it changed, and the set is what it changed.
pub(super) fn update(
    context: &Context<'_>,
    live: &Value,
    new: &Value,
    managers: Managers,
) -> (Managers, Set) {
    let place = context.place();
    let managers = under_todays_types(context, live, managers);
    let comparison = context.filtered(compare(live, new, place));
    let change = Change {
        old: Typed::new(live, place),
        new: Typed::new(new, place),
        comparison,
    };
    let (conflicts, mut managers) = change.conflicts(context, managers, None);
    take(&conflicts, &mut managers);
    let changed = change.comparison.modified.union(&change.comparison.added);
    (managers, context.filter(changed))
}

/// What an object and its ownership are after an apply.
pub(super) fn apply(
    context: &Context<'_>,
    live: &Value,
    managers: Managers,
    apply: Apply<'_>,
) -> Result<Applied, Conflicts> {
    let Apply {
        configuration,
        manager,
        force,
    } = apply;
    let place = context.place();
    let mut managers = under_todays_types(context, live, managers);
    let merged = merge(Some(live), Some(configuration), place).unwrap_or_default();
    let set = context.filter(set_of(configuration, place));
    let owned = Owned {
        set,
        api_version: context.api_version.to_owned(),
        time: String::new(),
    };
    let before = managers.0.insert(manager.clone(), owned);
    if let (Some(owned), Some(before)) = (managers.0.get_mut(manager), &before) {
        owned.time.clone_from(&before.time);
    }
    let merged = Typed {
        object: Cow::Owned(merged),
        place,
    };
    let pruned = match before {
        Some(before) => prune(context, merged, &managers, manager, &before),
        None => merged,
    };
    let change = Change {
        old: Typed::new(live, place),
        comparison: context.filtered(compare(live, &pruned.object, place)),
        new: pruned,
    };
    let (conflicts, mut managers) = change.conflicts(context, managers, Some(manager));
    if !force && !conflicts.is_empty() {
        return Err(conflicts);
    }
    take(&conflicts, &mut managers);
    let object = change.new.object.into_owned();
    let object = (!same_values(live, &object)).then_some(object);
    Ok(Applied { object, managers })
}

/// Takes from the managers what others changed. Who owns nothing any more is none.
fn take(conflicts: &Conflicts, managers: &mut Managers) {
    for (manager, set) in &conflicts.0 {
        if let Some(owned) = managers.0.get_mut(manager) {
            owned.set = owned.set.difference(set);
        }
    }
    managers.0.retain(|_, owned| !owned.set.is_empty());
}

/// A change of an object, in the version of the write.
struct Change<'a> {
    old: Typed<'a>,
    new: Typed<'a>,
    comparison: Comparison,
}

impl Change<'_> {
    /// What the managers own of what was changed, and the managers without what was removed.
    fn conflicts(
        &self,
        context: &Context<'_>,
        mut managers: Managers,
        but: Option<&Manager>,
    ) -> (Conflicts, Managers) {
        let mut others: BTreeMap<String, InVersion<Comparison>> = BTreeMap::new();
        let mut conflicts = Conflicts::default();
        managers.0.retain(|manager, owned| {
            if Some(manager) == but {
                return true;
            }
            let comparison = if owned.api_version == context.api_version {
                &self.comparison
            } else {
                let version = &owned.api_version;
                let in_version = || self.in_version(context, version);
                match others.entry(version.clone()).or_insert_with(in_version) {
                    InVersion::Known(comparison) => comparison,
                    InVersion::Untold => return true,
                    InVersion::Absent => return false,
                }
            };
            let changed = owned
                .set
                .intersection(&comparison.modified)
                .union(&owned.set.intersection(&comparison.added));
            if !changed.is_empty() {
                conflicts.0.insert(manager.clone(), changed);
            }
            if !comparison.removed.is_empty() {
                owned.set = owned.set.difference(&comparison.removed);
            }
            true
        });
        (conflicts, managers)
    }

    fn in_version(&self, context: &Context<'_>, api_version: &str) -> InVersion<Comparison> {
        let convert = |typed: &Typed<'_>| context.versions.convert(&typed.object, api_version);
        match (convert(&self.old), convert(&self.new)) {
            (InVersion::Known((old, at)), InVersion::Known((new, _))) => {
                let place = context.place_elsewhere(at);
                InVersion::Known(context.filtered(compare(&old, &new, place)))
            }
            (InVersion::Absent, _) | (_, InVersion::Absent) => InVersion::Absent,
            _ => InVersion::Untold,
        }
    }
}

/// The managers' sets as the types are now, which may take in one piece what they did not before.
fn under_todays_types(context: &Context<'_>, live: &Value, mut managers: Managers) -> Managers {
    let mut places: BTreeMap<String, InVersion<Place<'_>>> = BTreeMap::new();
    places.insert(
        context.api_version.to_owned(),
        InVersion::Known(context.place()),
    );
    managers.0.retain(|_, owned| {
        let version = &owned.api_version;
        let in_version = || {
            let converted = context.versions.convert(live, version);
            converted.map(|(_, at)| context.place_elsewhere(at))
        };
        let place = match *places.entry(version.clone()).or_insert_with(in_version) {
            InVersion::Known(place) => place,
            InVersion::Untold => return true,
            InVersion::Absent => return false,
        };
        if let Some(set) = in_pieces(&owned.set, place) {
            owned.set = set;
        }
        true
    });
    managers
}

/// Takes away what the manager applied the last time, not this time, and nobody else owns.
fn prune<'a>(
    context: &Context<'a>,
    merged: Typed<'a>,
    managers: &Managers,
    manager: &Manager,
    last: &Owned,
) -> Typed<'a> {
    let now = managers.0.get(manager);
    let kept =
        now.is_some_and(|now| now.api_version == last.api_version && last.set.is_subset(&now.set));
    // All that was applied is applied again: nothing can go.
    if kept || last.set.is_empty() {
        return merged;
    }
    let Some(merged_then) = merged.convert(context, &last.api_version).known() else {
        return merged;
    };
    let last_named = merged_then.named(&last.set);
    let pruned = merged_then.without(&last_named);
    let pruned = add_back_owned(context, &merged_then, pruned, last, managers);
    let Some(pruned) = pruned.convert(context, &last.api_version).known() else {
        return merged;
    };
    // Only what the manager itself had applied may go.
    let gone = merged_then
        .named(&merged_then.set())
        .difference(&pruned.named(&pruned.set()))
        .intersection(&last_named);
    let pruned = merged_then.without(&gone);
    pruned
        .convert(context, context.api_version)
        .known()
        .unwrap_or(merged)
}

/// Puts back what any manager owns, this one's new configuration included, version by version.
fn add_back_owned<'a>(
    context: &Context<'a>,
    merged: &Typed<'a>,
    pruned: Typed<'a>,
    last: &Owned,
    managers: &Managers,
) -> Typed<'a> {
    let mut by_version: BTreeMap<&str, Set> = BTreeMap::new();
    for owned in managers.0.values() {
        let set = by_version.entry(&owned.api_version).or_default();
        *set = set.union(&owned.set);
    }
    // The version of the pruned object comes first: what another version needs to be converted is back by then.
    let first = by_version
        .remove_entry(last.api_version.as_str())
        .into_iter();
    let mut merged = merged.clone();
    let mut pruned = pruned;
    for (version, owned) in first.chain(by_version) {
        let converted = (
            merged.convert(context, version),
            pruned.convert(context, version),
        );
        let (merged_then, pruned_then) = match converted {
            (InVersion::Known(merged), InVersion::Known(pruned)) => (merged, pruned),
            (InVersion::Absent, _) | (_, InVersion::Absent) => continue,
            // What is owned there by the same path stays: of two mistakes that is the one that takes nothing from anybody.
            _ => (merged.clone(), pruned),
        };
        let kept = pruned_then
            .named(&pruned_then.set())
            .union(&merged_then.named(&owned));
        let gone = merged_then.named(&merged_then.set()).difference(&kept);
        pruned = merged_then.without(&gone);
        merged = merged_then;
    }
    pruned
}
