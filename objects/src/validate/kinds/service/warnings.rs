//! What a service's author is told without being refused.

use super::{TOPOLOGY_HINTS, TOPOLOGY_MODE, kind};
use crate::{
    Value, meta,
    validate::kinds::{ip, view::View},
};

pub(crate) fn warnings(new: &Value, _old: Option<&Value>) -> Vec<String> {
    let spec = View::root(new).at("spec");
    let mut warnings = Vec::new();
    if meta::annotation(new, TOPOLOGY_HINTS).is_some() {
        warnings.push(format!(
            "annotation {TOPOLOGY_HINTS} is deprecated, please use {TOPOLOGY_MODE} instead"
        ));
    }
    let address = spec.at("clusterIP").text();
    if !address.is_empty() && address != "None" {
        warnings.extend(
            spec.at("clusterIPs")
                .items()
                .filter_map(|address| ip::address_warning(&address)),
        );
    }
    let headless = kind(&spec) == "ClusterIP" && address == "None";
    let externals = spec.at("externalIPs");
    if headless {
        for (told, ignored) in [
            (
                !spec.at("loadBalancerIP").is_empty(),
                "spec.loadBalancerIP is ignored for headless services",
            ),
            (
                !externals.is_empty(),
                "spec.externalIPs is ignored for headless services",
            ),
            (
                spec.at("sessionAffinity").text() != "None",
                "spec.SessionAffinity is ignored for headless services",
            ),
        ] {
            if told {
                warnings.push(ignored.to_owned());
            }
        }
    }
    warnings.extend(
        externals
            .items()
            .filter_map(|item| ip::address_warning(&item)),
    );
    let by_name = kind(&spec) == "ExternalName";
    let named_class = !externals.is_empty() && !by_name;
    if named_class && spec.at("clusterIPs").texts() != ["None"] && !headless {
        warnings.push(
            "spec.externalIPs is deprecated and may no longer be implemented in some clusters"
                .to_owned(),
        );
    }
    warnings.extend(ip::address_warning(&spec.at("loadBalancerIP")));
    for range in spec.at("loadBalancerSourceRanges").items() {
        warnings.extend(ip::network_warnings(&range));
    }
    if by_name && !externals.is_empty() {
        warnings.push("spec.externalIPs is ignored when spec.type is \"ExternalName\"".to_owned());
    }
    if !by_name && !spec.at("externalName").is_empty() {
        warnings
            .push("spec.externalName is ignored when spec.type is not \"ExternalName\"".to_owned());
    }
    if spec.at("trafficDistribution").text() == "PreferClose" {
        warnings.push(
            "spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\""
                .to_owned(),
        );
    }
    warnings
}
