//! The paths that CRDs name: JSONPath of printer columns, and the dotted paths of `scale` and of selectable fields.

use serde_json::json;

use crate::invalid::{Faults, Invalid};
use crate::path::Path;
use crate::{Value, meta};

mod eval;
mod parse;
mod selectable;

pub use selectable::validate_selectable;

/// How deep a path may nest filters and unions in each other.
const DEPTH_MAX: usize = 16;

/// A JSONPath as in `additionalPrinterColumns`, without the braces around it.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonPath {
    steps: Vec<Step>,
}

/// Why a path cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseError(String);

/// Why a path says nothing about an object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EvalError(String);

/// What is done with the values that the step before gave.
#[derive(Debug, Clone, PartialEq)]
enum Step {
    Field(String),
    /// All fields or elements.
    Wildcard,
    /// Everything below that has something below itself.
    Recursive,
    Slice(Slice),
    Filter(Box<Filter>),
    /// The results of several paths, one after the other.
    Union(Vec<Vec<Step>>),
    /// A number, a boolean or a text.
    Literal(Value),
    /// A word that means nothing outside of templates.
    Word(String),
}

/// `[first:last:step]`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slice {
    first: Option<i64>,
    last: Last,
    step: Option<i64>,
}

/// Where a slice ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    Open,
    Before(i64),
    /// One after the first: a single index.
    Single,
}

/// `[?(left operator right)]`
#[derive(Debug, Clone, PartialEq)]
struct Filter {
    left: Vec<Step>,
    /// None where it is only asked whether the left side is there.
    comparison: Option<(String, Vec<Step>)>,
}

impl JsonPath {
    /// Reads a path: `.status.conditions[?(@.type=="Ready")].status`.
    ///
    /// # Errors
    ///
    /// If it is no JSONPath.
    pub fn parse(text: &str) -> Result<JsonPath, ParseError> {
        let steps = parse::path(text, 0)?;
        Ok(JsonPath { steps })
    }

    /// The values at the path; none where fields are missing.
    ///
    /// # Errors
    ///
    /// If the object is not as the path takes it to be: an index of what is no list, or beyond its end.
    pub fn find<'a>(&'a self, object: &'a Value) -> Result<Vec<&'a Value>, EvalError> {
        eval::path(&self.steps, object)
    }
}

/// The value at a dotted path: `.spec.replicas`.
#[must_use]
pub fn dotted<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    fields(path).try_fold(object, |value, field| value.get(field))
}

/// The place of the value at a dotted path, whose parents are made where they are missing; none where a parent is no object.
pub fn dotted_mut<'a>(object: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    fields(path).try_fold(object, |value, field| {
        if value.is_null() {
            *value = json!({});
        }
        Some(value.as_object_mut()?.entry(field).or_insert(Value::Null))
    })
}

fn fields(path: &str) -> impl Iterator<Item = &str> {
    path.strip_prefix('.').unwrap_or(path).split('.')
}

/// What is wrong with a simple path, as CRDs must have it in printer columns and in `scale`.
#[must_use]
pub fn validate_simple(text: &str, path: &Path) -> Faults {
    if text.is_empty() {
        return vec![Invalid::value(path, text, "must not be empty")];
    }
    if !text.starts_with('.') {
        return vec![Invalid::value(
            path,
            text,
            "must be a simple json path starting with .",
        )];
    }
    Vec::new()
}

/// The types of printer columns.
const COLUMN_TYPES: &str = "boolean,date,integer,number,string";

/// The formats of printer columns.
const COLUMN_FORMATS: &str = "byte,date,date-time,double,float,int32,int64,password";

/// What is wrong with a printer column of a CRD.
#[must_use]
pub fn validate_column(column: &Value, path: &Path) -> Faults {
    let text = |field: &str| meta::text(column, &[field]);
    let one_of = |choices: &str| format!("must be one of {choices}");
    let is_one_of = |choices: &str, text: &str| choices.split(',').any(|choice| choice == text);
    let mut faults = Faults::new();
    if text("name").is_empty() {
        faults.push(Invalid::required(&path.child("name"), ""));
    }
    let at = path.child("type");
    match text("type") {
        "" => faults.push(Invalid::required(&at, one_of(COLUMN_TYPES))),
        kind if is_one_of(COLUMN_TYPES, kind) => {}
        kind => faults.push(Invalid::value(&at, kind, one_of(COLUMN_TYPES))),
    }
    let format = text("format");
    if !format.is_empty() && !is_one_of(COLUMN_FORMATS, format) {
        let at = path.child("format");
        faults.push(Invalid::value(&at, format, one_of(COLUMN_FORMATS)));
    }
    // Upstream writes the name of its own field here.
    let at = path.child("JSONPath");
    match text("jsonPath") {
        "" => faults.push(Invalid::required(&at, "")),
        json_path => faults.extend(validate_simple(json_path, &at)),
    }
    faults
}

/// What is wrong with the `scale` of a CRD's subresources, whose path is given.
#[must_use]
pub fn validate_scale(scale: &Value, path: &Path) -> Faults {
    let mut faults = Faults::new();
    for (field, roots, told, is_required) in [
        ("specReplicasPath", &[".spec."][..], ".spec", true),
        ("statusReplicasPath", &[".status."], ".status", true),
        (
            "labelSelectorPath",
            &[".spec.", ".status."],
            "either .spec or .status",
            false,
        ),
    ] {
        let at = path.child("scale").child(field);
        let text = meta::text(scale, &[field]);
        if text.is_empty() {
            if is_required {
                faults.push(Invalid::required(&at, ""));
            }
            continue;
        }
        let simple = validate_simple(text, &at);
        if simple.is_empty() && !roots.iter().any(|root| text.starts_with(root)) {
            let detail = format!("should be a json path under {told}");
            faults.push(Invalid::value(&at, text, detail));
        }
        faults.extend(simple);
    }
    faults
}
