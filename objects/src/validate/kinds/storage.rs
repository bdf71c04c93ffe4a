//! Classes, drivers, capacities and attachments of volumes.

use std::collections::BTreeSet;

use super::{
    amount, rules,
    view::{self, IMMUTABLE, View, same},
    volumes,
};
use crate::{
    Value,
    invalid::{Faults, Invalid},
    validate::names,
};

const PARAMETERS_BYTES_MAX: usize = 256 * 1024;
const PARAMETERS_MAX: usize = 512;
const METADATA_BYTES_MAX: usize = 256 * 1024;
const MESSAGE_LENGTH_MAX: usize = 1024;
const NODE_ID_LENGTH_MAX: usize = 256;
const UPDATE_PERIOD_SECONDS_MIN: i64 = 10;
const TOKEN_SECONDS_MIN: i64 = 600;
const TOKEN_SECONDS_MAX: i64 = 1 << 32;

pub(super) fn class(new: &Value, faults: &mut Faults) {
    let root = View::root(new);
    provisioner(&root.at("provisioner"), faults);
    parameters(&root.at("parameters"), true, faults);
    let policy = root.at("reclaimPolicy");
    if !policy.is_empty() {
        policy.one_of(&["Delete", "Retain"], faults);
    }
    let mode = root.at("volumeBindingMode");
    if mode.is_set() {
        mode.one_of(&["Immediate", "WaitForFirstConsumer"], faults);
    } else {
        faults.push(mode.required(""));
    }
    topologies(&root.at("allowedTopologies"), faults);
}

pub(super) fn class_update(new: &Value, old: &Value, faults: &mut Faults) {
    for field in [
        "parameters",
        "provisioner",
        "reclaimPolicy",
        "volumeBindingMode",
    ] {
        let before = View::root(old).at(field);
        View::root(new).at(field).immutable(&before, faults);
    }
}

fn provisioner(name: &View<'_>, faults: &mut Faults) {
    if name.require("", faults) {
        let lower = name.text().to_lowercase();
        names::check(faults, &name.path, &lower, names::qualified);
    }
}

fn parameters(parameters: &View<'_>, may_be_empty: bool, faults: &mut Faults) {
    let count = parameters.map().map_or(0, crate::Map::len);
    if count > PARAMETERS_MAX {
        faults.push(Invalid::too_long(&parameters.path, PARAMETERS_MAX));
        return;
    }
    for (key, _) in parameters.entries().filter(|(key, _)| key.is_empty()) {
        let detail = "field can not be empty.";
        faults.push(Invalid::value(&parameters.path, key, detail));
    }
    if map_bytes(parameters) > PARAMETERS_BYTES_MAX {
        faults.push(Invalid::too_long(&parameters.path, PARAMETERS_BYTES_MAX));
    }
    if !may_be_empty && count == 0 {
        faults.push(parameters.required("must contain at least one key/value pair"));
    }
}

fn map_bytes(map: &View<'_>) -> usize {
    map.entries()
        .map(|(key, value)| key.len() + value.text().len())
        .sum()
}

fn topologies(terms: &View<'_>, faults: &mut Faults) {
    let mut seen: Vec<Vec<(&str, BTreeSet<&str>)>> = Vec::new();
    for term in terms.items() {
        let expressions = term.at("matchLabelExpressions");
        let mut found: Vec<(&str, BTreeSet<&str>)> = Vec::new();
        for requirement in expressions.items() {
            let (key, values) = (requirement.at("key"), requirement.at("values"));
            values.require("", faults);
            let mut set = BTreeSet::new();
            for value in values.items() {
                if !set.insert(value.text()) {
                    faults.push(value.duplicate());
                }
            }
            rules::qualified_name(&key, faults);
            if found.iter().any(|(known, _)| *known == key.text()) {
                faults.push(key.duplicate());
            }
            found.push((key.text(), set));
        }
        found.sort();
        for _ in seen.iter().filter(|other| **other == found) {
            faults.push(Invalid::duplicate(&expressions.path, ""));
        }
        seen.push(found);
    }
}

pub(super) fn attributes_class(new: &Value, faults: &mut Faults) {
    let root = View::root(new);
    provisioner(&root.at("driverName"), faults);
    parameters(&root.at("parameters"), false, faults);
}

