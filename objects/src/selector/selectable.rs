//! The fields that objects of a built-in kind can be selected by, and their values.

use super::field::Selector;
use crate::catalog::api_version;
use crate::codec::outline;
use crate::{Value, meta};

const NAME: &str = "metadata.name";
const NAMESPACE: &str = "metadata.namespace";

/// Fields whose value is not the text at their own path.
const OF_TREES: [&str; 6] = [
    "spec.hostNetwork",
    "spec.unschedulable",
    "status.replicas",
    "status.successful",
    "status.podIP",
    "source",
];

/// A kind that can be selected by more than name and namespace.
struct Kind {
    group: &'static str,
    kind: &'static str,
    fields: &'static [&'static str],
}

const KINDS: [Kind; 10] = [
    Kind {
        group: "",
        kind: "Pod",
        fields: &[
            NAME,
            NAMESPACE,
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ],
    },
    Kind {
        group: "",
        kind: "Node",
        fields: &[NAME, "spec.unschedulable"],
    },
    Kind {
        group: "",
        kind: "ReplicationController",
        fields: &[NAME, NAMESPACE, "status.replicas"],
    },
    Kind {
        group: "",
        kind: "Event",
        fields: &[
            NAME,
            NAMESPACE,
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
    },
    Kind {
        group: "",
        kind: "Namespace",
        fields: &[NAME, "status.phase"],
    },
    Kind {
        group: "",
        kind: "Secret",
        fields: &[NAME, NAMESPACE, "type"],
    },
    Kind {
        group: "",
        kind: "Service",
        fields: &[NAME, NAMESPACE, "spec.clusterIP", "spec.type"],
    },
    Kind {
        group: "batch",
        kind: "Job",
        fields: &[NAME, NAMESPACE, "status.successful"],
    },
    Kind {
        group: "certificates.k8s.io",
        kind: "CertificateSigningRequest",
        fields: &[NAME, "spec.signerName"],
    },
    Kind {
        group: "resource.k8s.io",
        kind: "ResourceSlice",
        fields: &[NAME, "spec.nodeName", "spec.driver"],
    },
];

/// The fields of `events.k8s.io/v1 Event` and what they are called in the stored `v1 Event`.
const EVENTS: [(&str, &str); 12] = [
    ("reason", "reason"),
    ("regarding.kind", "involvedObject.kind"),
    ("regarding.namespace", "involvedObject.namespace"),
    ("regarding.name", "involvedObject.name"),
    ("regarding.uid", "involvedObject.uid"),
    ("regarding.apiVersion", "involvedObject.apiVersion"),
    (
        "regarding.resourceVersion",
        "involvedObject.resourceVersion",
    ),
    ("regarding.fieldPath", "involvedObject.fieldPath"),
    ("reportingController", "reportingComponent"),
    ("type", "type"),
    (NAMESPACE, NAMESPACE),
    (NAME, NAME),
];

/// The name that the stored object knows a field by. The fault is upstream's text, which differs by kind.
///
/// # Errors
///
/// If objects of the kind cannot be selected by the field.
pub fn canonical(group: &str, version: &str, kind: &str, field: &str) -> Result<String, String> {
    if (group, kind) == ("events.k8s.io", "Event") {
        return EVENTS
            .iter()
            .find(|(name, _)| *name == field)
            .map(|(_, stored)| (*stored).to_owned())
            .ok_or_else(|| format!("field label not supported: {field}"));
    }
    let Some(row) = row(group, kind) else {
        if [NAME, NAMESPACE].contains(&field) {
            return Ok(field.to_owned());
        }
        return Err(format!(
            "{} is not a known field selector: only \"{NAME}\", \"{NAMESPACE}\"",
            Value::from(field)
        ));
    };
    if row.fields.contains(&field) {
        return Ok(field.to_owned());
    }
    match (kind, field) {
        ("Pod", "spec.host") => Ok("spec.nodeName".to_owned()),
        ("Job", _) => Err(format!(
            "field label {} not supported for Job",
            Value::from(field)
        )),
        ("ResourceSlice", _) => Err(format!(
            "field label not supported for {}, Kind={kind}: {field}",
            api_version(group, version)
        )),
        _ => Err(format!("field label not supported: {field}")),
    }
}

/// Reads a field selector for a built-in kind, its fields named as the stored object's. The fault is upstream's text.
///
/// # Errors
///
/// If the text is no selector or objects of the kind cannot be selected so.
pub fn parse(group: &str, version: &str, kind: &str, text: &str) -> Result<Selector, String> {
    Selector::parse(text)?.rename(|field| canonical(group, version, kind, field))
}

fn row(group: &str, kind: &str) -> Option<&'static Kind> {
    KINDS
        .iter()
        .find(|row| row.group == group && row.kind == kind)
}

