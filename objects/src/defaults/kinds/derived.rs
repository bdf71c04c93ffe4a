//! Defaults that follow from other fields of the same object.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::json;

use crate::{Map, Value, defaults::amounts, meta};

/// The annotation that holds the metrics of an autoscaler which v1 has no fields for.
const METRICS_ANNOTATION: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CPU_UTILIZATION_PERCENT: u32 = 80;
/// The amounts of a limit range.
const BOUNDS: [&str; 5] = [
    "max",
    "min",
    "default",
    "defaultRequest",
    "maxLimitRequestRatio",
];
const SESSION_AFFINITY_SECONDS: u32 = 3 * 60 * 60;

fn missing(fields: &Map, field: &str) -> bool {
    fields.get(field).is_none_or(Value::is_null)
}

fn put(fields: &mut Map, field: &str, value: Value) {
    if missing(fields, field) {
        fields.insert(field.to_owned(), value);
    }
}

fn items<'a>(value: &'a mut Value, field: &str) -> impl Iterator<Item = &'a mut Value> {
    value
        .get_mut(field)
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
}

pub(super) fn service(object: &mut Value) {
    let spec = meta::fields_mut(object, "spec");
    let word = |spec: &Map, field: &str| {
        spec.get(field)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let kind = word(spec, "type");
    match word(spec, "sessionAffinity").as_str() {
        "None" => {
            spec.remove("sessionAffinityConfig");
        }
        "ClientIP" => {
            let config = spec.get("sessionAffinityConfig").unwrap_or(&Value::Null);
            if meta::at(config, &["clientIP", "timeoutSeconds"]).is_none_or(Value::is_null) {
                let config = json!({"clientIP": {"timeoutSeconds": SESSION_AFFINITY_SECONDS}});
                spec.insert("sessionAffinityConfig".to_owned(), config);
            }
        }
        _ => {}
    }
    let external_ips = spec
        .get("externalIPs")
        .and_then(Value::as_array)
        .is_some_and(|list| !list.is_empty());
    let accessible = matches!(kind.as_str(), "NodePort" | "LoadBalancer")
        || (kind == "ClusterIP" && external_ips);
    if accessible && word(spec, "externalTrafficPolicy").is_empty() {
        spec.insert("externalTrafficPolicy".to_owned(), json!("Cluster"));
    }
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer" | "ClusterIP") {
        put(spec, "internalTrafficPolicy", json!("Cluster"));
    }
    if kind == "LoadBalancer" {
        put(spec, "allocateLoadBalancerNodePorts", json!(true));
    }
    for port in spec
        .get_mut("ports")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
    {
        let target = port.get("targetPort").unwrap_or(&Value::Null);
        if target.is_null() || *target == json!("") || *target == json!(0) {
            let number = port.get("port").cloned().unwrap_or_else(|| json!(0));
            port.insert("targetPort".to_owned(), number);
        }
    }
    if kind == "LoadBalancer" {
        ingress_modes(object);
    }
}

fn ingress_modes(object: &mut Value) {
    let Some(balancer) = object.pointer_mut("/status/loadBalancer") else {
        return;
    };
    for ingress in items(balancer, "ingress").filter_map(Value::as_object_mut) {
        if ingress.get("ip").is_some_and(|ip| *ip != json!("")) {
            put(ingress, "ipMode", json!("VIP"));
        }
    }
}

/// Text is put in among the bytes, where it stands for the same key.
pub(super) fn secret(object: &mut Value) {
    let Some(text) = object
        .as_object_mut()
        .and_then(|fields| fields.remove("stringData"))
    else {
        return;
    };
    let Some(text) = text.as_object().filter(|text| !text.is_empty()) else {
        return;
    };
    let data = meta::fields_mut(object, "data");
    for (key, value) in text {
        let bytes = BASE64_STANDARD.encode(value.as_str().unwrap_or_default());
        data.insert(key.clone(), json!(bytes));
    }
}

pub(super) fn namespace(object: &mut Value) {
    let name = meta::name(object).to_owned();
    if name.is_empty() {
        return;
    }
    let labels = meta::metadata_mut(object)
        .entry("labels")
        .or_insert_with(|| json!({}));
    if !labels.is_object() {
        *labels = json!({});
    }
    labels["kubernetes.io/metadata.name"] = json!(name);
}

pub(super) fn node(object: &mut Value) {
    let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) else {
        return;
    };
    if let Some(capacity) = status
        .get("capacity")
        .filter(|capacity| capacity.is_object())
        .cloned()
    {
        put(status, "allocatable", capacity);
    }
}

