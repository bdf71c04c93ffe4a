//! Metrics of autoscalers: the fields that v2 has in `metric` and `target` or `current`, v1 has side by side.

use serde_json::json;

use crate::quantity::Quantity;
use crate::{Map, Value, meta};

/// A field in v1, where v2 has it, and whether v1 always has it.
struct Row {
    v1: &'static str,
    v2: &'static [&'static str],
    always: bool,
}

/// Which metrics: those that are asked for, or those that were measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Spec,
    Status,
}

impl Part {
    fn table(self) -> Table {
        match self {
            Part::Spec => SPEC,
            Part::Status => STATUS,
        }
    }
}

/// A type of metric: its field in the metric, and its own.
type Table = &'static [(&'static str, &'static [Row])];

const fn row(v1: &'static str, v2: &'static [&'static str]) -> Row {
    Row {
        v1,
        v2,
        always: false,
    }
}

/// A quantity that v1 writes as `0` if there is none.
const fn always(v1: &'static str, v2: &'static [&'static str]) -> Row {
    Row {
        v1,
        v2,
        always: true,
    }
}

const METRIC_NAME: Row = row("metricName", &["metric", "name"]);
const SELECTOR: Row = row("selector", &["metric", "selector"]);
const METRIC_SELECTOR: Row = row("metricSelector", &["metric", "selector"]);
const DESCRIBED: Row = row("target", &["describedObject"]);
const NAME: Row = row("name", &["name"]);
const CONTAINER: Row = row("container", &["container"]);
const TARGET_PERCENT: Row = row(
    "targetAverageUtilization",
    &["target", "averageUtilization"],
);
const TARGET_AVERAGE: Row = row("targetAverageValue", &["target", "averageValue"]);
const CURRENT_PERCENT: Row = row(
    "currentAverageUtilization",
    &["current", "averageUtilization"],
);
const CURRENT_AVERAGE: Row = always("currentAverageValue", &["current", "averageValue"]);
const CURRENT_VALUE: Row = always("currentValue", &["current", "value"]);

const SPEC: Table = &[
    (
        "object",
        &[
            DESCRIBED,
            METRIC_NAME,
            always("targetValue", &["target", "value"]),
            SELECTOR,
            row("averageValue", &["target", "averageValue"]),
        ],
    ),
    (
        "pods",
        &[
            METRIC_NAME,
            always("targetAverageValue", &["target", "averageValue"]),
            SELECTOR,
        ],
    ),
    ("resource", &[NAME, TARGET_PERCENT, TARGET_AVERAGE]),
    (
        "containerResource",
        &[NAME, CONTAINER, TARGET_PERCENT, TARGET_AVERAGE],
    ),
    (
        "external",
        &[
            METRIC_NAME,
            METRIC_SELECTOR,
            row("targetValue", &["target", "value"]),
            TARGET_AVERAGE,
        ],
    ),
];

const STATUS: Table = &[
    (
        "object",
        &[
            DESCRIBED,
            METRIC_NAME,
            CURRENT_VALUE,
            SELECTOR,
            row("averageValue", &["current", "averageValue"]),
        ],
    ),
    ("pods", &[METRIC_NAME, CURRENT_AVERAGE, SELECTOR]),
    ("resource", &[NAME, CURRENT_PERCENT, CURRENT_AVERAGE]),
    (
        "containerResource",
        &[NAME, CONTAINER, CURRENT_PERCENT, CURRENT_AVERAGE],
    ),
    (
        "external",
        &[
            METRIC_NAME,
            METRIC_SELECTOR,
            CURRENT_VALUE,
            row("currentAverageValue", &["current", "averageValue"]),
        ],
    ),
];

pub(super) fn to_v1(metric: &Value, part: Part) -> Value {
    let mut converted = json!({"type": meta::text(metric, &["type"])});
    for (name, rows) in part.table() {
        let Some(source) = metric.get(name).filter(|source| source.is_object()) else {
            continue;
        };
        let mut fields = Map::new();
        for row in *rows {
            let zero = row.always.then(|| Value::from("0"));
            let value = meta::at(source, row.v2).filter(|value| !value.is_null());
            if let Some(value) = value.cloned().or(zero) {
                fields.insert(row.v1.to_owned(), value);
            }
        }
        converted[name] = fields.into();
    }
    converted
}

pub(super) fn to_v2(metric: &Value, part: Part) -> Value {
    let mut converted = json!({"type": meta::text(metric, &["type"])});
    for (name, rows) in part.table() {
        let Some(source) = metric.get(name).filter(|source| source.is_object()) else {
            continue;
        };
        let mut fields = json!({});
        for row in *rows {
            let zero = row.always.then(|| Value::from("0"));
            let value = source.get(row.v1).filter(|value| !value.is_null());
            let Some(value) = value.cloned().or(zero) else {
                continue;
            };
            match row.v2 {
                [field] => fields[field] = value,
                [outer, field] => fields[outer][field] = value,
                _ => {}
            }
        }
        if part == Part::Spec {
            name_target(name, &mut fields["target"]);
        }
        converted[name] = fields;
    }
    converted
}

/// Says of which type a target is, which v1 does not.
fn name_target(metric: &str, target: &mut Value) {
    if !target.is_object() {
        *target = json!({});
    }
    let has = |field: &str| target.get(field).is_some();
    let kind = match metric {
        "object" if has("averageValue") => "AverageValue",
        "object" => "Value",
        "external" if has("value") => "Value",
        _ if has("averageUtilization") => "Utilization",
        _ => "AverageValue",
    };
    let is_zero = target
        .get("value")
        .is_some_and(|value| Quantity::from_value(value).is_ok_and(|value| value.is_zero()));
    if let Some(fields) = target.as_object_mut()
        && metric == "object"
        && kind == "AverageValue"
        && is_zero
    {
        fields.remove("value");
    }
    target["type"] = kind.into();
}
