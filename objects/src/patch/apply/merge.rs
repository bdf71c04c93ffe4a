//! Merging an applied configuration into an object: what it says wins, what it leaves out stays.

use std::collections::BTreeMap;

use super::element::Element;
use super::place::{Form, List, MapForm, Place};
use crate::{Map, Value};

/// The live value with the applied one merged in; none where nothing is left.
pub(super) fn merge(
    live: Option<&Value>,
    applied: Option<&Value>,
    place: Place<'_>,
) -> Option<Value> {
    let chosen = applied.or(live)?;
    match place.form(Some(chosen)) {
        Form::List(list) if !list.atomic => {
            let (live, applied) = (items(live), items(applied));
            if live.is_empty() && applied.is_empty() {
                return Some(chosen.clone());
            }
            let (live, applied) = (with_elements(live, list), with_elements(applied, list));
            let merged = Lists::new(&live, &applied, list).merge();
            (!merged.is_empty()).then_some(Value::Array(merged))
        }
        Form::Map(map) if !map.atomic => {
            let (live, applied) = (
                live.and_then(Value::as_object),
                applied.and_then(Value::as_object),
            );
            if live.is_none_or(Map::is_empty) && applied.is_none_or(Map::is_empty) {
                return Some(chosen.clone());
            }
            let merged = fields(live, applied, map);
            (!merged.is_empty()).then_some(Value::Object(merged))
        }
        _ => Some(chosen.clone()),
    }
}

fn items(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn fields(live: Option<&Map>, applied: Option<&Map>, map: MapForm<'_>) -> Map {
    let mut merged = Map::new();
    let one = |name: &str, live: Option<&Value>, applied: Option<&Value>| {
        merge(live, applied, map.field(name)?.place)
    };
    for (name, value) in live.into_iter().flatten() {
        let applied = applied.and_then(|fields| fields.get(name));
        if let Some(value) = one(name, Some(value), applied) {
            merged.insert(name.clone(), value);
        }
    }
    for (name, value) in applied.into_iter().flatten() {
        if live.is_some_and(|fields| fields.contains_key(name)) {
            continue;
        }
        if let Some(value) = one(name, None, Some(value)) {
            merged.insert(name.clone(), value);
        }
    }
    merged
}

/// Two lists that are merged by element.
struct Lists<'a, 'b> {
    list: List<'a>,
    live: &'b [(Element, &'a Value)],
    applied: &'b [(Element, &'a Value)],
    /// None for an element that is there more than once: no one of them can be merged into.
    live_by_element: BTreeMap<&'b Element, Option<&'a Value>>,
    applied_by_element: BTreeMap<&'b Element, &'a Value>,
}

fn with_elements<'a>(items: &'a [Value], list: List<'_>) -> Vec<(Element, &'a Value)> {
    items
        .iter()
        .filter_map(|item| Some((list.element(item).ok()?, item)))
        .collect()
}

impl<'a, 'b> Lists<'a, 'b> {
    fn new(
        live: &'b [(Element, &'a Value)],
        applied: &'b [(Element, &'a Value)],
        list: List<'a>,
    ) -> Lists<'a, 'b> {
        let mut live_by_element = BTreeMap::new();
        for (element, item) in live {
            live_by_element
                .entry(element)
                .and_modify(|item| *item = None)
                .or_insert(Some(*item));
        }
        let applied_by_element = applied
            .iter()
            .map(|(element, item)| (element, *item))
            .collect();
        Lists {
            list,
            live,
            applied,
            live_by_element,
            applied_by_element,
        }
    }

    /// The elements of both. The applied order holds among applied elements, and the others stay near where they were.
    fn merge(&self) -> Vec<Value> {
        let mut merged = Vec::with_capacity(self.live.len().max(self.applied.len()));
        let mut done = std::collections::BTreeSet::new();
        let mut shared = self
            .applied
            .iter()
            .map(|(element, _)| element)
            .filter(|element| self.live_by_element.contains_key(element));
        let mut next_shared = shared.next();
        let (mut at_live, mut at_applied) = (0, 0);
        while at_live < self.live.len() || at_applied < self.applied.len() {
            let live = self.live.get(at_live);
            let applied = self.applied.get(at_applied);
            if let (Some((left, _)), Some((right, _))) = (live, applied) {
                if left == right {
                    done.insert(left);
                    merged.extend(self.item(left));
                    at_live += 1;
                    at_applied += 1;
                    next_shared = shared.next();
                    continue;
                }
                let is_later = next_shared.is_some_and(|next| next != left);
                if is_later && self.applied_by_element.contains_key(left) {
                    at_live += 1;
                    continue;
                }
            }
            if let Some((element, item)) = live {
                if !self.applied_by_element.contains_key(element) {
                    merged.extend(merge(Some(item), None, self.list.items));
                    at_live += 1;
                    continue;
                }
                if done.contains(element) {
                    at_live += 1;
                }
            }
            if let Some((element, _)) = applied {
                done.insert(element);
                merged.extend(self.item(element));
                at_applied += 1;
                if next_shared == Some(element) {
                    next_shared = shared.next();
                }
            }
        }
        merged
    }

    /// An applied element, merged into its live one.
    fn item(&self, element: &Element) -> Option<Value> {
        let live = self.live_by_element.get(element).copied().flatten();
        let applied = self.applied_by_element.get(element).copied();
        merge(live, applied, self.list.items)
    }
}