pub(super) fn limit_range(object: &mut Value) {
    let Some(spec) = object.get_mut("spec") else {
        return;
    };
    for item in items(spec, "limits") {
        amounts::round(item, &BOUNDS);
        if meta::text(item, &["type"]) != "Container" {
            continue;
        }
        for (from, to) in [
            ("max", "default"),
            ("default", "defaultRequest"),
            ("min", "defaultRequest"),
        ] {
            let source = meta::map(item, &[from]).cloned().unwrap_or_default();
            if source.is_empty() {
                continue;
            }
            let target = meta::fields_mut(item, to);
            for (resource, quantity) in source {
                target.entry(resource).or_insert(quantity);
            }
        }
    }
}

pub(super) fn network_policy(object: &mut Value) {
    let egress = !meta::list(object, &["spec", "egress"]).is_empty();
    if meta::list(object, &["spec", "policyTypes"]).is_empty() {
        let types = if egress {
            json!(["Ingress", "Egress"])
        } else {
            json!(["Ingress"])
        };
        meta::fields_mut(object, "spec").insert("policyTypes".to_owned(), types);
    }
}

pub(super) fn autoscaler(object: &mut Value) {
    let v1 = meta::text(object, &["apiVersion"]) == "autoscaling/v1";
    let annotated = meta::annotation(object, METRICS_ANNOTATION).is_some();
    let spec = meta::fields_mut(object, "spec");
    if v1 {
        if !annotated {
            put(
                spec,
                "targetCPUUtilizationPercentage",
                json!(CPU_UTILIZATION_PERCENT),
            );
        }
        return;
    }
    if spec
        .get("metrics")
        .and_then(Value::as_array)
        .is_none_or(Vec::is_empty)
    {
        let target = json!({"type": "Utilization", "averageUtilization": CPU_UTILIZATION_PERCENT});
        let metric = json!({"type": "Resource", "resource": {"name": "cpu", "target": target}});
        spec.insert("metrics".to_owned(), json!([metric]));
    }
    if let Some(behavior) = spec
        .get_mut("behavior")
        .filter(|behavior| behavior.is_object())
    {
        let up = json!([{"type": "Pods", "value": 4, "periodSeconds": 15}, {"type": "Percent", "value": 100, "periodSeconds": 15}]);
        let rules = meta::fields_mut(behavior, "scaleUp");
        put(rules, "stabilizationWindowSeconds", json!(0));
        put(rules, "selectPolicy", json!("Max"));
        put(rules, "policies", up);
        let down = json!([{"type": "Percent", "value": 100, "periodSeconds": 15}]);
        let rules = meta::fields_mut(behavior, "scaleDown");
        put(rules, "selectPolicy", json!("Max"));
        put(rules, "policies", down);
    }
}

pub(super) fn binding(object: &mut Value) {
    for subject in items(object, "subjects") {
        let named = matches!(meta::text(subject, &["kind"]), "User" | "Group");
        if named && meta::text(subject, &["apiGroup"]).is_empty() {
            subject["apiGroup"] = json!("rbac.authorization.k8s.io");
        }
    }
}

pub(super) fn csi_driver(object: &mut Value) {
    if meta::list(object, &["spec", "volumeLifecycleModes"]).is_empty() {
        let modes = json!(["Persistent"]);
        meta::fields_mut(object, "spec").insert("volumeLifecycleModes".to_owned(), modes);
    }
}

pub(super) fn resource_claim(object: &mut Value) {
    if let Some(devices) = object.pointer_mut("/spec/devices") {
        device_requests(devices);
    }
}

pub(super) fn resource_claim_template(object: &mut Value) {
    if let Some(devices) = object.pointer_mut("/spec/spec/devices") {
        device_requests(devices);
    }
}

fn device_requests(devices: &mut Value) {
    for request in items(devices, "requests") {
        if let Some(exactly) = request.get_mut("exactly").and_then(Value::as_object_mut) {
            allocation(exactly);
        }
        for choice in items(request, "firstAvailable").filter_map(Value::as_object_mut) {
            allocation(choice);
        }
    }
}

fn allocation(request: &mut Map) {
    let mode = request
        .get("allocationMode")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let exact = mode.is_empty() || mode == "ExactCount";
    if mode.is_empty() {
        request.insert("allocationMode".to_owned(), json!("ExactCount"));
    }
    let zero = request
        .get("count")
        .is_none_or(|count| count.is_null() || *count == json!(0));
    if exact && zero {
        request.insert("count".to_owned(), json!(1));
    }
}
