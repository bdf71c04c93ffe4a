//! JSON patches (RFC 6902), with what upstream's library adds: indices from the end, and `replace` of a field that is not there yet.

use super::{PatchKind, UNPROCESSABLE, go, undecodable};
use crate::codec::{DEPTH_MAX, VALUES_MAX};
use crate::{
    Map, Value,
    status::{Reason, Status},
};

/// The most operations of a patch.
const OPERATIONS_MAX: usize = 10_000;

/// The most JSON that the `copy` operations of a patch copy together.
const COPIED_BYTES_MAX: usize = 3 * 1024 * 1024;

/// The fields of an operation.
pub(super) const FIELDS: [&str; 4] = ["op", "path", "from", "value"];

/// One change, of which each field may be missing as long as nobody needs it.
#[derive(Debug, Default)]
pub(super) struct Operation {
    op: Option<String>,
    path: Option<String>,
    from: Option<String>,
    value: Option<Value>,
}

/// The operations of a patch.
pub(super) fn operations(patch: Value) -> Result<Vec<Operation>, Status> {
    let rows = match patch {
        Value::Array(rows) => rows,
        Value::Null => Vec::new(),
        other => {
            let why = go::mismatch(&other, "value of type []handlers.jsonPatchOp");
            return Err(undecodable(PatchKind::Json, &why));
        }
    };
    let operations: Vec<Operation> = rows.into_iter().map(operation).collect::<Result<_, _>>()?;
    if operations.len() > OPERATIONS_MAX {
        return Err(Status::new(
            Reason::RequestEntityTooLarge,
            format!(
                "Request entity too large: The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {}",
                operations.len()
            ),
        ));
    }
    Ok(operations)
}

fn operation(row: Value) -> Result<Operation, Status> {
    let mut fields = match row {
        Value::Object(fields) => fields,
        Value::Null => Map::new(),
        other => {
            let why = go::mismatch(&other, "value of type handlers.jsonPatchOp");
            return Err(undecodable(PatchKind::Json, &why));
        }
    };
    let mut text = |name: &str| match fields.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => {
            let field = format!("struct field jsonPatchOp.{name} of type string");
            Err(undecodable(PatchKind::Json, &go::mismatch(&other, &field)))
        }
    };
    Ok(Operation {
        op: text("op")?,
        path: text("path")?,
        from: text("from")?,
        value: fields.remove("value"),
    })
}

/// The object after all operations, or the one answer that upstream has for every operation that does not apply.
pub(super) fn apply(current: &Value, operations: &[Operation]) -> Result<Value, Status> {
    apply_until(current, operations).map_err(|_at| Status::new(Reason::Invalid, UNPROCESSABLE))
}

/// The object after all operations, or the index of the first one that does not apply.
pub(super) fn apply_until(current: &Value, operations: &[Operation]) -> Result<Value, usize> {
    let mut document = current.clone();
    let mut spent = Spent::default();
    for (at, operation) in operations.iter().enumerate() {
        step(&mut document, operation, &mut spent).ok_or(at)?;
    }
    Ok(document)
}

/// The object after all operations; nothing if one of them tests for what is not there.
///
/// # Errors
///
/// In the words of upstream's library, as far as they can be told.
pub(super) fn apply_or_refrain(
    current: &Value,
    operations: &[Operation],
) -> Result<Option<Value>, String> {
    let mut document = current.clone();
    let mut spent = Spent::default();
    for operation in operations {
        let done = step(&mut document, operation, &mut spent);
        let op = operation.op.as_deref().unwrap_or_default();
        let path = operation.path.as_deref().unwrap_or_default();
        match (done, op) {
            (Some(()), _) => {}
            (None, "test") => return Ok(None),
            (None, "add") => {
                return Err(format!(
                    "add operation does not apply: doc is missing path: {path:?}: missing value"
                ));
            }
            (None, "remove") => {
                return Err(format!(
                    "remove operation does not apply: doc is missing path: {path:?}: missing value"
                ));
            }
            (None, "replace") => {
                return Err(format!(
                    "replace operation does not apply: doc is missing path: {path}: missing value"
                ));
            }
            (None, "move" | "copy") => {
                let from = operation.from.as_deref().unwrap_or_default();
                return Err(format!(
                    "{op} operation does not apply: doc is missing from path: {from}: missing value"
                ));
            }
            (None, other) => return Err(format!("Unexpected kind: {other}")),
        }
    }
    Ok(Some(document))
}

/// What the operations of one patch have cost.
#[derive(Debug, Default)]
struct Spent {
    copied_bytes: usize,
    /// Values that were looked at to know how deep what is added is.
    values: usize,
}

impl Spent {
    /// Whether a value may be added where so many words lead: neither too deep, nor after too much was looked at.
    fn allows(&mut self, path: &str, value: &Value) -> bool {
        let words = path.split('/').count();
        words < DEPTH_MAX && self.fits(value, DEPTH_MAX - words)
    }

