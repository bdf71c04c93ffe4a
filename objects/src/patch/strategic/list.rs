//! Lists in strategic merge patches: elements that are told apart by a key or by themselves, and the order they end up in.

use std::collections::{HashMap, HashSet};

use super::{
    DIRECTIVE, SET_ELEMENT_ORDER, after_directive, field, no_merge_key, refused, unknown_directive,
    without_directives, wrong_type,
};
use crate::{
    Map, Value,
    patch::go,
    schema::{At, Patch},
    status::Status,
};

mod order;

use order::{Slots, arrange};

const LIST: &str = "[]interface {}";
const MAP: &str = "map[string]interface {}";

/// A list's place in the schema.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    items: At<'a>,
    pub(super) rule: &'a Patch,
}

impl<'a> Place<'a> {
    pub(super) fn of(parent: At<'a>, name: &str) -> Result<Place<'a>, Status> {
        let (list, rule) = field(parent, name)?;
        match list.items() {
            Some(items) => Ok(Place { items, rule }),
            None => Err(refused("expected slice or array type, but got: struct")),
        }
    }

    fn key(self) -> Option<&'a str> {
        self.rule.key.as_deref()
    }

    /// What tells an element apart: its merge key, or all of it.
    fn identity(self, element: &Value) -> Result<String, Status> {
        let Some(key) = self.key() else {
            return Ok(element.to_string());
        };
        let fields = element
            .as_object()
            .ok_or_else(|| wrong_type(MAP, element))?;
        let value = fields.get(key).ok_or_else(|| no_merge_key(element, key))?;
        Ok(value.to_string())
    }

    fn identities(self, elements: &[Value]) -> Result<Vec<String>, Status> {
        elements
            .iter()
            .map(|element| self.identity(element))
            .collect()
    }
}

/// A merged list.
pub(super) struct Merged {
    pub(super) elements: Vec<Value>,
    /// The identities of the original's elements, in the order by which its remaining elements are placed among the patch's.
    server_order: Vec<String>,
}

/// Merges the lists whose order the patch sets, and takes them and their directives out of the patch.
pub(super) fn merge_ordered(original: &mut Map, patch: &mut Map, at: At<'_>) -> Result<(), Status> {
    let directives: Vec<String> = patch
        .keys()
        .filter(|name| name.starts_with(SET_ELEMENT_ORDER))
        .cloned()
        .collect();
    for directive in directives {
        let order = match patch.remove(&directive) {
            Some(Value::Array(order)) => order,
            other => return Err(wrong_type(LIST, &other.unwrap_or_default())),
        };
        let name = after_directive(&directive, SET_ELEMENT_ORDER).ok_or_else(malformed_order)?;
        let old = elements(original.get(name))?;
        let new = elements(patch.get(name))?;
        let place = Place::of(at, name)?;
        validate_order(new.as_deref().unwrap_or_default(), &order, place)?;
        let Some(merged) = merge_one(old, new, place)? else {
            continue;
        };
        let wanted = order_identities(&order, place)?;
        let arranged = arrange(merged.elements, &wanted, &merged.server_order, place)?;
        original.insert(name.to_owned(), Value::Array(arranged));
        patch.remove(name);
    }
    Ok(())
}

fn malformed_order() -> Status {
    Status::bad_request("invalid patch format of setElementOrder list")
}

fn elements(value: Option<&Value>) -> Result<Option<Vec<Value>>, Status> {
    match value {
        None => Ok(None),
        Some(Value::Array(elements)) => Ok(Some(elements.clone())),
        Some(other) => Err(wrong_type(LIST, other)),
    }
}

