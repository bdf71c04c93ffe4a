//! The rules of a resource, wherever they come from: built-in kinds have theirs in `objects`, custom ones in their definition.

use objects::invalid::Faults;
use objects::status::Status;
use objects::strategy::Strategy;
use objects::{Value, convert, defaults, strategy, validate};

use crate::served::{Origin, Served};

/// How requests for a resource are treated.
pub(super) fn traits(served: &Served) -> &'static Strategy {
    strategy::traits(&served.resource.group, &served.resource.kind)
}

/// Fills in what an author did not say.
pub(super) fn apply_defaults(served: &Served, object: &mut Value) {
    defaults::apply(&served.resource.group, &served.resource.kind, object);
}

pub(super) fn prepare_create(served: &Served, object: &mut Value) {
    strategy::prepare_create(&served.resource.group, &served.resource.kind, object);
}

pub(super) fn prepare_update(served: &Served, subresource: &str, new: &mut Value, old: &Value) {
    if subresource == "binding" {
        // It is made of the old object, and changes parts of its status too.
        return;
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
    validate::create(&served.resource.group, &served.resource.kind, object)
}

pub(super) fn validate_update(
    served: &Served,
    subresource: &str,
    new: &Value,
    old: &Value,
) -> Faults {
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
    validate::warnings(&served.resource.group, &served.resource.kind, new, old)
}

/// An object in the version that is asked for. Objects are stored in one version of their kind.
pub(super) fn convert(served: &Served, mut object: Value) -> Result<Value, Status> {
    let wanted = served.resource.api_version();
    if !served.is_custom() {
        return Ok(convert::convert(object, &wanted));
    }
    if object.get("apiVersion").and_then(Value::as_str) != Some(&wanted) {
        object["apiVersion"] = Value::from(wanted);
    }
    Ok(object)
}

/// An object in the version in which its kind is stored.
pub(super) fn to_stored(served: &Served, object: Value) -> Result<Value, Status> {
    let resource = &served.resource;
    let version = convert::stored_version(&resource.api_version(), &resource.kind);
    Ok(match version {
        Some(version) if !served.is_custom() => convert::convert(object, version),
        _ => object,
    })
}

/// Whether objects are stored in the version that is asked for.
pub(super) fn is_stored_as_served(served: &Served) -> bool {
    match &served.origin {
        Origin::Builtin => {
            let resource = &served.resource;
            convert::stored_version(&resource.api_version(), &resource.kind).is_none()
        }
        Origin::Custom(custom) => custom.storage_version == served.resource.version,
    }
}
