//! The rules of a resource, wherever they come from: built-in kinds have theirs in `objects`, custom ones in their definition.

use objects::invalid::Faults;
use objects::status::Status;
use objects::strategy::Strategy;
use objects::validate::{metadata, names};
use objects::{Value, catalog, convert, defaults, strategy, validate};

use crate::served::{Origin, Served};

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
pub(super) fn convert(served: &Served, mut object: Value) -> Result<Value, Status> {
    let wanted = served.resource.api_version();
    if !served.is_custom() {
        return Ok(convert::convert(object, &wanted));
    }
    if object.get("apiVersion").and_then(Value::as_str) != Some(&wanted) {
        object["apiVersion"] = Value::from(wanted);
        if let Some(version) = served.custom() {
            version.prune(&mut object);
        }
    }
    if let Some(version) = served.custom()
        && version.has_defaults()
    {
        version.apply_defaults(&mut object);
    }
    Ok(object)
}

/// An object in the version in which its kind is stored.
pub(super) fn to_stored(served: &Served, mut object: Value) -> Result<Value, Status> {
    let resource = &served.resource;
    match &served.origin {
        Origin::Custom(custom) => {
            let stored = catalog::api_version(&resource.group, &custom.storage_version);
            object["apiVersion"] = Value::from(stored);
            Ok(object)
        }
        Origin::Builtin => {
            let version = convert::stored_version(&resource.api_version(), &resource.kind);
            Ok(match version {
                Some(version) => convert::convert(object, version),
                None => object,
            })
        }
    }
}

/// Whether objects are stored in the version that is asked for.
pub(super) fn is_stored_as_served(served: &Served) -> bool {
    match &served.origin {
        Origin::Builtin => {
            let resource = &served.resource;
            convert::stored_version(&resource.api_version(), &resource.kind).is_none()
        }
        Origin::Custom(custom) => {
            custom.storage_version == served.resource.version && !custom.version.has_defaults()
        }
    }
}
