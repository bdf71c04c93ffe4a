//! Bodies of requests: read up to a limit, and decoded as their content type says.

use std::borrow::Cow;

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use objects::catalog::Catalog;
use objects::codec::{json, protobuf, yaml};
use objects::crd::Version;
use objects::patch::{self, PatchKind};
use objects::schema::At;
use objects::status::{Reason, Status};
use objects::{Map, Value, meta};

use super::media::{self, Encoding};
use crate::admission::Warnings;
use crate::registry::Validation;
use crate::served::Served;

/// Largest body of a request, as upstream's.
pub(crate) const BODY_BYTES_MAX: usize = 3 << 20;

/// Reads a body.
pub(super) async fn read(body: Incoming) -> Result<Bytes, Status> {
    match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(Status::new(
            Reason::RequestEntityTooLarge,
            format!("Request entity too large: limit is {BODY_BYTES_MAX}"),
        )),
        Err(error) => Err(Status::bad_request(format!(
            "cannot read the body of the request: {error}"
        ))),
    }
}

/// What decoding needs to know of a request.
pub(crate) struct Wanted<'a> {
    pub(super) served: &'a Served,
    /// The kind of the body: the resource's own, or a subresource's.
    pub(super) group: &'a str,
    pub(super) version: &'a str,
    pub(super) kind: &'a str,
    pub(super) validation: Validation,
    pub(super) warnings: &'a Warnings,
}

impl Wanted<'_> {
    /// The version of a definition that the body's kind is of.
    fn custom(&self) -> Option<&Version> {
        let own = self.served.resource.kind == self.kind;
        self.served.custom().filter(|_| own)
    }
}

/// The object in a body, of the kind that is wanted.
pub(super) fn decode(
    bytes: &[u8],
    headers: &HeaderMap,
    wanted: &Wanted<'_>,
) -> Result<Value, Status> {
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let encoding = media::of_body(content_type)?;
    let value = match encoding {
        Encoding::Protobuf if wanted.served.is_custom() => {
            return Err(Status::new(
                Reason::UnsupportedMediaType,
                "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml",
            ));
        }
        Encoding::Protobuf => {
            protobuf::decode(bytes).map_err(|error| unrecognized(wanted, &error, bytes))?
        }
        Encoding::Yaml => {
            let read = yaml::read(bytes).map_err(|error| unrecognized(wanted, &error, bytes))?;
            whole(read, wanted)?
        }
        Encoding::Json => {
            let own =
                json::type_meta(bytes).map_err(|error| unrecognized(wanted, &error, bytes))?;
            check_own_kind((&own.0, &own.1), wanted)?;
            let read = match built_in(wanted) {
                // One pass tells all that is wrong in the order of the text.
                Some(at) => json::read_as(bytes, at),
                None => json::read(bytes),
            };
            let read = read.map_err(|error| unreadable(wanted, &error.to_string()))?;
            if built_in(wanted).is_some() {
                tell(&read.strict, wanted, |why| unreadable(wanted, &why))?;
                read.value
            } else {
                whole(read, wanted)?
            }
        }
    };
    let value = with_kind(value, wanted);
    check_kind(&value, wanted)?;
    Ok(value)
}

/// The object in JSON, of the kind that is wanted.
pub(crate) fn decode_json(bytes: &[u8], wanted: &Wanted<'_>) -> Result<Value, Status> {
    decode(bytes, &HeaderMap::new(), wanted)
}

/// An object that was merged with an applied one: as if it had been sent whole.
pub(crate) fn decode_applied(value: Value, wanted: &Wanted<'_>) -> Result<Value, Status> {
    let read =
        checked(Cow::Owned(value), Vec::new(), wanted).map_err(|why| unreadable(wanted, &why))?;
    tell(&read.strict, wanted, Status::bad_request)?;
    check_kind(&read.value, wanted)?;
    Ok(read.value)
}

/// An object after a patch of what it was, whose body tells what is wrong with it.
pub(crate) fn decode_patched(
    mut value: Value,
    current: &Value,
    wanted: &Wanted<'_>,
    (kind, body): (PatchKind, &[u8]),
) -> Result<Value, Status> {
    let kept = take_kept(&mut value, current, wanted);
    let read = checked(Cow::Borrowed(&value), Vec::new(), wanted);
    if let Ok(json::Read { mut value, strict }) = read
        && strict.is_empty()
    {
        if let Value::Object(fields) = &mut value {
            fields.extend(kept);
        }
        check_kind(&value, wanted)?;
        return Ok(value);
    }
    // Who tells what is wrong shows all of it.
    if let Value::Object(fields) = &mut value {
        fields.extend(kept);
    }
    let invalid = |why: String| patch::invalid_result(kind, body, &value, &why);
    let read = checked(Cow::Borrowed(&value), Vec::new(), wanted).map_err(invalid)?;
    tell(&read.strict, wanted, invalid)?;
    check_kind(&read.value, wanted)?;
    Ok(read.value)
}

