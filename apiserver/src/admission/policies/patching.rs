//! The patches that expressions make, and objects after them.

use objects::cel::Value as CelValue;
use objects::cel::declared::to_data;
use objects::patch::{self, apply};
use objects::{Value, meta};
use serde_json::json;

use super::Seen;
use crate::admission::expressions::{COST_MAX, Expression, Inputs, budget};

/// How a patch says what it changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PatchKind {
    /// An object whose fields are merged in.
    Applied,
    /// The steps of a JSON patch.
    Steps,
}

/// A mutation, compiled.
#[derive(Debug)]
pub(super) struct Patch {
    pub(super) kind: PatchKind,
    pub(super) expression: Expression,
}

impl Patch {
    /// The object after the patch; nothing where the patch says that it must not be applied.
    pub(super) fn apply(&self, seen: &Seen, inputs: &Inputs) -> Result<Option<Value>, String> {
        if let Some(fault) = self.expression.fault() {
            return Err(fault.to_owned());
        }
        let Some(object) = &seen.object else {
            return Ok(None);
        };
        let outcome = self.expression.evaluate(inputs, &mut budget(COST_MAX));
        let value = outcome.map_err(|out| out.to_string())??;
        match self.kind {
            PatchKind::Applied => merged(seen, object, &value).map(Some),
            PatchKind::Steps => stepped(object, &value),
        }
    }
}

fn merged(seen: &Seen, object: &Value, applied: &CelValue) -> Result<Value, String> {
    check_names(applied)?;
    let mut applied = to_data(applied)?;
    for field in ["apiVersion", "kind"] {
        applied[field] = object[field].clone();
    }
    let built_in = !seen.served.is_custom();
    apply::merge_unowned(seen.served.at(), built_in, object, &applied)
        .map_err(|why| format!("error applying patch: {why}"))
}

fn stepped(object: &Value, steps: &CelValue) -> Result<Option<Value>, String> {
    let CelValue::List(steps) = steps else {
        return Err("type mismatch: JSONPatchType.expression should evaluate to array".to_owned());
    };
    let mut rows = Vec::with_capacity(steps.items.len());
    for step in &steps.items {
        let CelValue::Object(made) = step else {
            return Err(
                "type mismatch: JSONPatchType.expression should evaluate to array of JSONPatch"
                    .to_owned(),
            );
        };
        let mut row = json!({"op": "", "path": ""});
        for (field, value) in &made.fields {
            if &**field == "value" && matches!(value, CelValue::Object(_)) {
                check_names(value)?;
            }
            row[&**field] = to_data(value).map_err(|why| {
                format!("JSONPath valueExpression evaluated to a type that could not marshal to JSON: {why}")
            })?;
        }
        if meta::text(&row, &["from"]).is_empty()
            && let Some(row) = row.as_object_mut()
        {
            row.remove("from");
        }
        rows.push(row);
    }
    patch::apply_steps(object, Value::Array(rows)).map_err(|why| format!("JSON Patch: {why}"))
}

/// Holds the names of types to the paths of the fields they stand in.
fn check_names(value: &CelValue) -> Result<(), String> {
    let mut faults = Vec::new();
    let root = match value {
        CelValue::Object(object) => object.name.to_string(),
        _ => String::new(),
    };
    let mut waiting = vec![(value, root)];
    while let Some((value, path)) = waiting.pop() {
        match value {
            CelValue::Object(object) => {
                if *object.name != *path {
                    faults.push(format!(
                        "unexpected type name {:?}, expected {path:?}, which matches field name path from root Object type",
                        object.name
                    ));
                }
                let fields = object.fields.iter().rev();
                waiting.extend(fields.map(|(name, value)| (value, format!("{path}.{name}"))));
            }
            CelValue::List(list) => {
                waiting.extend(list.items.iter().rev().map(|item| (item, path.clone())));
            }
            CelValue::Map(map) => {
                waiting.extend(map.values().map(|item| (item, path.clone())));
            }
            _ => {}
        }
    }
    if faults.is_empty() {
        return Ok(());
    }
    Err(format!("type mismatch: {}", faults.join("\n")))
}
