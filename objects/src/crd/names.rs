//! Who may have which name: of two definitions in a group that want the same one, the first that got it.

use std::collections::BTreeSet;

use serde_json::json;

use super::conditions::{condition, status_of};
use crate::{Value, invalid::aggregate, meta};

/// The names that other definitions of a group have.
#[derive(Debug, Default)]
pub struct Names {
    resources: BTreeSet<String>,
    kinds: BTreeSet<String>,
}

impl Names {
    /// The names that all definitions of a group but one have.
    pub fn of_others<'a>(definition: &Value, all: impl IntoIterator<Item = &'a Value>) -> Names {
        let group = |definition: &Value| meta::text(definition, &["spec", "group"]).to_owned();
        let mut names = Names::default();
        for other in all {
            if group(other) != group(definition) || meta::uid(other) == meta::uid(definition) {
                continue;
            }
            let text =
                |field: &str| meta::text(other, &["status", "acceptedNames", field]).to_owned();
            names.resources.extend([text("plural"), text("singular")]);
            let short = meta::list(other, &["status", "acceptedNames", "shortNames"]);
            names
                .resources
                .extend(short.iter().filter_map(Value::as_str).map(str::to_owned));
            names.kinds.extend([text("kind"), text("listKind")]);
        }
        names
    }
}

/// The four names that a definition has one each of, and the reason of a conflict about them.
const SINGLE: [(&str, &str, bool); 4] = [
    ("plural", "PluralConflict", false),
    ("singular", "SingularConflict", false),
    ("kind", "KindConflict", true),
    ("listKind", "ListKindConflict", true),
];

/// Writes into a definition which of its names it gets and whether its kind is served. Tells whether anything changed.
pub fn accept(definition: &mut Value, others: &Names, now: &str) -> bool {
    let wanted = meta::at(definition, &["spec", "names"])
        .cloned()
        .unwrap_or_else(|| json!({}));
    let before = meta::at(definition, &["status", "acceptedNames"]).cloned();
    let mut accepted = before.clone().unwrap_or_else(|| json!({}));
    let mut conflict = None;
    let in_use = |name: &str| format!("{name:?} is already in use");
    for (field, reason, is_kind) in SINGLE {
        let name = meta::text(&wanted, &[field]);
        let used = if is_kind {
            &others.kinds
        } else {
            &others.resources
        };
        if name != meta::text(&accepted, &[field]) && used.contains(name) {
            conflict = Some((reason, in_use(name)));
        } else {
            accepted[field] = name.into();
        }
    }
    let refused: Vec<String> = meta::list(&wanted, &["shortNames"])
        .iter()
        .filter(|name| !meta::list(&accepted, &["shortNames"]).contains(name))
        .filter_map(Value::as_str)
        .filter(|name| others.resources.contains(*name))
        .map(in_use)
        .collect();
    if refused.is_empty() {
        copy_list(&wanted, &mut accepted, "shortNames");
    } else if !matches!(conflict, Some(("KindConflict" | "ListKindConflict", _))) {
        // Upstream tells the last of several conflicts, and looks at the kinds last.
        conflict = Some(("ShortNamesConflict", aggregate(&refused)));
    }
    copy_list(&wanted, &mut accepted, "categories");
    let mut changed = before.as_ref() != Some(&accepted);
    meta::fields_mut(definition, "status").insert("acceptedNames".to_owned(), accepted);
    let (status, reason, message) = match &conflict {
        Some((reason, message)) => ("False", *reason, message.as_str()),
        None => ("True", "NoConflicts", "no conflicts found"),
    };
    changed |= condition(definition, ["NamesAccepted", status, reason, message], now);
    let established = match (status_of(definition, "Established"), status) {
        // What was served once is served on.
        (Some("True"), _) => return changed,
        (_, "True") => [
            "Established",
            "True",
            "InitialNamesAccepted",
            "the initial names have been accepted",
        ],
        _ => [
            "Established",
            "False",
            "NotAccepted",
            "not all names are accepted",
        ],
    };
    condition(definition, established, now) | changed
}

fn copy_list(from: &Value, to: &mut Value, field: &str) {
    let fields = to.as_object_mut();
    match (from.get(field).filter(|list| !list.is_null()), fields) {
        (Some(list), Some(fields)) => {
            fields.insert(field.to_owned(), list.clone());
        }
        (None, Some(fields)) => {
            fields.remove(field);
        }
        _ => {}
    }
}
