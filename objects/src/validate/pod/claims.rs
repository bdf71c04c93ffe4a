//! The spec of a claim of a volume, as templates of claims have it.

use super::{Faults, Spot, resources};
use crate::{
    invalid::Invalid,
    validate::{amount, names, selectors},
};

const ACCESS_MODES: [&str; 4] = [
    "ReadOnlyMany",
    "ReadWriteMany",
    "ReadWriteOnce",
    "ReadWriteOncePod",
];

pub(in crate::validate) fn spec(spec: &Spot<'_>, faults: &mut Faults) {
    let modes = spec.get("accessModes");
    if modes.list().is_empty() {
        modes.required(faults, "at least 1 access mode is required");
    }
    selectors::check(&spec.get("selector"), faults);
    let (mut alone, mut shared) = (false, false);
    for mode in modes.list().iter().filter_map(serde_json::Value::as_str) {
        if !ACCESS_MODES.contains(&mode) {
            faults.push(Invalid::not_supported(&modes.path, mode, &ACCESS_MODES));
        } else if mode == "ReadWriteOncePod" {
            alone = true;
        } else {
            shared = true;
        }
    }
    if alone && shared {
        modes.forbidden(
            faults,
            "may not use ReadWriteOncePod with other access modes",
        );
    }
    let resources_spot = spec.get("resources");
    let storage = Spot {
        path: resources_spot.path.key("storage"),
        ..resources_spot.get("requests").get("storage")
    };
    match amount::nanos(storage.value) {
        None => storage.required(faults, ""),
        Some(number) if number <= 0 => storage.invalid(faults, "must be greater than zero"),
        Some(_) => resources::quantity("storage", &storage, faults),
    }
    for field in ["storageClassName", "volumeAttributesClassName"] {
        let name = spec.get(field);
        if !name.text().is_empty() {
            name.named(faults, names::subdomain);
        }
    }
    if let Some(mode) = spec.find("volumeMode") {
        mode.one_of(faults, &["Block", "Filesystem"]);
    }
}
