//! The set of fields of an object, and sets of fields seen through a type.

use std::collections::BTreeMap;

use super::element::Element;
use super::place::{Form, List, MapForm, Place};
use super::set::{Node, Set};
use crate::{Map, Value};

/// The fields that an object sets: scalars, what is in one piece, elements of lists, keys of maps, and what is empty or null.
pub(super) fn set_of(value: &Value, place: Place<'_>) -> Set {
    below(value, place).0
}

/// What is set below a place, and if the place itself is a leaf.
fn below(value: &Value, place: Place<'_>) -> (Set, bool) {
    match (place.form(Some(value)), value) {
        (Form::Scalar(_), _) => (Set::default(), true),
        (Form::List(list), _) if list.atomic => (Set::default(), true),
        (Form::Map(map), _) if map.atomic => (Set::default(), true),
        (Form::List(list), Value::Array(items)) => (items_of(items, list), false),
        (Form::Map(map), Value::Object(fields)) => (fields_of(fields, map), false),
        _ => (Set::default(), false),
    }
}

fn fields_of(fields: &Map, map: MapForm<'_>) -> Set {
    let nodes = fields
        .iter()
        .filter_map(|(name, value)| {
            let field = map.field(name)?;
            let (below, leaf) = below(value, field.place);
            let empty = value.is_null() || value.as_object().is_some_and(Map::is_empty);
            let member = leaf || empty || !field.named;
            (member || !below.is_empty()).then(|| Node::new(Element::field(name), member, below))
        })
        .collect();
    Set::from_nodes(nodes)
}

fn items_of(items: &[Value], list: List<'_>) -> Set {
    let mut nodes: BTreeMap<Element, Set> = BTreeMap::new();
    for item in items {
        let Ok(element) = list.element(item) else {
            continue;
        };
        // An element that is there more than once is owned as a whole.
        nodes
            .entry(element)
            .and_modify(|set| *set = Set::default())
            .or_insert_with(|| below(item, list.items).0);
    }
    let nodes = nodes
        .into_iter()
        .map(|(element, below)| Node::new(element, true, below))
        .collect();
    Set::from_nodes(nodes)
}

/// The set with all named fields that lead to its members as members themselves. A place of no type names nothing.
pub(super) fn with_named(set: &Set, place: Option<Place<'_>>) -> Set {
    let nodes = set
        .nodes()
        .iter()
        .map(|node| {
            let (place, named) = step(place, &node.element);
            let leads = named && !node.below.is_empty();
            Node::new(
                node.element.clone(),
                node.member || leads,
                with_named(&node.below, place),
            )
        })
        .collect();
    Set::from_nodes(nodes)
}

/// The place that a step leads to, and if it is a named field.
fn step<'a>(place: Option<Place<'a>>, element: &Element) -> (Option<Place<'a>>, bool) {
    match (place.map(|place| place.form(None)), element) {
        (Some(Form::Map(map)), Element::Field(name)) => match map.field(name) {
            Some(field) => (Some(field.place), field.named),
            None => (None, false),
        },
        (Some(Form::List(list)), Element::Key(_)) => (Some(list.items), false),
        _ => (None, false),
    }
}

/// The set as it is under a type that takes some places in one piece which were granular before; none where nothing changes.
pub(super) fn in_pieces(set: &Set, place: Place<'_>) -> Option<Set> {
    let mut changed: Option<Vec<Node>> = None;
    for (index, node) in set.nodes().iter().enumerate() {
        if node.below.is_empty() {
            continue;
        }
        let Some(place) = settled_step(place, &node.element) else {
            continue;
        };
        let atomic = match place.form(None) {
            Form::Scalar(_) => false,
            Form::List(list) => list.atomic,
            Form::Map(map) => map.atomic,
        };
        let below = if atomic {
            Some(Set::default())
        } else {
            in_pieces(&node.below, place)
        };
        if let Some(below) = below {
            let nodes = changed.get_or_insert_with(|| set.nodes().to_vec());
            nodes[index] = Node::new(node.element.clone(), node.member || atomic, below);
        }
    }
    changed.map(Set::from_nodes)
}

/// As `step`, but blind where anything goes: there nothing was ever declared to be in one piece.
fn settled_step<'a>(place: Place<'a>, element: &Element) -> Option<Place<'a>> {
    match (place.form(None), element) {
        (Form::Map(map), Element::Field(name)) if !map.is_deduced() => {
            map.field(name).map(|field| field.place)
        }
        (Form::List(list), _) => Some(list.items),
        _ => None,
    }
}
