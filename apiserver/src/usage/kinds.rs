//! The kinds `NodeMetrics` and `PodMetrics`: how they are served, and how what is used is written and shown.

use std::sync::Arc;

use objects::catalog::Resource;
use objects::crd::Version;
use objects::quantity::{Format, Quantity};
use objects::table::{Include, Options, Printer};
use objects::{Value, meta};
use serde_json::json;

use super::summary::Usage;
use crate::cache::Object;
use crate::clock;
use crate::served::{Origin, Served};

pub(super) const GROUP: &str = "metrics.k8s.io";
pub(super) const VERSION: &str = "v1beta1";
const API_VERSION: &str = "metrics.k8s.io/v1beta1";
/// The time over which agents measure processors.
const WINDOW: &str = "15s";

/// The resources, as they are served.
pub(crate) fn served() -> [Arc<Served>; 2] {
    let usage = json!({
        "type": "object", "additionalProperties": {"type": "string"},
        "description": "What is used: processors (cpu) and memory.",
    });
    let container =
        json!({"type": "object", "properties": {"name": {"type": "string"}, "usage": usage}});
    let containers = json!({
        "type": "array", "items": container, "description": "What each container of the pod uses.",
    });
    [
        one(("nodes", "NodeMetrics", false), ("usage", usage)),
        one(("pods", "PodMetrics", true), ("containers", containers)),
    ]
}

fn one(
    (plural, kind, namespaced): (&str, &str, bool),
    (field, schema): (&str, Value),
) -> Arc<Served> {
    let column = |name: &str, format: &str, path: &str, description: &str| json!({"name": name, "type": "string", "format": format, "jsonPath": path, "description": description});
    let version = Version::new(&json!({
        "name": VERSION,
        "schema": {"openAPIV3Schema": {
            "type": "object",
            "description": "What is used at a time.",
            "properties": {
                "timestamp": {"type": "string", "format": "date-time", "description": "The end of the time that was measured."},
                "window": {"type": "string", "description": "The time that was measured."},
                field: schema,
            },
        }},
        "additionalPrinterColumns": [
            column("cpu", "quantity", ".usage.cpu", "Processors in use"),
            column("memory", "quantity", ".usage.memory", "Memory in use"),
            column("Window", "duration", ".window", "The time that was measured"),
        ],
    }));
    let resource = Resource {
        group: GROUP.to_owned(),
        version: VERSION.to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
        singular: String::new(),
        short_names: Vec::new(),
        categories: Vec::new(),
        namespaced,
        verbs: vec!["get".to_owned(), "list".to_owned()],
        subresources: Vec::new(),
        node: version.whole,
        storage: String::new(),
    };
    Arc::new(Served::new(resource, Origin::Measured(Box::new(version))))
}

/// What a node uses.
pub(super) fn node(node: &Object, usage: &Usage) -> Value {
    let mut value = head("NodeMetrics", node, usage.at_seconds);
    value["usage"] = quantities(usage);
    value
}

/// What a pod uses, as of the time of the container that was measured first; none without containers.
pub(super) fn pod(pod: &Object, containers: &[(String, Usage)]) -> Option<Value> {
    let times = containers.iter().map(|(_, usage)| usage.at_seconds);
    let mut value = head("PodMetrics", pod, times.min()?);
    value["containers"] = containers
        .iter()
        .map(|(name, usage)| json!({"name": name, "usage": quantities(usage)}))
        .collect();
    Some(value)
}

fn head(kind: &str, object: &Object, at_seconds: i64) -> Value {
    let mut metadata = json!({"name": *object.name, "creationTimestamp": clock::now()});
    if !object.namespace.is_empty() {
        metadata["namespace"] = (*object.namespace).into();
    }
    if let Some(labels) = object.labels.as_ref().filter(|labels| !labels.is_empty()) {
        metadata["labels"] = labels.clone().into();
    }
    json!({
        "kind": kind, "apiVersion": API_VERSION, "metadata": metadata,
        "timestamp": clock::text(at_seconds), "window": WINDOW,
    })
}

