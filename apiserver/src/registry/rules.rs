//! The rules of a resource, wherever they come from: built-in kinds have theirs in `objects`, custom ones in their definition.

use objects::invalid::Faults;
use objects::status::Status;
use objects::strategy::Strategy;
use objects::validate::{metadata, names};
use objects::{Value, catalog, convert, defaults, strategy, validate};

use crate::served::{Custom, Origin, Served};

/// Custom kinds: an update names the version that it is of.
static CUSTOM: Strategy = Strategy {
    allow_unconditional_update: false,
    ..Strategy::new("", "")
};

/// How requests for a resource are treated.
pub(super) fn traits(served: &Served) -> &'static Strategy {
    if served.is_custom() {
        return &CUSTOM;
    }
    strategy::traits(&served.resource.group, &served.resource.kind)
}

/// Fills in what an author did not say.
pub(super) fn apply_defaults(served: &Served, object: &mut Value) {
    if let Some(version) = served.custom() {
        return version.apply_defaults(object);
    }
    defaults::apply(&served.resource.group, &served.resource.kind, object);
}

pub(super) fn prepare_create(served: &Served, object: &mut Value) {
    if let Some(version) = served.custom() {
        return version.prepare_create(object);
    }
    strategy::prepare_create(&served.resource.group, &served.resource.kind, object);
}

pub(super) fn prepare_update(served: &Served, subresource: &str, new: &mut Value, old: &Value) {
    if subresource == "binding" {
        // It is made of the old object, and changes parts of its status too.
        return;
    }
    if let Some(version) = served.custom() {
        return version.prepare_update(subresource, new, old);
    }
    let subresource = Some(subresource).filter(|name| !name.is_empty());
    strategy::prepare_update(
        &served.resource.group,
        &served.resource.kind,
        subresource,
        new,
        old,
    );
}

pub(super) fn validate_create(served: &Served, object: &Value) -> Faults {
    if let Some(version) = served.custom() {
        let mut faults = Faults::new();
        let namespaced = served.resource.namespaced;
        metadata::general(object, namespaced, names::subdomain, &mut faults);
        faults.extend(version.validate(object, None));
        return faults;
    }
    validate::create(&served.resource.group, &served.resource.kind, object)
}

pub(super) fn validate_update(
    served: &Served,
    subresource: &str,
    new: &Value,
    old: &Value,
) -> Faults {
    if let Some(version) = served.custom() {
        let mut faults = Faults::new();
        metadata::general_update(new, old, &mut faults);
        faults.extend(version.validate(new, Some(old)));
        return faults;
    }
    let (group, kind) = (&served.resource.group, &served.resource.kind);
    match subresource {
        "" | "scale" => validate::update(group, kind, new, old),
        "status" => validate::status_update(group, kind, new, old),
        // A binding changes what no update may, and has rules of its own.
        "binding" => Faults::new(),
        name => validate::subresource_update(group, kind, name, new, old),
    }
}

pub(super) fn warnings(served: &Served, new: &Value, old: Option<&Value>) -> Vec<String> {
    if served.is_custom() {
        return metadata::finalizer_warnings(new, old);
    }
    validate::warnings(&served.resource.group, &served.resource.kind, new, old)
}

/// An object in the version that is asked for. Objects are stored in one version of their kind.
pub(super) async fn convert(served: &Served, object: Value) -> Result<Value, Status> {
    let mut converted = convert_all(served, vec![object]).await?;
    Ok(converted.pop().unwrap_or_default())
}

/// Objects in the version that is asked for.
pub(super) async fn convert_all(
    served: &Served,
    objects: Vec<Value>,
) -> Result<Vec<Value>, Status> {
    let wanted = served.resource.api_version();
    let Origin::Custom(custom) = &served.origin else {
        let converted = objects.into_iter();
        return Ok(converted
            .map(|object| convert::convert(object, &wanted))
            .collect());
    };
    let mut converted = to_version(custom, objects, &wanted).await?;
    if custom.version.has_defaults() {
        for object in &mut converted {
            custom.version.apply_defaults(object);
        }
    }
    Ok(converted)
}

/// Custom objects in a version, by their webhook where there is one.
async fn to_version(
    custom: &Custom,
    mut objects: Vec<Value>,
    wanted: &str,
) -> Result<Vec<Value>, Status> {
    let other: Vec<usize> = (0..objects.len())
        .filter(|at| objects[*at].get("apiVersion").and_then(Value::as_str) != Some(wanted))
        .collect();
    if other.is_empty() {
        return Ok(objects);
    }
    let is_own = wanted.ends_with(&format!("/{}", custom.version.name()));
    let mut given: Vec<Value> = other.iter().map(|at| objects[*at].take()).collect();
    match &custom.conversion {
        Some(conversion) => given = conversion.convert(given, wanted).await?,
        None => {
            for object in &mut given {
                object["apiVersion"] = Value::from(wanted);
            }
        }
    }
    for (at, mut object) in other.into_iter().zip(given) {
        if is_own {
            custom.version.prune(&mut object);
        }
        objects[at] = object;
    }
    Ok(objects)
}

/// An object in the version in which it is made ready and validated: a built-in one as it is stored, a custom one as it was sent.
pub(super) fn to_working(served: &Served, object: Value) -> Value {
    if served.is_custom() {
        return object;
    }
    let resource = &served.resource;
    match convert::stored_version(&resource.api_version(), &resource.kind) {
        Some(version) => convert::convert(object, version),
        None => object,
    }
}

/// An object that was made ready, in the version in which its kind is stored.
pub(super) async fn to_stored(served: &Served, object: Value) -> Result<Value, Status> {
    let Origin::Custom(custom) = &served.origin else {
        return Ok(object);
    };
    let stored = catalog::api_version(&served.resource.group, &custom.storage_version);
    let mut converted = to_version(custom, vec![object], &stored).await?;
    Ok(converted.pop().unwrap_or_default())
}

/// An object as its fields are compared with a selector.
pub(super) fn to_selected(served: &Served, mut object: Value) -> Value {
    match served.custom() {
        // What a webhook would make of it is not asked: the fields are those that are stored.
        Some(version) => {
            version.apply_defaults(&mut object);
            object
        }
        None => convert::convert(object, &served.resource.api_version()),
    }
}

/// Whether objects are stored in the version that is asked for.
pub(super) fn is_stored_as_served(served: &Served) -> bool {
    match &served.origin {
        Origin::Builtin => {
            let resource = &served.resource;
            convert::stored_version(&resource.api_version(), &resource.kind).is_none()
        }
        Origin::Measured(_) => true,
        Origin::Custom(custom) => custom.is_only_version && !custom.version.has_defaults(),
    }
}
