//! How the objects of a kind are made ready before they are checked: what a request may not set, and when a generation ends.

use serde_json::json;

use crate::{Value, meta, validate::metadata::same};

mod kinds;
pub(crate) mod pod;
mod workloads;

/// How requests for the objects of one kind are treated.
#[derive(Debug, Clone, Copy)]
pub struct Strategy {
    pub group: &'static str,
    pub kind: &'static str,
    /// A PUT to a name that is not there creates.
    pub allow_create_on_update: bool,
    /// An update without a resource version takes the place of whatever is there.
    pub allow_unconditional_update: bool,
    /// `status` is written through its subresource alone.
    pub has_status: bool,
    /// `metadata.generation` counts the changes of the spec.
    pub has_generation: bool,
    /// What a deletion without a policy does with dependents.
    pub orphans_dependents: bool,
    /// How long a deletion waits where neither request nor object say; none for kinds that go at once.
    pub grace_period_seconds: Option<i64>,
    /// Makes a new object ready, which has a uid already.
    pub create: fn(&mut Value),
    /// Makes an object ready that takes the place of another; the first is the subresource.
    pub update: fn(Option<&str>, &mut Value, &Value),
}

impl Strategy {
    /// What most kinds with spec and status do.
    #[must_use]
    pub const fn new(group: &'static str, kind: &'static str) -> Strategy {
        Strategy {
            group,
            kind,
            allow_create_on_update: false,
            allow_unconditional_update: true,
            has_status: true,
            has_generation: true,
            orphans_dependents: false,
            grace_period_seconds: None,
            create: |_| {},
            update: |_, _, _| {},
        }
    }

    /// What most kinds without a status do.
    #[must_use]
    pub const fn plain(group: &'static str, kind: &'static str) -> Strategy {
        let mut strategy = Strategy::new(group, kind);
        strategy.has_status = false;
        strategy.has_generation = false;
        strategy
    }
}

/// The tables of all rooms.
const TABLES: [&[Strategy]; 4] = [
    pod::STRATEGIES,
    workloads::STRATEGIES,
    kinds::STRATEGIES,
    crate::crd::STRATEGIES,
];

/// A kind that no table names.
static OTHER: Strategy = Strategy::plain("", "");

/// How a kind is treated.
#[must_use]
pub fn traits(group: &str, kind: &str) -> &'static Strategy {
    TABLES
        .iter()
        .flat_map(|table| table.iter())
        .find(|strategy| strategy.kind == kind && strategy.group == group)
        .unwrap_or(&OTHER)
}

/// Makes an object ready that is to be created: it has its defaults, a name and a uid.
pub fn prepare_create(group: &str, kind: &str, object: &mut Value) {
    let strategy = traits(group, kind);
    if strategy.has_status {
        object["status"] = json!({});
    }
    if strategy.has_generation {
        meta::metadata_mut(object).insert("generation".to_owned(), json!(1));
    } else {
        meta::metadata_mut(object).remove("generation");
    }
    (strategy.create)(object);
}

/// Makes an object ready that is to take the place of `old`: parts that the request may not change are those of `old`.
pub fn prepare_update(
    group: &str,
    kind: &str,
    subresource: Option<&str>,
    new: &mut Value,
    old: &Value,
) {
    let strategy = traits(group, kind);
    keep_metadata(new, old);
    match subresource {
        Some("status") => {
            reset(new, "spec", old);
        }
        // An approval is a condition, and the kind's own function takes nothing else.
        Some("approval") => {}
        _ if strategy.has_status => reset(new, "status", old),
        _ => {}
    }
    (strategy.update)(subresource, new, old);
    if strategy.has_generation
        && subresource != Some("status")
        && !same(new.get("spec"), old.get("spec"))
    {
        raise_generation(new, old);
    }
}

/// Sets the generation to the one after that of the old object.
pub fn raise_generation(new: &mut Value, old: &Value) {
    let before = meta::at(old, &["metadata", "generation"])
        .and_then(Value::as_i64)
        .unwrap_or(0);
    meta::metadata_mut(new).insert("generation".to_owned(), json!(before + 1));
}

/// Gives a field of an object the value that it has in another.
pub fn reset(object: &mut Value, field: &str, other: &Value) {
    let Some(fields) = object.as_object_mut() else {
        return;
    };
    match other.get(field) {
        Some(value) => fields.insert(field.to_owned(), value.clone()),
        None => fields.remove(field),
    };
}

/// Gives a field of metadata the value that it has in another object.
pub fn reset_metadata(object: &mut Value, field: &str, other: &Value) {
    let metadata = meta::metadata_mut(object);
    match meta::at(other, &["metadata", field]) {
        Some(value) => metadata.insert(field.to_owned(), value.clone()),
        None => metadata.remove(field),
    };
}

/// Fields of metadata that the server writes: no update changes them, and some may be left out.
fn keep_metadata(new: &mut Value, old: &Value) {
    let metadata = meta::metadata_mut(new);
    let before = |field: &str| meta::at(old, &["metadata", field]).filter(|value| !value.is_null());
    match before("generation") {
        Some(value) => metadata.insert("generation".to_owned(), value.clone()),
        None => metadata.remove("generation"),
    };
    for field in ["creationTimestamp", "deletionTimestamp"] {
        if let Some(value) = before(field) {
            metadata.insert(field.to_owned(), value.clone());
        }
    }
    for field in ["uid", "deletionGracePeriodSeconds"] {
        let absent = metadata
            .get(field)
            .is_none_or(|value| value.is_null() || value == "");
        if let Some(value) = before(field).filter(|_| absent) {
            metadata.insert(field.to_owned(), value.clone());
        }
    }
}
