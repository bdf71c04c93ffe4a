//! The spec of a pod, in upstream's order of checks.

use super::{Faults, Owner, Spot, checks, containers, resources, scheduling, security, volumes};
use crate::{
    Value,
    invalid::Invalid,
    validate::{metadata, names},
};

const ACTIVE_DEADLINE_SECONDS_MAX: i64 = i32::MAX as i64;
const NAMESERVERS_MAX: usize = 3;
const SEARCHES_MAX: usize = 32;
const SEARCH_LIST_LENGTH_MAX: usize = 2048;

/// What containers have to know about the pod around them.
pub(super) struct Around<'a> {
    pub(super) spec: &'a Spot<'a>,
    pub(super) volumes: Vec<(&'a str, &'a Value)>,
    /// Names of the claims of devices.
    pub(super) claims: Vec<&'a str>,
    pub(super) grace_period_seconds: Option<i64>,
    /// The pod's users are those of the host.
    pub(super) host_users: bool,
}

pub(super) fn check(spec: &Spot<'_>, owner: &Owner<'_>, faults: &mut Faults) {
    let grace = spec.get("terminationGracePeriodSeconds");
    if !grace.is_present() {
        grace.required(faults, "");
    }
    let around = Around {
        spec,
        volumes: volumes::check(&spec.get("volumes"), owner, faults),
        claims: spec
            .get("resourceClaims")
            .each()
            .map(|claim| claim.get("name").text())
            .collect(),
        grace_period_seconds: grace.number(),
        host_users: spec.get("hostUsers").value != &Value::Bool(false),
    };
    resources::claims(&spec.get("resourceClaims"), faults);
    containers::check(&around, faults);
    resources::of_pod(spec, faults);
    host_network(spec, owner, faults);
    spec.get("restartPolicy")
        .required_one_of(faults, &["Always", "OnFailure", "Never"]);
    let policies = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    spec.get("dnsPolicy").required_one_of(faults, &policies);
    let nodes = spec.get("nodeSelector");
    metadata::labels(nodes.map(), &nodes.path, faults);
    security::of_pod(spec, faults);
    scheduling::affinity(&spec.get("affinity"), faults);
    dns(spec, faults);
    for gate in spec.get("readinessGates").each() {
        gate.get("conditionType").named(faults, names::qualified);
    }
    scheduling::gates(&spec.get("schedulingGates"), faults);
    scheduling::spread(&spec.get("topologySpreadConstraints"), faults);
    security::host_users(spec, faults);
    named(spec, faults);
    rest(spec, faults);
}

/// Ports of containers in the host's network are the host's.
fn host_network(spec: &Spot<'_>, owner: &Owner<'_>, faults: &mut Faults) {
    if !spec.get("hostNetwork").is_true() {
        return;
    }
    for container in spec.get("containers").each() {
        for port in container.get("ports").each() {
            let host = port.get("hostPort");
            let number = host.number().unwrap_or(0);
            let counts = owner.is_pod() || number != 0;
            if counts && number != port.get("containerPort").number().unwrap_or(0) {
                let words = "must match `containerPort` when `hostNetwork` is true";
                faults.push(Invalid::value(&host.path, number, words));
            }
        }
    }
}

fn dns(spec: &Spot<'_>, faults: &mut Faults) {
    let config = spec.get("dnsConfig");
    let servers = config.get("nameservers");
    if spec.get("dnsPolicy").text() == "None" {
        if !config.is_present() {
            config.required(faults, "must provide `dnsConfig` when `dnsPolicy` is None");
            return;
        }
        if servers.list().is_empty() {
            servers.required(
                faults,
                "must provide at least one DNS nameserver when `dnsPolicy` is None",
            );
            return;
        }
    }
    if servers.list().len() > NAMESERVERS_MAX {
        servers.invalid(
            faults,
            format!("must not have more than {NAMESERVERS_MAX} nameservers"),
        );
    }
    for server in servers.each() {
        checks::address(&server, faults);
    }
    let searches = config.get("searches");
    if searches.list().len() > SEARCHES_MAX {
        searches.invalid(
            faults,
            format!("must not have more than {SEARCHES_MAX} search paths"),
        );
    }
    let lengths = searches
        .list()
        .iter()
        .map(|search| search.as_str().map_or(0, str::len) + 1);
    if lengths.sum::<usize>() > SEARCH_LIST_LENGTH_MAX + 1 {
        let words = format!(
            "must not have more than {SEARCH_LIST_LENGTH_MAX} characters (including spaces) in the search list"
        );
        searches.invalid(faults, words);
    }
    for search in searches.each() {
        let text = search.text();
        if text != "." {
            let text = text.strip_suffix('.').unwrap_or(text);
            names::check(faults, &search.path, text, checks::search_path);
        }
    }
    for option in config.get("options").each() {
        if option.get("name").text().is_empty() {
            option.required(faults, "must not be empty");
        }
    }
}

/// Fields that are names if they are there.
fn named(spec: &Spot<'_>, faults: &mut Faults) {
    let optional = |field: &str, rule: names::Rule, faults: &mut Faults| {
        let spot = spec.get(field);
        if !spot.text().is_empty() {
            spot.named(faults, rule);
        }
    };
    optional("serviceAccountName", names::subdomain, faults);
    optional("nodeName", names::subdomain, faults);
    let deadline = spec.get("activeDeadlineSeconds");
    let range = 1..=ACTIVE_DEADLINE_SECONDS_MAX;
    if deadline
        .number()
        .is_some_and(|seconds| !range.contains(&seconds))
    {
        deadline.invalid(faults, names::between(1, ACTIVE_DEADLINE_SECONDS_MAX));
    }
    optional("hostname", names::label, faults);
    optional("subdomain", names::label, faults);
    scheduling::tolerations(&spec.get("tolerations"), faults);
    for alias in spec.get("hostAliases").each() {
        checks::address(&alias.get("ip"), faults);
        for name in alias.get("hostnames").each() {
            name.named(faults, names::subdomain);
        }
    }
    optional("priorityClassName", names::subdomain, faults);
    if let Some(class) = spec.find("runtimeClassName") {
        class.named(faults, names::subdomain);
    }
}

fn rest(spec: &Spot<'_>, faults: &mut Faults) {
    if let Some(policy) = spec.find("preemptionPolicy") {
        policy.required_one_of(faults, &["PreemptLowerPriority", "Never"]);
    }
    if let Some(overhead) = spec.find("overhead") {
        resources::overhead(&overhead, faults);
    }
    let Some(system) = spec.find("os") else {
        return;
    };
    let name = system.get("name");
    match name.text() {
        "" => name.required(faults, ""),
        "linux" => security::linux(spec, faults),
        "windows" => security::windows(spec, faults),
        other => faults.push(Invalid::not_supported(
            &system.path,
            other,
            &["linux", "windows"],
        )),
    }
}