fn quantities(usage: &Usage) -> Value {
    let whole = |number| i64::try_from(number).unwrap_or(i64::MAX);
    let cpu = Quantity::from_nano(whole(usage.nano_cores), Format::Decimal);
    let memory = Quantity::new(whole(usage.memory_bytes), Format::Binary);
    json!({"cpu": cpu.to_string(), "memory": memory.to_string()})
}

/// The table of what is used, where a pod uses what its containers do.
pub(crate) fn table(served: &Served, objects: &[Value], options: &Options) -> Value {
    let Origin::Measured(version) = &served.origin else {
        return Value::Null;
    };
    let shown: Vec<Value> = objects.iter().map(with_total).collect();
    let mut table = Printer::custom(&version.declaration).table(None, &shown, options);
    if options.include == Include::Object {
        let rows = table["rows"].as_array_mut().into_iter().flatten();
        for (row, object) in rows.zip(objects) {
            row["object"] = object.clone();
        }
    }
    table
}

/// An object with the sum of its containers in the place where a node has what it uses.
fn with_total(object: &Value) -> Value {
    let mut object = object.clone();
    if object.get("containers").is_some() {
        for name in ["cpu", "memory"] {
            let used = meta::list(&object, &["containers"])
                .iter()
                .filter_map(|container| Quantity::from_value(&container["usage"][name]).ok());
            if let Some(sum) = used.reduce(|sum, used| sum.add(&used)) {
                object["usage"][name] = sum.to_string().into();
            }
        }
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(at_seconds: i64, nano_cores: u64, memory_bytes: u64) -> Usage {
        Usage {
            at_seconds,
            nano_cores,
            memory_bytes,
        }
    }

    fn object() -> Object {
        let value = json!({"metadata": {"name": "p", "namespace": "ns", "labels": {"app": "web"}}});
        Object::new(value, 7)
    }

    #[test]
    fn quantities_are_written_as_upstream_writes_them() {
        for (nano_cores, bytes, cpu, memory) in [
            (12_345_678, 1_263_616, "12345678n", "1234Ki"),
            (250_000_000, 5 << 20, "250m", "5Mi"),
            (2_000_000_000, 1_000_001, "2", "1000001"),
            (0, 1, "0", "1"),
            (
                u64::MAX,
                u64::MAX,
                "9223372036854775807n",
                "9223372036854775807",
            ),
        ] {
            let written = quantities(&used(0, nano_cores, bytes));
            assert_eq!(written, json!({"cpu": cpu, "memory": memory}));
        }
    }

    #[test]
    fn a_pod_is_shown_with_the_sum_of_its_containers_and_the_oldest_time() {
        let containers = [
            ("a".to_owned(), used(1_767_225_610, 1_500_000, 1 << 20)),
            ("b".to_owned(), used(1_767_225_600, 500_000, 3 << 20)),
        ];
        let told = pod(&object(), &containers).unwrap();
        assert_eq!(told["timestamp"], "2026-01-01T00:00:00Z");
        assert_eq!(told["metadata"]["labels"], json!({"app": "web"}));
        assert!(told["metadata"].get("resourceVersion").is_none());
        let [_, pods] = served();
        let options = |include| Options {
            include,
            headers: true,
            now_micros: 0,
        };
        let shown = table(
            &pods,
            std::slice::from_ref(&told),
            &options(Include::Object),
        );
        let row = &shown["rows"][0];
        assert_eq!(row["cells"], json!(["p", "2m", "4Mi", "15s"]));
        assert_eq!(row["object"], told, "a sum is no part of the object");
        let shown = table(&pods, &[told], &options(Include::Metadata));
        assert_eq!(shown["rows"][0]["object"]["kind"], "PartialObjectMetadata");
        assert!(pod(&object(), &[]).is_none());
    }
}
