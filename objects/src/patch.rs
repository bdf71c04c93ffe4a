//! Patches: what a client wants changed in an object, in one of the forms that say it.

use crate::{
    Map, Value,
    invalid::Invalid,
    path::Path,
    schema::At,
    status::{Reason, Status},
};

pub mod apply;
mod go;
mod json;
mod merge;
mod strategic;

/// What a client is told of a patch that can be read but does not apply.
const UNPROCESSABLE: &str = "the server rejected our request due to an error in our request";

/// The form of a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchKind {
    /// RFC 6902: a list of operations.
    Json,
    /// RFC 7396: a document laid over the object.
    Merge,
    /// As `Merge`, but with lists that are merged as the schema says, and with directives.
    Strategic,
}

impl PatchKind {
    pub const ALL: [PatchKind; 3] = [PatchKind::Json, PatchKind::Merge, PatchKind::Strategic];

    /// What a request with such a patch has as its `Content-Type`.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            PatchKind::Json => "application/json-patch+json",
            PatchKind::Merge => "application/merge-patch+json",
            PatchKind::Strategic => "application/strategic-merge-patch+json",
        }
    }

    /// The form that a `Content-Type` names, whatever parameters follow it.
    #[must_use]
    pub fn of_media_type(content_type: &str) -> Option<PatchKind> {
        let name = content_type.split(';').next().unwrap_or_default();
        PatchKind::ALL
            .into_iter()
            .find(|kind| kind.media_type() == name)
    }
}

/// The object after a patch. Nothing is defaulted, pruned or validated yet: the caller decodes the result as any object it is sent.
///
/// `at` is the schema of a built-in kind. Without one, as for custom resources, there are no strategic merge patches.
///
/// # Errors
///
/// If the patch cannot be read or does not apply, as the server tells its client.
pub fn apply_patch(
    kind: PatchKind,
    at: Option<At<'_>>,
    current: &Value,
    body: &[u8],
) -> Result<Value, Status> {
    match (kind, at) {
        (PatchKind::Json, _) => json::apply(current, &json::operations(read(kind, body)?)?),
        (PatchKind::Merge, _) => match document(kind, body)? {
            Some(patch) => Ok(merge::apply(current.clone(), patch)),
            None => Err(Status::bad_request("Invalid JSON Patch")),
        },
        (PatchKind::Strategic, Some(at)) => {
            let original = current.as_object().cloned().unwrap_or_default();
            let patch = document(kind, body)?.unwrap_or_default();
            strategic::merge(original, patch, at).map(Value::Object)
        }
        (PatchKind::Strategic, None) => Err(unsupported_media_type(false)),
    }
}

/// Why a JSON patch came to nothing.
#[derive(Debug, PartialEq)]
pub enum Unapplied {
    /// It is no list of operations, or has too many.
    Unread(Status),
    /// This operation is the first that does not apply.
    At {
        index: usize,
        /// What the operations before it made of the object.
        before: Value,
    },
}

/// The object after a JSON patch. The patch is gone through at most twice, however it fails.
///
/// # Errors
///
/// If the patch cannot be read or does not apply.
pub fn apply_json(current: &Value, patch: Value) -> Result<Value, Unapplied> {
    let operations = json::operations(patch).map_err(Unapplied::Unread)?;
    json::apply_until(current, &operations).map_err(|index| {
        let before = json::apply_until(current, &operations[..index]);
        Unapplied::At {
            index,
            before: before.expect("these operations have applied before"),
        }
    })
}

/// The object after the steps of a JSON patch that the server makes itself; nothing if a step tests for what is not there.
///
/// # Errors
///
/// If a step does not apply.
pub fn apply_steps(current: &Value, steps: Value) -> Result<Option<Value>, String> {
    let operations = json::operations(steps).map_err(|status| status.message)?;
    json::apply_or_refrain(current, &operations)
}

/// The answer to a patch of a form that the resource does not take.
#[must_use]
pub fn unsupported_media_type(builtin: bool) -> Status {
    let message = if builtin {
        "415: Unsupported Media Type".to_owned()
    } else {
        format!(
            "the body of the request was in an unknown format - accepted media types include: {}, {}, application/apply-patch+yaml",
            PatchKind::Json.media_type(),
            PatchKind::Merge.media_type()
        )
    };
    Status::new(Reason::UnsupportedMediaType, message)
}

/// The answer to a patch whose result is no object of its kind, or is told strictly and has fields that nobody knows: `why` is the decoder's text.
#[must_use]
pub fn invalid_result(kind: PatchKind, body: &[u8], result: &Value, why: &str) -> Status {
    let shown = match kind {
        PatchKind::Json | PatchKind::Merge => result.to_string(),
        PatchKind::Strategic => {
            let patch = document(kind, body).ok().flatten().unwrap_or_default();
            go::show(&Value::Object(patch))
        }
    };
    let fault = Invalid::value(&Path::new("patch"), shown, why);
    Status::invalid("", "", "", &vec![fault])
}

/// The fields of a JSON patch's operations that operations do not have, as a strict reader tells them. Fields that are told twice are for the
/// reader of JSON to find.
#[must_use]
pub fn unknown_fields(body: &[u8]) -> Vec<String> {
    let patch: Value = serde_json::from_slice(body).unwrap_or_default();
    let rows = patch.as_array().map_or(&[][..], Vec::as_slice);
    let mut unknown = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let names = row.as_object().into_iter().flatten().map(|field| field.0);
        for name in names.filter(|name| !json::FIELDS.contains(&name.as_str())) {
            let place = Value::from(format!("[{index}].{name}"));
            unknown.push(format!("json patch unknown field {place}"));
        }
    }
    unknown
}

fn read(kind: PatchKind, body: &[u8]) -> Result<Value, Status> {
    serde_json::from_slice(body)
        .map_err(|error| undecodable(kind, &go::syntax_error(body).unwrap_or(error.to_string())))
}

/// The fields of a patch that is an object; none for `null`.
fn document(kind: PatchKind, body: &[u8]) -> Result<Option<Map>, Status> {
    match read(kind, body)? {
        Value::Object(fields) => Ok(Some(fields)),
        Value::Null => Ok(None),
        other => Err(undecodable(
            kind,
            &go::mismatch(&other, "value of type map[string]interface {}"),
        )),
    }
}

/// A patch that cannot be read. The words before the reason are upstream's.
fn undecodable(kind: PatchKind, why: &str) -> Status {
    let before = if kind == PatchKind::Strategic {
        ""
    } else {
        "error decoding patch: "
    };
    Status::bad_request(format!("{before}{why}"))
}

/// Takes the fields that are null out of an object and of objects in lists. Elements of lists stay.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(elements) => elements.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}