pub(super) fn attributes_class_update(new: &Value, old: &Value, faults: &mut Faults) {
    for field in ["driverName", "parameters"] {
        let (after, before) = (View::root(new).at(field), View::root(old).at(field));
        if !same(after.value, before.value) {
            faults.push(after.forbidden(format!("updates to {field} are forbidden.")));
        }
    }
    attributes_class(new, faults);
}

pub(super) fn driver(new: &Value, faults: &mut Faults) {
    let spec = View::root(new).at("spec");
    for (field, name) in [
        ("attachRequired", "attachedRequired"),
        ("podInfoOnMount", "podInfoOnMount"),
        ("storageCapacity", "storageCapacity"),
    ] {
        if !spec.at(field).is_set() {
            faults.push(Invalid::required(&spec.path.child(name), ""));
        }
    }
    let policy = spec.at("fsGroupPolicy");
    if policy.is_set() {
        policy.one_of(&["File", "None", "ReadWriteOnceWithFSType"], faults);
    }
    token_requests(&spec.at("tokenRequests"), faults);
    let modes = spec.at("volumeLifecycleModes");
    for mode in modes.items() {
        let told = mode.told_as(modes.path.clone());
        told.one_of(&["Persistent", "Ephemeral"], faults);
    }
    if !spec.at("seLinuxMount").is_set() {
        faults.push(spec.at("seLinuxMount").required(""));
    }
    let period = spec.at("nodeAllocatableUpdatePeriodSeconds");
    if period.is_set() && period.number() < UPDATE_PERIOD_SECONDS_MIN {
        faults.push(period.invalid(format!(
            "must be greater than or equal to {UPDATE_PERIOD_SECONDS_MIN} seconds"
        )));
    }
    let in_secrets = spec.at("serviceAccountTokenInSecrets");
    if in_secrets.is_set() && spec.at("tokenRequests").is_empty() {
        faults.push(
            in_secrets
                .invalid("serviceAccountTokenInSecrets is set but no tokenRequests are specified"),
        );
    }
}

fn token_requests(requests: &View<'_>, faults: &mut Faults) {
    let mut seen = BTreeSet::new();
    for request in requests.items() {
        let (audience, seconds) = (request.at("audience"), request.at("expirationSeconds"));
        if !seen.insert(audience.text()) {
            faults.push(Invalid::duplicate(&audience.path, audience.text()));
            continue;
        }
        if !seconds.is_set() {
            continue;
        }
        if seconds.number() < TOKEN_SECONDS_MIN {
            faults.push(seconds.invalid("may not specify a duration less than 10 minutes"));
        }
        if seconds.number() > TOKEN_SECONDS_MAX {
            faults.push(seconds.invalid("may not specify a duration larger than 2^32 seconds"));
        }
    }
}

pub(super) fn driver_update(new: &Value, old: &Value, faults: &mut Faults) {
    driver(new, faults);
    let (spec, before) = (View::root(new).at("spec"), View::root(old).at("spec"));
    for (field, name) in [
        ("attachRequired", "attachedRequired"),
        ("volumeLifecycleModes", "volumeLifecycleModes"),
    ] {
        let told = spec.at(field).told_as(spec.path.child(name));
        told.immutable(&before.at(field), faults);
    }
}

pub(super) fn node(new: &Value, faults: &mut Faults) {
    let mut seen = BTreeSet::new();
    for driver in View::root(new).at("spec").at("drivers").items() {
        let (name, id) = (driver.at("name"), driver.at("nodeID"));
        volumes::driver_name(&name, faults);
        if id.require("", faults) && id.text().len() > NODE_ID_LENGTH_MAX {
            faults.push(id.invalid(format!("must be {NODE_ID_LENGTH_MAX} characters or less")));
        }
        driver.at("allocatable").at("count").non_negative(faults);
        if !seen.insert(name.text()) {
            faults.push(name.duplicate());
        }
        let mut keys = BTreeSet::new();
        for key in driver.at("topologyKeys").texts() {
            if key.is_empty() {
                faults.push(driver.required(""));
            }
            if !keys.insert(key) {
                faults.push(Invalid::duplicate(&driver.path, key));
            }
            names::check(faults, &driver.path, key, names::qualified);
        }
    }
}

