//! What upstream says of the fields that a CRD lets field selectors name.

use std::collections::BTreeSet;

use crate::invalid::{Faults, Invalid};
use crate::path::Path;
use crate::{Value, meta};

/// How many fields a version may let selectors name.
const COUNT_MAX: usize = 8;

/// What is wrong with the `selectableFields` of a CRD's version, by its `openAPIV3Schema`.
#[must_use]
pub fn validate_selectable(fields: &[Value], schema: &Value, path: &Path) -> Faults {
    let mut faults = Faults::new();
    let mut names = BTreeSet::new();
    for (index, field) in fields.iter().enumerate() {
        let at = path.index(index).child("jsonPath");
        let text = meta::text(field, &["jsonPath"]);
        if text.is_empty() {
            faults.push(Invalid::required(&at, ""));
            continue;
        }
        let (name, shape) = match resolve(text, schema) {
            Ok(found) => found,
            Err(why) => {
                let detail = format!("is an invalid path: {why}");
                faults.push(Invalid::value(&at, text, detail));
                continue;
            }
        };
        if name.starts_with(".metadata.") || name == ".metadata" {
            let detail = "must not point to fields in metadata";
            faults.push(Invalid::value(&at, text, detail));
        }
        if !matches!(
            meta::text(shape, &["type"]),
            "string" | "boolean" | "integer"
        ) {
            let detail = "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.";
            faults.push(Invalid::value(&at, text, detail));
        }
        if !names.insert(name) {
            faults.push(Invalid::duplicate(&at, text));
        }
    }
    if names.len() > COUNT_MAX {
        faults.push(Invalid::too_many(path, names.len(), COUNT_MAX));
    }
    faults
}

/// The field's name in one form, and its schema.
fn resolve<'a>(text: &str, schema: &'a Value) -> Result<(String, &'a Value), String> {
    let (mut name, mut shape, mut rest) = (String::new(), schema, text);
    while !rest.is_empty() {
        match token(&mut rest) {
            "[" => return Err("array notation is not allowed".to_owned()),
            "." => {}
            other => return Err(format!("expected [ or . but got: {other}")),
        }
        if rest.is_empty() {
            return Err("unexpected end of JSON path".to_owned());
        }
        let field = token(&mut rest);
        let below = match shape.get("properties") {
            Some(properties) => properties.get(field),
            None => shape
                .get("additionalProperties")
                .filter(|values| values.is_object()),
        };
        shape = below.ok_or("does not refer to a valid field")?;
        name.push('.');
        name.push_str(field);
    }
    Ok((name, shape))
}

/// Takes a delimiter, or a text in quotes, or all up to the next delimiter.
fn token<'a>(rest: &mut &'a str) -> &'a str {
    let end = if let Some(quoted) = rest.strip_prefix('\'') {
        let closing = quoted
            .match_indices('\'')
            .find(|(at, _)| !quoted[..*at].ends_with('\\'));
        closing.map_or(rest.len(), |(at, _)| at + 2)
    } else {
        match rest.find(['.', '[', ']']) {
            Some(0) => 1,
            Some(end) => end,
            None => rest.len(),
        }
    };
    let (token, after) = rest.split_at(end);
    *rest = after;
    token
}
