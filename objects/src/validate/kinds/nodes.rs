//! Nodes: taints, networks of pods, resources, and what of them stays.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::{
    ip, resources, rules,
    view::{self, View},
};
use crate::{
    Value,
    invalid::{Faults, Invalid},
    path::Path,
    validate::names,
};

const FEATURE_LENGTH_MAX: usize = 253;
const POD_NETWORKS_MAX: usize = 2;

pub(super) fn create(new: &Value, faults: &mut Faults) {
    let root = View::root(new);
    let spec = root.at("spec");
    taints(&spec.at("taints"), faults);
    amounts(new, faults);
    let swap = root.at("status").at("nodeInfo").at("swap").at("capacity");
    if swap.is_set() && swap.number() <= 0 {
        let path = Path::new("metadata")
            .child("nodeSwapStatus")
            .child("capacity");
        let detail = "must be greater than 0";
        faults.push(Invalid::value(&path, swap.number(), detail));
    }
    features(&root.at("status").at("declaredFeatures"), faults);
    let networks = spec.at("podCIDRs");
    for network in networks.items() {
        ip::network(&network, &[], faults);
    }
    let texts = networks.texts();
    if texts.len() > 1 {
        let families: BTreeSet<Option<bool>> = texts
            .iter()
            .map(|text| ip::parse_network(text).map(|network| network.address.is_ipv6()))
            .collect();
        if let Some(bad) = texts.iter().find(|text| ip::parse_network(text).is_none()) {
            faults.push(Invalid::internal(
                &networks.path,
                format!("invalid PodCIDRs. failed to check with dual stack with error:invalid CIDR address: {bad}"),
            ));
        }
        let dual = families.contains(&Some(true))
            && families.contains(&Some(false))
            && !families.contains(&None);
        if !dual || texts.len() > POD_NETWORKS_MAX {
            faults.push(networks.invalid("may specify no more than one CIDR for each IP family"));
        }
    }
}

pub(super) fn update(new: &Value, old: &Value, faults: &mut Faults) {
    let (root, old) = (View::root(new), View::root(old).at("spec"));
    let (spec, status) = (root.at("spec"), root.at("status"));
    amounts(new, faults);
    features(&status.at("declaredFeatures"), faults);
    let mut seen = Vec::new();
    for address in status.at("addresses").items() {
        if seen.contains(&address.value) {
            let shown = view::shown(&[
                ("Type", address.at("type").text().into()),
                ("Address", address.at("address").text().into()),
            ]);
            faults.push(address.duplicate().showing(shown));
        }
        seen.push(address.value);
    }
    let (networks, before) = (spec.at("podCIDRs"), old.at("podCIDRs").texts());
    if !before.is_empty() {
        let after = networks.texts();
        let changes = if after.len() == before.len() {
            after.iter().zip(&before).filter(|(a, b)| a != b).count()
        } else {
            1
        };
        for _ in 0..changes {
            faults.push(
                networks.forbidden("node updates may not change podCIDR except from \"\" to valid"),
            );
        }
    }
    let (provider, before) = (spec.at("providerID"), old.at("providerID").text());
    if !before.is_empty() && before != provider.text() {
        faults.push(
            provider.forbidden("node updates may not change providerID except from \"\" to valid"),
        );
    }
    taints(&spec.at("taints"), faults);
    if spec.at("externalID").text() != old.at("externalID").text() {
        faults.push(spec.at("externalID").forbidden("may not be updated"));
    }
}

fn amounts(new: &Value, faults: &mut Faults) {
    let status = View::root(new).at("status");
    for field in ["capacity", "allocatable"] {
        for (name, amount) in status.at(field).entries() {
            // Upstream tells of the resource as of a field here.
            let told = amount.told_as(status.path.child(field).child(name));
            resources::resource_amount(name, &told, faults);
        }
    }
}

fn taints(taints: &View<'_>, faults: &mut Faults) {
    // Upstream's path lies in the metadata, where taints once were.
    let path = Path::new("metadata").child("taints");
    let mut seen: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (index, taint) in taints.items().enumerate() {
        let taint = taint.told_as(path.index(index));
        let (key, value, effect) = (taint.at("key"), taint.at("value"), taint.at("effect"));
        rules::qualified_name(&key, faults);
        let wrong = names::label_value(value.text());
        if !wrong.is_empty() {
            faults.push(value.invalid(wrong.join(";")));
        }
        effect.require_one_of(&["NoSchedule", "PreferNoSchedule", "NoExecute"], faults);
        if !seen.entry(effect.text()).or_default().insert(key.text()) {
            let detail = "taints must be unique by key and effect pair";
            let time = taint.at("timeAdded");
            let shown = view::shown(&[
                ("Key", key.text().into()),
                ("Value", value.text().into()),
                ("Effect", effect.text().into()),
                ("TimeAdded", time.value.clone()),
            ]);
            faults.push(taint.duplicate().because(detail).showing(shown));
        }
    }
}

fn features(features: &View<'_>, faults: &mut Faults) {
    let texts = features.texts();
    for (index, feature) in features.items().enumerate() {
        let text = feature.text();
        let well = text.split('/').enumerate().all(|(index, part)| {
            let first = part.bytes().next();
            first.is_some_and(|first| index > 0 || first.is_ascii_uppercase())
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        });
        if text.len() > FEATURE_LENGTH_MAX {
            faults.push(feature.invalid(format!(
                "invalid feature name {}: must be no more than {FEATURE_LENGTH_MAX} characters",
                json!(text)
            )));
        } else if !well {
            faults.push(feature.invalid(format!("invalid feature name {}: must start with an UpperCamelCase segment, with subsequent segments separated by '/' (e.g., MyFeature or MyFeature/mySubFeature), and contain only alphanumeric characters and slashes", json!(text))));
        }
        let Some(next) = texts.get(index + 1) else {
            continue;
        };
        let path = features.path.index(index + 1);
        if text == *next {
            faults.push(Invalid::duplicate(&path, *next));
        } else if text > *next {
            faults.push(Invalid::value(
                &path,
                *next,
                "list must be sorted alphabetically",
            ));
        }
    }
}
