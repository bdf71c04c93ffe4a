//! What differs between two versions of an object, as sets of fields.

use std::collections::BTreeMap;

use super::element::{Element, same_values};
use super::place::{Form, List, MapForm, Place};
use super::set::{Node, Set};
use crate::{Map, Value};

/// The fields that came, went and changed from one object to the other.
#[derive(Debug, Clone, Default)]
pub(super) struct Comparison {
    pub removed: Set,
    pub modified: Set,
    pub added: Set,
}

impl Comparison {
    pub(super) fn map(self, change: impl Fn(Set) -> Set) -> Comparison {
        Comparison {
            removed: change(self.removed),
            modified: change(self.modified),
            added: change(self.added),
        }
    }
}

/// What differs at a place: below it, and the place itself.
#[derive(Default)]
struct Difference {
    removed: Side,
    modified: Side,
    added: Side,
}

#[derive(Default)]
struct Side {
    whole: bool,
    below: Vec<Node>,
}

impl Side {
    fn push(&mut self, element: &Element, side: Side) {
        let below = Set::from_nodes(side.below);
        self.below.extend(Node::kept(element, side.whole, below));
    }
}

impl Difference {
    fn is_empty(&self) -> bool {
        [&self.removed, &self.modified, &self.added]
            .iter()
            .all(|side| !side.whole && side.below.is_empty())
    }

    fn push(&mut self, element: &Element, difference: Difference) {
        self.removed.push(element, difference.removed);
        self.modified.push(element, difference.modified);
        self.added.push(element, difference.added);
    }
}

/// Compares two objects of the same type.
pub(super) fn compare(old: &Value, new: &Value, place: Place<'_>) -> Comparison {
    let difference = differ(Some(old), Some(new), place);
    Comparison {
        removed: Set::from_nodes(difference.removed.below),
        modified: Set::from_nodes(difference.modified.below),
        added: Set::from_nodes(difference.added.below),
    }
}

fn differ(old: Option<&Value>, new: Option<&Value>, place: Place<'_>) -> Difference {
    let mut difference = Difference::default();
    // Most of an object is as it was, and to see that takes no look at its type.
    if old.is_some() && old == new {
        return difference;
    }
    let (old_form, new_form) = (place.form(old), place.form(new));
    let same_form = std::mem::discriminant(&old_form) == std::mem::discriminant(&new_form);
    let mut leaf = false;
    if new.is_none() || (old.is_some() && !same_form) {
        leaf = differ_as(old, new, old_form, &mut difference);
    }
    if new.is_some() {
        leaf = differ_as(old, new, new_form, &mut difference);
    }
    if !leaf {
        difference.added.whole |= old.is_none();
        difference.removed.whole |= new.is_none();
    }
    difference
}

/// Compares two values as what one of them is taken for; true if that is a leaf.
fn differ_as(
    old: Option<&Value>,
    new: Option<&Value>,
    form: Form<'_>,
    difference: &mut Difference,
) -> bool {
    match form {
        Form::List(list) if !list.atomic => {
            let (old, new) = (items(old), items(new));
            if !old.is_empty() || !new.is_empty() {
                differ_items(old, new, list, difference);
                return false;
            }
        }
        Form::Map(map) if !map.atomic => {
            let fields = |value: Option<&'_ Value>| {
                value
                    .and_then(Value::as_object)
                    .is_some_and(|fields| !fields.is_empty())
            };
            if fields(old) || fields(new) {
                let none = Map::new();
                let old = old.and_then(Value::as_object).unwrap_or(&none);
                let new = new.and_then(Value::as_object).unwrap_or(&none);
                differ_fields(old, new, map, difference);
                return false;
            }
        }
        _ => {}
    }
    match (old, new) {
        (None, _) => difference.added.whole = true,
        (_, None) => difference.removed.whole = true,
        (Some(old), Some(new)) => difference.modified.whole |= !same_values(old, new),
    }
    true
}

fn items(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn differ_fields(old: &Map, new: &Map, map: MapForm<'_>, difference: &mut Difference) {
    let mut one = |name: &str, old: Option<&Value>, new: Option<&Value>| {
        let Some(field) = map.field(name) else {
            return;
        };
        let below = differ(old, new, field.place);
        if !below.is_empty() {
            difference.push(&Element::field(name), below);
        }
    };
    for (name, value) in old {
        one(name, Some(value), new.get(name));
    }
    for (name, value) in new {
        if !old.contains_key(name) {
            one(name, None, Some(value));
        }
    }
}

fn differ_items(old: &[Value], new: &[Value], list: List<'_>, difference: &mut Difference) {
    if old == new {
        return;
    }
    let mut pairs: BTreeMap<Element, (Vec<&Value>, Vec<&Value>)> = BTreeMap::new();
    for item in old {
        if let Ok(element) = list.element(item) {
            pairs.entry(element).or_default().0.push(item);
        }
    }
    for item in new {
        if let Ok(element) = list.element(item) {
            pairs.entry(element).or_default().1.push(item);
        }
    }
    for (element, (old, new)) in pairs {
        let below = differ_same_element(&old, &new, list.items);
        if !below.is_empty() {
            difference.push(&element, below);
        }
    }
}

/// Compares all items of one element. Where there is more than one, they are one thing together.
fn differ_same_element(old: &[&Value], new: &[&Value], place: Place<'_>) -> Difference {
    match (old, new) {
        ([_, _, ..], [_, _, ..]) => {
            let same = old.len() == new.len()
                && old.iter().zip(new).all(|(old, new)| same_values(old, new));
            let mut difference = Difference::default();
            difference.modified.whole = !same;
            difference
        }
        ([_, _, ..], _) => {
            let mut difference = new
                .first()
                .map(|new| differ(None, Some(new), place))
                .unwrap_or_default();
            difference.removed.whole = true;
            difference
        }
        (_, [_, _, ..]) => {
            let mut difference = old
                .first()
                .map(|old| differ(Some(old), None, place))
                .unwrap_or_default();
            difference.added.whole = true;
            difference
        }
        _ => differ(old.first().copied(), new.first().copied(), place),
    }
}