/// The merged list before its order is set; none where neither side has one.
fn merge_one(
    old: Option<Vec<Value>>,
    new: Option<Vec<Value>>,
    place: Place<'_>,
) -> Result<Option<Merged>, Status> {
    same_types(&[
        old.as_deref().unwrap_or_default(),
        new.as_deref().unwrap_or_default(),
    ])
    .or_else(|fault| {
        if old.is_none() && new.is_none() {
            Ok(false)
        } else {
            Err(fault)
        }
    })?;
    let merged = match (old, new) {
        (None, None) => return Ok(None),
        (Some(old), None) => Merged {
            server_order: place.identities(&old)?,
            elements: old,
        },
        (None, Some(new)) => Merged {
            elements: new.into_iter().filter_map(without_directives).collect(),
            server_order: Vec::new(),
        },
        (Some(old), Some(new)) if place.rule.merge => merge(old, new, place, false)?,
        (Some(old), Some(new)) => Merged {
            server_order: place.identities(&old)?,
            elements: new,
        },
    };
    Ok(Some(merged))
}

/// Merges a patch's list into an object's, or takes its elements out of it.
pub(super) fn merge(
    original: Vec<Value>,
    patch: Vec<Value>,
    place: Place<'_>,
    deletes: bool,
) -> Result<Merged, Status> {
    if original.is_empty() && patch.is_empty() {
        return Ok(Merged {
            elements: original,
            server_order: Vec::new(),
        });
    }
    if same_types(&[&original, &patch])? {
        return merge_maps(original, patch, place);
    }
    let server_order: Vec<String> = original.iter().map(Value::to_string).collect();
    let named: Vec<String> = patch.iter().map(Value::to_string).collect();
    if deletes {
        let gone: HashSet<&String> = named.iter().collect();
        let mut elements = original;
        elements.retain(|element| !gone.contains(&element.to_string()));
        return Ok(Merged {
            elements,
            server_order,
        });
    }
    let mut seen = HashSet::new();
    let mut both: Vec<Value> = original.into_iter().chain(patch).collect();
    both.retain(|element| seen.insert(element.to_string()));
    Ok(Merged {
        elements: arrange(both, &named, &server_order, place)?,
        server_order,
    })
}

/// The original's elements while a patch's are merged into them, each beside its identity.
struct Elements {
    elements: Vec<Option<Value>>,
    /// Where the first element of an identity is.
    first: HashMap<String, usize>,
}

fn merge_maps(
    mut original: Vec<Value>,
    patch: Vec<Value>,
    place: Place<'_>,
) -> Result<Merged, Status> {
    let Some(key) = place.key() else {
        let kind = super::kind_name(place.items);
        return Err(refused(format!(
            "cannot merge lists without merge key for {kind}"
        )));
    };
    let mut slots = Slots::of(&original, key);
    let (patch, replaces) = directives(&mut original, patch, key, &mut slots)?;
    if replaces {
        let elements = arrange(patch.clone(), &[], &place.identities(&patch)?, place)?;
        return Ok(Merged {
            elements,
            server_order: slots.identities(),
        });
    }
    let patch_order = place.identities(&patch)?;
    let original_order = place.identities(&original)?;
    let mut merged = Elements {
        first: HashMap::new(),
        elements: original.into_iter().map(Some).collect(),
    };
    for (index, identity) in original_order.iter().enumerate() {
        merged.first.entry(identity.clone()).or_insert(index);
    }
    for (element, identity) in patch.into_iter().zip(&patch_order) {
        merge_element(&mut merged, element, identity, place)?;
        slots.append(identity, merged.elements.len());
    }
    let elements = merged.elements.into_iter().flatten().collect();
    Ok(Merged {
        elements: arrange(elements, &patch_order, &original_order, place)?,
        server_order: slots.identities(),
    })
}

fn merge_element(
    merged: &mut Elements,
    element: Value,
    identity: &str,
    place: Place<'_>,
) -> Result<(), Status> {
    let index = merged.first.get(identity).copied();
    match (
        index.and_then(|index| merged.elements.get_mut(index)),
        element,
    ) {
        (Some(slot), Value::Object(patch)) => {
            let Some(Value::Object(old)) = slot.take() else {
                unreachable!("all elements are objects: their types were compared");
            };
            *slot = Some(Value::Object(super::merge(old, patch, place.items)?));
        }
        (_, element) => {
            merged
                .first
                .insert(identity.to_owned(), merged.elements.len());
            merged.elements.push(Some(element));
        }
    }
    Ok(())
}