/// Takes out of an object of a built-in kind what a patch has left as it is stored, which was read as its type when it came.
fn take_kept(value: &mut Value, current: &Value, wanted: &Wanted<'_>) -> Map {
    let mut kept = Map::new();
    let Some(fields) = value.as_object_mut().filter(|_| built_in(wanted).is_some()) else {
        return kept;
    };
    for name in ["metadata", "spec", "status"] {
        if fields
            .get(name)
            .is_some_and(|field| current.get(name) == Some(field))
            && let Some((name, field)) = fields.remove_entry(name)
        {
            kept.insert(name, field);
        }
    }
    kept
}

/// Options in a body, which are of a kind of their own.
pub(super) fn decode_options(bytes: &[u8], headers: &HeaderMap) -> Result<Value, Status> {
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let bad = |error: &dyn std::fmt::Display| Status::bad_request(error.to_string());
    let value = match media::of_body(content_type)? {
        Encoding::Protobuf => protobuf::decode(bytes).map_err(|error| bad(&error))?,
        Encoding::Yaml => yaml::read(bytes).map_err(|error| bad(&error))?.value,
        Encoding::Json => {
            json::type_meta(bytes).map_err(|error| bad(&error))?;
            json::read(bytes).map_err(|error| bad(&error))?.value
        }
    };
    let (version, kind) = (
        meta::text(&value, &["apiVersion"]),
        meta::text(&value, &["kind"]),
    );
    if !matches!(kind, "" | "DeleteOptions") {
        return Err(bad(&format!(
            "no kind {kind:?} is registered for version {version:?} in scheme"
        )));
    }
    Ok(value)
}

/// The type of what is wanted, if it is of a built-in kind.
fn built_in<'a>(wanted: &Wanted<'a>) -> Option<At<'a>> {
    typed_as(wanted).filter(|_| wanted.custom().is_none())
}

/// What is said of a body in which no object is to be seen.
fn unrecognized(wanted: &Wanted<'_>, why: &dyn std::fmt::Display, bytes: &[u8]) -> Status {
    Status::bad_request(format!(
        "the object provided is unrecognized (must be of type {}): {why} ({})",
        wanted.kind,
        json::excerpt(bytes)
    ))
}

/// The type of what is wanted, where it has one.
fn typed_as<'a>(wanted: &Wanted<'a>) -> Option<At<'a>> {
    if wanted.served.resource.kind == wanted.kind {
        Some(wanted.served.at())
    } else {
        Catalog::builtin().kind(wanted.group, wanted.version, wanted.kind)
    }
}

fn unreadable(wanted: &Wanted<'_>, why: &str) -> Status {
    Status::bad_request(format!(
        "{} in version {:?} cannot be handled as a {}: {why}",
        wanted.kind, wanted.version, wanted.kind
    ))
}

/// An object that was sent whole.
fn whole(read: json::Read, wanted: &Wanted<'_>) -> Result<Value, Status> {
    let read = checked(Cow::Owned(read.value), read.strict, wanted)
        .map_err(|why| unreadable(wanted, &why))?;
    tell(&read.strict, wanted, |why| unreadable(wanted, &why))?;
    Ok(read.value)
}

/// A tree as its kind has it, and what a strict reader has against it; or why it is none of its kind.
fn checked(
    value: Cow<'_, Value>,
    mut strict: Vec<String>,
    wanted: &Wanted<'_>,
) -> Result<json::Read, String> {
    let value = match (wanted.custom(), typed_as(wanted)) {
        (Some(version), _) if value.is_object() => {
            let mut value = value.into_owned();
            strict.extend(objects::crd::check_metadata(&mut value)?);
            let gone = version.prune(&mut value);
            strict.extend(gone.iter().map(|path| format!("unknown field \"{path}\"")));
            value
        }
        (_, Some(at)) => {
            let typed = json::check(&value, at).map_err(|error| error.to_string())?;
            strict.extend(typed.strict);
            typed.value
        }
        _ => value.into_owned(),
    };
    Ok(json::Read { value, strict })
}