pub(super) fn node_update(new: &Value, old: &Value, faults: &mut Faults) {
    node(new, faults);
    let drivers = View::root(new).at("spec").at("drivers");
    for before in View::root(old).at("spec").at("drivers").items() {
        for driver in drivers.items() {
            let equal = ["nodeID", "topologyKeys"]
                .iter()
                .all(|field| same(driver.at(field).value, before.at(field).value));
            if driver.at("name").value == before.at("name").value && !equal {
                // Upstream leaves out what may change before it compares.
                let shown = view::shown(&[
                    ("Name", driver.at("name").value.clone()),
                    ("NodeID", driver.at("nodeID").value.clone()),
                    ("TopologyKeys", driver.at("topologyKeys").value.clone()),
                    ("Allocatable", Value::Null),
                ]);
                let told = driver.told_as(drivers.path.clone());
                faults.push(told.invalid(IMMUTABLE).showing(shown));
            }
        }
    }
}

pub(super) fn capacity(new: &Value, faults: &mut Faults) {
    let root = View::root(new);
    rules::selector(&root.at("nodeTopology"), faults);
    rules::subdomain(&root.at("storageClassName"), faults);
    if root.at("capacity").is_set() {
        amount::non_negative(&root.at("capacity"), faults);
    }
}

pub(super) fn capacity_update(new: &Value, old: &Value, faults: &mut Faults) {
    for field in ["nodeTopology", "storageClassName"] {
        let before = View::root(old).at(field);
        View::root(new).at(field).immutable(&before, faults);
    }
}

pub(super) fn attachment(new: &Value, faults: &mut Faults) {
    let root = View::root(new);
    let spec = root.at("spec");
    volumes::driver_name(&spec.at("attacher"), faults);
    let source = spec.at("source");
    let (name, inline) = (
        source.at("persistentVolumeName"),
        source.at("inlineVolumeSpec"),
    );
    let detail = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
    match (name.is_set(), inline.is_set()) {
        (false, false) => faults.push(source.required(detail)),
        (true, true) => faults.push(source.forbidden(detail)),
        (true, false) => {
            name.require("must specify non empty persistentVolumeName", faults);
        }
        (false, true) => volumes::inline_spec(&inline, faults),
    }
    rules::subdomain(&spec.at("nodeName"), faults);
    attachment_status(&root.at("status"), faults);
    if name.is_set() {
        rules::subdomain(&name, faults);
    }
}

fn attachment_status(status: &View<'_>, faults: &mut Faults) {
    let metadata = status.at("attachmentMetadata");
    if map_bytes(&metadata) > METADATA_BYTES_MAX {
        faults.push(Invalid::too_long(&metadata.path, METADATA_BYTES_MAX));
    }
    for field in ["attachError", "detachError"] {
        let error = status.at(field);
        let (message, code) = (error.at("message"), error.at("errorCode"));
        if message.text().len() > MESSAGE_LENGTH_MAX {
            // Upstream tells of another bound than it checks.
            faults.push(Invalid::too_long(&message.path, METADATA_BYTES_MAX));
        }
        if code.number() < 0 {
            faults.push(code.invalid(names::between(0, i64::from(i32::MAX))));
        }
    }
}

pub(super) fn attachment_update(new: &Value, old: &Value, faults: &mut Faults) {
    attachment(new, faults);
    let (spec, before) = (View::root(new).at("spec"), View::root(old).at("spec"));
    if !same(spec.value, before.value) {
        let source = spec.at("source");
        let source = view::shown(&[
            (
                "PersistentVolumeName",
                source.at("persistentVolumeName").value.clone(),
            ),
            (
                "InlineVolumeSpec",
                source.at("inlineVolumeSpec").value.clone(),
            ),
        ]);
        let (attacher, node) = (spec.at("attacher").value, spec.at("nodeName").value);
        let shown = format!("{{\"Attacher\":{attacher},\"Source\":{source},\"NodeName\":{node}}}");
        faults.push(spec.invalid(IMMUTABLE).showing(shown));
    }
}