    fn fits(&mut self, value: &Value, depth_left: usize) -> bool {
        self.values += 1;
        if depth_left == 0 || self.values > VALUES_MAX {
            return false;
        }
        match value {
            Value::Object(fields) => fields
                .values()
                .all(|value| self.fits(value, depth_left - 1)),
            Value::Array(elements) => elements
                .iter()
                .all(|value| self.fits(value, depth_left - 1)),
            _ => true,
        }
    }
}

/// Does one operation; none if it does not apply.
fn step(document: &mut Value, operation: &Operation, spent: &mut Spent) -> Option<()> {
    let path = operation.path.as_deref()?;
    let from = operation.from.as_deref();
    let value = || operation.value.clone().unwrap_or_default();
    match operation.op.as_deref()? {
        "add" => add(document, path, value(), spent),
        "remove" => remove(document, path).map(|_| ()),
        "replace" => replace(document, path, value(), spent),
        "move" => {
            let value = remove(document, from?)?;
            add(document, path, value, spent)
        }
        "copy" => {
            let value = get(document, from?)?.cloned().unwrap_or_default();
            spent.copied_bytes += value.to_string().len();
            if spent.copied_bytes > COPIED_BYTES_MAX {
                return None;
            }
            add(document, path, value, spent)
        }
        "test" if path.is_empty() => (operation.value.as_ref()? == document).then_some(()),
        // A field that is not there is null.
        "test" => (get(document, path)?.unwrap_or(&Value::Null) == &value()).then_some(()),
        _ => None,
    }
}

/// The object or list that holds the end of a path, and the path's last word. What is before the first slash counts for nothing, as upstream.
fn holder<'a>(document: &'a mut Value, path: &str) -> Option<(&'a mut Value, String)> {
    let mut words: Vec<String> = path.split('/').skip(1).map(unescape).collect();
    let last = words.pop()?;
    let holder = words.iter().try_fold(document, |value, word| match value {
        Value::Object(fields) => fields.get_mut(word),
        Value::Array(elements) => {
            let index = index(word, elements.len())?;
            elements.get_mut(index)
        }
        _ => None,
    })?;
    (holder.is_object() || holder.is_array()).then_some((holder, last))
}

fn unescape(word: &str) -> String {
    // `~01` is `~1`: the escaped tilde comes last.
    word.replace("~1", "/").replace("~0", "~")
}

/// The element that a word names, counted from the end if it is negative.
fn index(word: &str, len: usize) -> Option<usize> {
    let index: i64 = word.parse().ok()?;
    let index = if index < 0 {
        index.checked_add(i64::try_from(len).ok()?)?
    } else {
        index
    };
    usize::try_from(index).ok().filter(|index| *index < len)
}

/// What is at a path: the inner none is a field that its object does not have.
fn get<'a>(document: &'a mut Value, path: &str) -> Option<Option<&'a Value>> {
    let (holder, word) = holder(document, path)?;
    match holder {
        Value::Object(fields) => Some(fields.get(&word)),
        Value::Array(elements) => {
            let index = index(&word, elements.len())?;
            Some(elements.get(index))
        }
        _ => None,
    }
}

fn add(document: &mut Value, path: &str, value: Value, spent: &mut Spent) -> Option<()> {
    if !spent.allows(path, &value) {
        return None;
    }
    let (holder, word) = holder(document, path)?;
    match holder {
        Value::Object(fields) => {
            fields.insert(word, value);
        }
        Value::Array(elements) if word == "-" => elements.push(value),
        Value::Array(elements) => {
            let index = index(&word, elements.len() + 1)?;
            elements.insert(index, value);
        }
        _ => return None,
    }
    Some(())
}

fn remove(document: &mut Value, path: &str) -> Option<Value> {
    let (holder, word) = holder(document, path)?;
    match holder {
        Value::Object(fields) => fields.remove(&word),
        Value::Array(elements) => {
            let index = index(&word, elements.len())?;
            Some(elements.remove(index))
        }
        _ => None,
    }
}

fn replace(document: &mut Value, path: &str, value: Value, spent: &mut Spent) -> Option<()> {
    if !spent.allows(path, &value) {
        return None;
    }
    if path.is_empty() {
        if !value.is_object() && !value.is_array() {
            return None;
        }
        *document = value;
        return Some(());
    }
    let (holder, word) = holder(document, path)?;
    match holder {
        Value::Object(fields) => {
            fields.insert(word, value);
        }
        Value::Array(elements) => {
            let index = index(&word, elements.len())?;
            elements[index] = value;
        }
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nested_too_deep_is_not_built_by_many_small_steps() {
        let deep = (0..60).fold(
            serde_json::json!({}),
            |inner, _| serde_json::json!({"a": inner}),
        );
        let path = |words: usize| "/a".repeat(words);
        let add = |path: String| serde_json::json!({"op": "add", "path": path, "value": deep});
        let shallow = serde_json::json!([add("/a".to_owned())]);
        let both = serde_json::json!([add("/a".to_owned()), add(path(60))]);
        let run =
            |patch: serde_json::Value| apply(&serde_json::json!({}), &operations(patch).unwrap());
        assert!(run(shallow).is_ok());
        assert_eq!(run(both).unwrap_err().code, 422);
    }
}
