//! Services: what one field says for another, what the server gave and what goes with a change of type.

use serde_json::{Map, Value, json};

use crate::{meta, validate::metadata::same};

type Fields = Map<String, Value>;

pub(super) fn create(object: &mut Value) {
    let spec = meta::fields_mut(object, "spec");
    let address = text(spec, "clusterIP").to_owned();
    if !address.is_empty() && is_empty(spec, "clusterIPs") {
        spec.insert("clusterIPs".to_owned(), json!([address]));
    }
    object["status"] = json!({"loadBalancer": {}});
}

pub(super) fn update(subresource: Option<&str>, new: &mut Value, old: &Value) {
    if subresource.is_some() {
        return;
    }
    let before = meta::map(old, &["spec"]).cloned().unwrap_or_default();
    let spec = meta::fields_mut(new, "spec");
    drop_of_type(spec, &before);
    patch_allocated(spec, &before);
    pair_addresses(spec, &before);
    if text(spec, "type") == "ExternalName" {
        spec.remove("internalTrafficPolicy");
    }
    if text(spec, "type") != "LoadBalancer" {
        new["status"]["loadBalancer"] = json!({});
    }
}

fn text<'a>(spec: &'a Fields, field: &str) -> &'a str {
    spec.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn number(fields: &Value, field: &str) -> i64 {
    fields
        .get(field)
        .and_then(Value::as_i64)
        .unwrap_or_default()
}

fn is_empty(spec: &Fields, field: &str) -> bool {
    spec.get(field)
        .and_then(Value::as_array)
        .is_none_or(Vec::is_empty)
}

fn has_address(spec: &Fields) -> bool {
    text(spec, "type") != "ExternalName"
}

fn has_node_ports(spec: &Fields) -> bool {
    matches!(text(spec, "type"), "NodePort" | "LoadBalancer")
}

fn has_health_port(spec: &Fields) -> bool {
    text(spec, "type") == "LoadBalancer" && text(spec, "externalTrafficPolicy") == "Local"
}

fn is_accessible(spec: &Fields) -> bool {
    has_node_ports(spec) || (text(spec, "type") == "ClusterIP" && !is_empty(spec, "externalIPs"))
}

fn equal(spec: &Fields, before: &Fields, field: &str) -> bool {
    same(spec.get(field), before.get(field))
}

fn node_ports(spec: &Fields) -> Vec<i64> {
    let ports = spec.get("ports").and_then(Value::as_array);
    ports
        .into_iter()
        .flatten()
        .map(|port| number(port, "nodePort"))
        .filter(|port| *port != 0)
        .collect()
}

fn ports_mut(spec: &mut Fields) -> impl Iterator<Item = &mut Fields> {
    spec.get_mut("ports")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
}

/// Fields that the old type had and the new one has not go, if the request left them as they were.
fn drop_of_type(spec: &mut Fields, before: &Fields) {
    if has_address(before) && !has_address(spec) {
        if equal(spec, before, "clusterIP") && equal(spec, before, "clusterIPs") {
            spec.remove("clusterIP");
            spec.remove("clusterIPs");
        }
        for field in ["ipFamilies", "ipFamilyPolicy"] {
            if equal(spec, before, field) {
                spec.remove(field);
            }
        }
    }
    if has_node_ports(before) && !has_node_ports(spec) {
        let known = node_ports(before);
        if node_ports(spec).iter().all(|port| known.contains(port)) {
            for port in ports_mut(spec) {
                port.remove("nodePort");
            }
        }
    }
    let was_balancer = text(before, "type") == "LoadBalancer";
    let leaves_balancer = was_balancer && text(spec, "type") != "LoadBalancer";
    let health = has_health_port(before) && !has_health_port(spec);
    let external = is_accessible(before) && !is_accessible(spec);
    for (gone, field) in [
        (health, "healthCheckNodePort"),
        (leaves_balancer, "allocateLoadBalancerNodePorts"),
        (leaves_balancer, "loadBalancerClass"),
        (external, "externalTrafficPolicy"),
    ] {
        if gone && equal(spec, before, field) {
            spec.remove(field);
        }
    }
}

/// What the server gave stays where a request does not say it.
fn patch_allocated(spec: &mut Fields, before: &Fields) {
    if has_address(before) && has_address(spec) {
        if text(spec, "clusterIP").is_empty() && before.contains_key("clusterIP") {
            spec.insert("clusterIP".to_owned(), before["clusterIP"].clone());
        }
        if is_empty(spec, "clusterIPs") && !is_empty(before, "clusterIPs") {
            spec.insert("clusterIPs".to_owned(), before["clusterIPs"].clone());
        }
    }
    if has_node_ports(before) && has_node_ports(spec) {
        let now = node_ports(spec);
        let used: Vec<i64> = node_ports(before)
            .into_iter()
            .filter(|port| now.contains(port))
            .collect();
        let old_ports = before.get("ports").cloned().unwrap_or_default();
        let known = meta::list(&old_ports, &[]);
        for port in ports_mut(spec) {
            let set = port.get("nodePort").is_some_and(|port| *port != json!(0));
            let old = known
                .iter()
                .rfind(|old| meta::text(old, &["name"]) == text(port, "name"))
                .map_or(0, |old| number(old, "nodePort"));
            if !set && old != 0 && !used.contains(&old) {
                port.insert("nodePort".to_owned(), json!(old));
            }
        }
    }
    if has_health_port(before) && has_health_port(spec) {
        let port = spec.get("healthCheckNodePort");
        let old = before.get("healthCheckNodePort");
        if port.is_none_or(|port| *port == json!(0)) && old.is_some() {
            let old = old.cloned().unwrap_or_default();
            spec.insert("healthCheckNodePort".to_owned(), old);
        }
    }
}

/// The list of addresses follows the one address where only that was changed.
fn pair_addresses(spec: &mut Fields, before: &Fields) {
    let (now, was) = (
        text(spec, "clusterIP").to_owned(),
        text(before, "clusterIP"),
    );
    if now == was {
        return;
    }
    let unchanged = equal(spec, before, "clusterIPs");
    if !was.is_empty() && now.is_empty() {
        if unchanged {
            spec.remove("clusterIPs");
        }
    } else if unchanged {
        spec.insert("clusterIPs".to_owned(), json!([now]));
    }
}
