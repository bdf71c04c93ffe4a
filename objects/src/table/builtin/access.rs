//! Who may do what, what is asked before a write, and where other APIs come from.

use serde_json::json;

use super::{Kind, kind};
use crate::table::column::{AGE, Column, NAME, Row, count, given, several, text, text_or, with};
use crate::table::format;
use crate::{Value, meta};

pub(super) const KINDS: &[Kind] = &[
    kind("rbac.authorization.k8s.io", "RoleBinding", BINDING),
    kind("rbac.authorization.k8s.io", "ClusterRoleBinding", BINDING),
    kind(
        "certificates.k8s.io",
        "CertificateSigningRequest",
        SIGNING_REQUEST,
    ),
    kind(ADMISSION, "MutatingWebhookConfiguration", WEBHOOKS),
    kind(ADMISSION, "ValidatingWebhookConfiguration", WEBHOOKS),
    kind(
        ADMISSION,
        "ValidatingAdmissionPolicy",
        &[
            NAME,
            count("Validations", "spec.validations"),
            PARAM_KIND,
            AGE,
        ],
    ),
    kind(
        ADMISSION,
        "MutatingAdmissionPolicy",
        &[NAME, count("Mutations", "spec.mutations"), PARAM_KIND, AGE],
    ),
    kind(
        ADMISSION,
        "ValidatingAdmissionPolicyBinding",
        POLICY_BINDING,
    ),
    kind(ADMISSION, "MutatingAdmissionPolicyBinding", POLICY_BINDING),
    kind(
        "apiregistration.k8s.io",
        "APIService",
        &[
            NAME,
            with("Service", api_service),
            with("Available", available),
            AGE,
        ],
    ),
];

const ADMISSION: &str = "admissionregistration.k8s.io";

const WEBHOOKS: &[Column] = &[NAME, count("Webhooks", "webhooks"), AGE];

const PARAM_KIND: Column = with("ParamKind", |row| {
    json!(row.at("spec.paramKind").map_or_else(
        || "<unset>".to_owned(),
        |kind| {
            let of = |field: &str| meta::text(kind, &[field]);
            format!("{}/{}", of("apiVersion"), of("kind"))
        }
    ))
});

const POLICY_BINDING: &[Column] = &[
    NAME,
    text("PolicyName", "spec.policyName"),
    with("ParamRef", param_ref),
    AGE,
];

const BINDING: &[Column] = &[
    NAME,
    with("Role", |row| {
        json!(format!(
            "{}/{}",
            row.text("roleRef.kind"),
            row.text("roleRef.name")
        ))
    }),
    AGE,
    several("Users", subjects).wide(),
    given("Groups").wide(),
    given("ServiceAccounts").wide(),
];

const SIGNING_REQUEST: &[Column] = &[
    NAME,
    AGE,
    text_or("SignerName", "spec.signerName", "<none>"),
    text("Requestor", "spec.username"),
    with("RequestedDuration", requested_duration),
    with("Condition", signing_status),
];

/// Users, groups and service accounts of a binding.
fn subjects(row: &Row<'_>) -> Vec<Value> {
    let names = |kind: &str| {
        let subjects = row.list("subjects").iter();
        let named = subjects.filter(|subject| meta::text(subject, &["kind"]) == kind);
        let names: Vec<String> = named
            .map(|subject| {
                let name = meta::text(subject, &["name"]);
                if kind == "ServiceAccount" {
                    format!("{}/{name}", meta::text(subject, &["namespace"]))
                } else {
                    name.to_owned()
                }
            })
            .collect();
        json!(names.join(", "))
    };
    vec![names("User"), names("Group"), names("ServiceAccount")]
}

fn requested_duration(row: &Row<'_>) -> Value {
    json!(
        match row.at("spec.expirationSeconds").and_then(Value::as_i64) {
            Some(seconds) => format::duration(seconds.saturating_mul(1_000_000)),
            None => "<none>".to_owned(),
        }
    )
}

fn signing_status(row: &Row<'_>) -> Value {
    let has = |r#type: &str| row.condition("status.conditions", r#type).is_some();
    let mut status = match () {
        () if has("Denied") => "Denied",
        () if has("Approved") => "Approved",
        () => "Pending",
    }
    .to_owned();
    if has("Failed") {
        status.push_str(",Failed");
    }
    if !row.text("status.certificate").is_empty() {
        status.push_str(",Issued");
    }
    json!(status)
}

fn param_ref(row: &Row<'_>) -> Value {
    let Some(reference) = row.at("spec.paramRef") else {
        return json!("<unset>");
    };
    let of = |field: &str| meta::text(reference, &[field]);
    json!(
        match (of("namespace"), of("name"), reference.get("selector")) {
            (_, "", Some(selector)) => go_selector(selector),
            (_, "", None) => "<unset>".to_owned(),
            ("", name, _) => format!("*/{name}"),
            (namespace, name, _) => format!("{namespace}/{name}"),
        }
    )
}

/// A label selector as Go prints the struct, which is what upstream shows here.
fn go_selector(selector: &Value) -> String {
    let labels: String = meta::map(selector, &["matchLabels"])
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}: {},", value.as_str().unwrap_or_default()))
        .collect();
    let expressions: String = meta::list(selector, &["matchExpressions"])
        .iter()
        .map(|expression| {
            let values = meta::list(expression, &["values"]).iter();
            let values: Vec<&str> = values.filter_map(Value::as_str).collect();
            format!(
                "LabelSelectorRequirement{{Key:{},Operator:{},Values:[{}],}},",
                meta::text(expression, &["key"]),
                meta::text(expression, &["operator"]),
                values.join(" "),
            )
        })
        .collect();
    format!(
        "&LabelSelector{{MatchLabels:map[string]string{{{labels}}},MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}"
    )
}

fn api_service(row: &Row<'_>) -> Value {
    json!(row.at("spec.service").map_or_else(
        || "Local".to_owned(),
        |service| {
            let of = |field: &str| meta::text(service, &[field]);
            format!("{}/{}", of("namespace"), of("name"))
        }
    ))
}

fn available(row: &Row<'_>) -> Value {
    let Some(condition) = row.condition("status.conditions", "Available") else {
        return json!("Unknown");
    };
    let of = |field: &str| meta::text(condition, &[field]);
    json!(match (of("status"), of("reason")) {
        (status, "") | (status @ "True", _) => status.to_owned(),
        (status, reason) => format!("{status} ({reason})"),
    })
}