/// The value of a field of a stored object, by its canonical name; empty where there is none.
#[must_use]
pub fn value(object: &Value, field: &str) -> String {
    let path: Vec<&str> = field.split('.').collect();
    let found = meta::at(object, &path);
    match field {
        "spec.hostNetwork" | "spec.unschedulable" => {
            return found
                .and_then(Value::as_bool)
                .unwrap_or_default()
                .to_string();
        }
        "status.replicas" => return number(found),
        "status.successful" => return number(meta::at(object, &["status", "succeeded"])),
        "status.podIP" => {
            let first = meta::list(object, &["status", "podIPs"]).first();
            return first.map_or("", |ip| meta::text(ip, &["ip"])).to_owned();
        }
        "source" => {
            let component = meta::text(object, &["source", "component"]);
            if component.is_empty() {
                return meta::text(object, &["reportingComponent"]).to_owned();
            }
            return component.to_owned();
        }
        _ => {}
    }
    found.and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// As `value`, from the JSON of an object. None if that takes its tree.
#[must_use]
pub fn value_in(json: &[u8], field: &str) -> Option<String> {
    if OF_TREES.contains(&field) {
        return None;
    }
    let path: Vec<&str> = field.split('.').collect();
    outline::text_at(json, &path)
}

fn number(found: Option<&Value>) -> String {
    found
        .and_then(Value::as_i64)
        .unwrap_or_default()
        .to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{canonical, parse, value};

    #[test]
    fn a_field_that_a_kind_cannot_be_selected_by_is_told_in_its_words() {
        for (group, kind, field, expected) in [
            ("", "Pod", "foo", "field label not supported: foo"),
            (
                "",
                "Namespace",
                "metadata.namespace",
                "field label not supported: metadata.namespace",
            ),
            (
                "apps",
                "Deployment",
                "foo",
                r#""foo" is not a known field selector: only "metadata.name", "metadata.namespace""#,
            ),
            (
                "batch",
                "Job",
                "foo",
                r#"field label "foo" not supported for Job"#,
            ),
            (
                "resource.k8s.io",
                "ResourceSlice",
                "foo",
                "field label not supported for resource.k8s.io/v1, Kind=ResourceSlice: foo",
            ),
            (
                "events.k8s.io",
                "Event",
                "involvedObject.name",
                "field label not supported: involvedObject.name",
            ),
        ] {
            assert_eq!(canonical(group, "v1", kind, field).unwrap_err(), expected);
        }
        assert_eq!(
            canonical("", "v1", "Pod", "spec.host").unwrap(),
            "spec.nodeName"
        );
        let events = parse("events.k8s.io", "v1", "Event", "regarding.name=a").unwrap();
        assert_eq!(events.to_string(), "involvedObject.name=a");
    }

    #[test]
    fn values_are_text_also_of_what_is_absent_or_no_text() {
        let pod = json!({"metadata": {"name": "a"}, "spec": {"nodeName": "n"}, "status": {"podIPs": [{"ip": "10.0.0.1"}], "phase": "Running"}});
        for (field, expected) in [
            ("metadata.name", "a"),
            ("spec.nodeName", "n"),
            ("spec.hostNetwork", "false"),
            ("status.podIP", "10.0.0.1"),
            ("status.nominatedNodeName", ""),
        ] {
            assert_eq!(value(&pod, field), expected);
        }
        let job = json!({"status": {"succeeded": 2}});
        assert_eq!(value(&job, "status.successful"), "2");
        let event = json!({"source": {}, "reportingComponent": "kubelet"});
        assert_eq!(value(&event, "source"), "kubelet");
        let selector = parse("", "v1", "Pod", "spec.nodeName=n,status.phase!=Failed").unwrap();
        assert!(selector.matches(&|field| value(&pod, field)));
    }
}