/// Does what the elements with a `$patch` say; what remains of the patch, and whether it replaces the list.
fn directives(
    original: &mut Vec<Value>,
    patch: Vec<Value>,
    key: &str,
    slots: &mut Slots,
) -> Result<(Vec<Value>, bool), Status> {
    let mut replaces = false;
    let mut rest = Vec::new();
    let mut gone = Vec::new();
    for element in patch {
        let word = match element.get(DIRECTIVE) {
            None => {
                rest.push(element);
                continue;
            }
            Some(word) => word.as_str(),
        };
        match word {
            Some("delete") => {
                let value = element
                    .get(key)
                    .ok_or_else(|| no_merge_key(&element, key))?;
                gone.push(value.to_string());
            }
            Some("replace") => replaces = true,
            Some("merge") => {
                return Err(refused(
                    "merging lists cannot yet be specified in the patch",
                ));
            }
            _ => {
                let fields = element.as_object().cloned().unwrap_or_default();
                return Err(unknown_directive(&element[DIRECTIVE], fields));
            }
        }
    }
    let named: HashSet<&String> = gone.iter().collect();
    original.retain(|element| {
        let identity = element.get(key).map(Value::to_string);
        !identity.is_some_and(|identity| named.contains(&identity))
    });
    slots.remove(&gone);
    Ok((rest, replaces))
}

/// Whether all elements are maps, if they are of one type.
fn same_types(lists: &[&[Value]]) -> Result<bool, Status> {
    let mut all = lists.iter().copied().flatten();
    let Some(first) = all.next() else {
        return Err(refused("no elements in any of the given slices"));
    };
    if first.is_array() {
        return Err(super::unprocessable());
    }
    if all.any(|element| go::type_name(element) != go::type_name(first)) {
        let shown: Vec<String> = lists.iter().map(|list| go::show_list(list)).collect();
        return Err(refused(format!(
            "list element types are not identical: [{}]",
            shown.join(" ")
        )));
    }
    Ok(first.is_object())
}

/// Holds the patch's elements against the order it sets: they must be in it, in its order.
fn validate_order(patch: &[Value], order: &[Value], place: Place<'_>) -> Result<(), Status> {
    if patch.is_empty() || order.is_empty() {
        return Ok(());
    }
    let is_other = |element: &&Value| place.key().is_some() && !element.is_object();
    if let Some(other) = patch.iter().find(is_other) {
        return Err(wrong_type(MAP, other));
    }
    let stays = |element: &&Value| {
        place.key().is_none() || element.get(DIRECTIVE).is_none_or(|word| word != "delete")
    };
    let mut rest = patch.iter().filter(stays).peekable();
    let mut wanted = order.iter().peekable();
    while let (Some(element), Some(other)) = (rest.peek(), wanted.peek()) {
        if element.get(DIRECTIVE).is_some() {
            rest.next();
            continue;
        }
        let is_here = place.identity(element)? == place.identity(other)?;
        wanted.next();
        if is_here {
            rest.next();
        }
    }
    // What still waits when the order is at its end is not in it, other directives included.
    if rest.peek().is_some() {
        return Err(refused(format!(
            "The order in patch list:\n{}\n doesn't match {SET_ELEMENT_ORDER} list:\n{}\n",
            go::show_list(patch),
            go::show_list(order)
        )));
    }
    Ok(())
}

fn order_identities(order: &[Value], place: Place<'_>) -> Result<Vec<String>, Status> {
    for (index, element) in order.iter().enumerate() {
        if place.key().is_some() && !element.is_object() {
            return Err(refused(format!("value for key {index} is not a map")));
        }
    }
    place.identities(order)
}