/// Refuses, warns of or ignores what is unknown or said twice.
fn tell(
    strict: &[String],
    wanted: &Wanted<'_>,
    refusal: impl Fn(String) -> Status,
) -> Result<(), Status> {
    match wanted.validation {
        Validation::Strict if !strict.is_empty() => Err(refusal(json::strict_message(strict))),
        Validation::Warn => {
            strict.iter().for_each(|text| wanted.warnings.add(text));
            Ok(())
        }
        _ => Ok(()),
    }
}

/// A body may leave out what the URL says.
fn with_kind(mut value: Value, wanted: &Wanted<'_>) -> Value {
    if let Some(fields) = value.as_object_mut() {
        let api_version = objects::catalog::api_version(wanted.group, wanted.version);
        for (field, text) in [("kind", wanted.kind), ("apiVersion", &api_version)] {
            if fields
                .get(field)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .is_empty()
            {
                fields.insert(field.to_owned(), text.into());
            }
        }
    }
    value
}

fn check_kind(value: &Value, wanted: &Wanted<'_>) -> Result<(), Status> {
    let own = (
        meta::text(value, &["apiVersion"]),
        meta::text(value, &["kind"]),
    );
    check_own_kind(own, wanted)
}

/// Whether an object is of the kind that is wanted; what it does not say, the URL does.
fn check_own_kind(
    (own_version, own_kind): (&str, &str),
    wanted: &Wanted<'_>,
) -> Result<(), Status> {
    let api_version = objects::catalog::api_version(wanted.group, wanted.version);
    let said = |own: &str, other: &str| own.is_empty() || own == other;
    if said(own_kind, wanted.kind) && said(own_version, &api_version) {
        return Ok(());
    }
    let full_version = if own_version.is_empty() {
        api_version.as_str()
    } else {
        own_version
    };
    let own_kind = if own_kind.is_empty() {
        wanted.kind
    } else {
        own_kind
    };
    let (own_group, version) = full_version.split_once('/').unwrap_or(("", full_version));
    if Catalog::builtin()
        .kind(own_group, version, own_kind)
        .is_none()
    {
        return Err(Status::bad_request(format!(
            "{own_kind} in version {version:?} cannot be handled as a {}: no kind {own_kind:?} is registered for version \
             {full_version:?} in scheme",
            wanted.kind
        )));
    }
    if own_kind != wanted.kind {
        return Err(Status::bad_request(format!(
            "{own_kind} in version {version:?} cannot be handled as a {}: converting ({version}.{own_kind}) to ({}.{}): unknown \
             conversion",
            wanted.kind,
            package(wanted.group),
            wanted.kind
        )));
    }
    Err(Status::bad_request(format!(
        "the API version in the data ({full_version}) does not match the expected API version ({api_version})"
    )))
}

/// What upstream calls the home of a group's kinds.
fn package(group: &str) -> &str {
    match group.split('.').next() {
        None | Some("") => "core",
        Some(first) => first,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::served::Resources;

    fn patched(value: &Value, current: &Value) -> Result<Value, Status> {
        let resources = Resources::default();
        let table = resources.table();
        let warnings = Warnings::default();
        let wanted = Wanted {
            served: table.get("", "v1", "pods").expect("pods are built in"),
            group: "",
            version: "v1",
            kind: "Pod",
            validation: Validation::Strict,
            warnings: &warnings,
        };
        decode_patched(value.clone(), current, &wanted, (PatchKind::Merge, b"{}"))
    }

    #[test]
    fn what_a_patch_leaves_alone_comes_out_as_if_all_had_been_read_anew() {
        let whole = |value: &Value| patched(value, &Value::Null);
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"nodeName": "n"}, "status": {}});
        let current = whole(&pod).unwrap();
        for (field, value) in [
            ("status", json!({"phase": "Running", "podIP": null})),
            ("spec", json!({"nodeName": "m"})),
            ("metadata", json!({"name": "a", "labels": {"b": "c"}})),
            ("status", Value::Null),
        ] {
            let mut new = current.clone();
            new[field] = value;
            assert_eq!(
                patched(&new, &current).unwrap(),
                whole(&new).unwrap(),
                "{field}"
            );
        }
        assert_eq!(patched(&current, &current).unwrap(), current);
    }

    #[test]
    fn a_patch_that_makes_no_object_of_the_kind_is_told_with_all_of_it() {
        let current =
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {}});
        for status in [json!({"phase": 7}), json!({"nonsense": "x"})] {
            let mut new = current.clone();
            new["status"] = status;
            let refused = patched(&new, &current).unwrap_err();
            assert_eq!(refused.code, 422);
            assert!(
                refused.message.contains(r#"\"metadata\":{\"name\":\"a\"}"#),
                "{}",
                refused.message
            );
        }
    }
}
