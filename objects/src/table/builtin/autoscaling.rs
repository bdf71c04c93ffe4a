//! Autoscalers, disruption budgets and fairness between requests.

use serde_json::json;

use super::{Kind, kind};
use crate::table::column::{AGE, Column, NAME, Row, integer, text, text_or, with};
use crate::table::format;
use crate::{Value, meta};

pub(super) const KINDS: &[Kind] = &[
    kind("autoscaling", "HorizontalPodAutoscaler", AUTOSCALER),
    kind("autoscaling", "Scale", SCALE),
    kind("policy", "PodDisruptionBudget", DISRUPTION_BUDGET),
    Kind {
        sort: Some(by_precedence),
        ..kind("flowcontrol.apiserver.k8s.io", "FlowSchema", FLOW_SCHEMA)
    },
    kind(
        "flowcontrol.apiserver.k8s.io",
        "PriorityLevelConfiguration",
        PRIORITY_LEVEL,
    ),
];

const AUTOSCALER: &[Column] = &[
    NAME,
    with("Reference", |row| {
        json!(format!(
            "{}/{}",
            row.text("spec.scaleTargetRef.kind"),
            row.text("spec.scaleTargetRef.name")
        ))
    }),
    with("Targets", targets),
    with("MinPods", |row| {
        json!(scalar_or(row, "spec.minReplicas", "<unset>"))
    }),
    integer("MaxPods", "spec.maxReplicas").of("string"),
    integer("Replicas", "status.currentReplicas").of("string"),
    AGE,
];

const SCALE: &[Column] = &[
    text("Name", "metadata.name"),
    integer("Desired", "spec.replicas"),
    integer("Available", "status.replicas"),
    AGE,
];

const DISRUPTION_BUDGET: &[Column] = &[
    NAME,
    with("Min Available", |row| {
        json!(scalar_or(row, "spec.minAvailable", "N/A"))
    }),
    with("Max Unavailable", |row| {
        json!(scalar_or(row, "spec.maxUnavailable", "N/A"))
    }),
    integer("Allowed Disruptions", "status.disruptionsAllowed"),
    AGE,
];

const FLOW_SCHEMA: &[Column] = &[
    NAME,
    text("PriorityLevel", "spec.priorityLevelConfiguration.name"),
    integer("MatchingPrecedence", "spec.matchingPrecedence").of("string"),
    text_or(
        "DistinguisherMethod",
        "spec.distinguisherMethod.type",
        "<none>",
    ),
    AGE,
    with("MissingPL", |row| {
        let dangling = row.condition("status.conditions", "Dangling");
        json!(dangling.map_or("?", |condition| meta::text(condition, &["status"])))
    }),
];

const PRIORITY_LEVEL: &[Column] = &[
    NAME,
    text("Type", "spec.type"),
    with("NominalConcurrencyShares", |row| {
        number_or_none(row, "spec.limited.nominalConcurrencyShares")
    }),
    with("Queues", |row| queuing(row, "queues")),
    with("HandSize", |row| queuing(row, "handSize")),
    with("QueueLengthLimit", |row| queuing(row, "queueLengthLimit")),
    AGE,
];

/// How many metrics of an autoscaler are written before the rest is only counted.
const METRICS_SHOWN_MAX: usize = 2;

const NO_QUANTITY: &str = "<nil>";

/// The metrics that `autoscaling/v2` has and `autoscaling/v1` has in part.
fn targets(row: &Row<'_>) -> Value {
    if let Some(target) = row.at("spec.targetCPUUtilizationPercentage") {
        let current = row.at("status.currentCPUUtilizationPercentage");
        let current = current.map_or_else(|| "<unknown>".to_owned(), |value| format!("{value}%"));
        return json!(format!("cpu: {current}/{target}%"));
    }
    let metrics = row.list("spec.metrics");
    if metrics.is_empty() {
        return json!("<none>");
    }
    let statuses = row.list("status.currentMetrics");
    let texts: Vec<String> = metrics
        .iter()
        .enumerate()
        .take(METRICS_SHOWN_MAX)
        .map(|(index, metric)| target(metric, statuses.get(index)))
        .collect();
    let shown = texts.join(", ");
    json!(match metrics.len().saturating_sub(METRICS_SHOWN_MAX) {
        0 => shown,
        more => format!("{shown} + {more} more..."),
    })
}

/// What a metric is now and what it shall be.
fn target(metric: &Value, status: Option<&Value>) -> String {
    let source = match meta::text(metric, &["type"]) {
        "External" => "external",
        "Pods" => "pods",
        "Object" => "object",
        "Resource" => "resource",
        "ContainerResource" => "containerResource",
        _ => return "<unknown type>".to_owned(),
    };
    let current = status
        .and_then(|status| status.get(source))
        .filter(|status| !status.is_null());
    // This is how Go prints the quantity that a measurement does not have.
    let now = |field: &str| match current {
        Some(current) => {
            format::scalar(current["current"].get(field)).unwrap_or_else(|| NO_QUANTITY.to_owned())
        }
        None => "<unknown>".to_owned(),
    };
    let known =
        |field: &str| current.and_then(|current| format::scalar(current["current"].get(field)));
    let wanted = |field: &str| format::scalar(metric[source]["target"].get(field));
    let average = wanted("averageValue");
    match (source, average) {
        ("pods", average) => format!(
            "{}/{}",
            now("averageValue"),
            average.unwrap_or_else(|| NO_QUANTITY.to_owned())
        ),
        ("external" | "object", Some(average)) => {
            let current = known("averageValue").unwrap_or_else(|| "<unknown>".to_owned());
            format!("{current}/{average} (avg)")
        }
        ("external" | "object", None) => {
            format!(
                "{}/{}",
                now("value"),
                wanted("value").unwrap_or_else(|| NO_QUANTITY.to_owned())
            )
        }
        (_, Some(average)) => {
            let name = meta::text(metric, &[source, "name"]);
            format!("{name}: {}/{average}", now("averageValue"))
        }
        (_, None) => {
            let percent = |value: Option<String>, otherwise: &str| {
                value.map_or_else(|| otherwise.to_owned(), |value| format!("{value}%"))
            };
            let name = meta::text(metric, &[source, "name"]);
            let current = percent(known("averageUtilization"), "<unknown>");
            format!(
                "{name}: {current}/{}",
                percent(wanted("averageUtilization"), "<auto>")
            )
        }
    }
}

fn scalar_or(row: &Row<'_>, path: &str, otherwise: &str) -> String {
    format::scalar(row.at(path)).unwrap_or_else(|| otherwise.to_owned())
}

fn number_or_none(row: &Row<'_>, path: &str) -> Value {
    row.at(path).cloned().unwrap_or_else(|| json!("<none>"))
}

fn queuing(row: &Row<'_>, field: &str) -> Value {
    number_or_none(row, &format!("spec.limited.limitResponse.queuing.{field}"))
}

fn by_precedence(objects: &mut Vec<&Value>) {
    objects.sort_by_key(|schema| {
        let precedence = schema["spec"]["matchingPrecedence"].as_i64();
        (precedence.unwrap_or_default(), meta::name(schema))
    });
}
