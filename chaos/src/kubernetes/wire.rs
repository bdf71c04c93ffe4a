//! Objects, lists and paths as an apiserver has them in JSON.

use http::Method;
use serde_json::{Value, json};

use super::client::{Answer, Ask, NoAnswer};
use super::history::{Change, Key, Kind, Object, Outcome, Request, Saw};

/// Everything is in this namespace, which is made when a run begins.
pub(super) const NAMESPACE: &str = "chaos";
/// Names of the workload's objects begin with this; others play no part.
pub(super) const PREFIX: &str = "o-";
const GROUP: &str = "chaos.mainstay.dev";
const JSON: &str = "application/json";
const MERGE_PATCH: &str = "application/merge-patch+json";
/// HTTP's code for too old a resourceVersion.
pub(super) const GONE: u16 = 410;
/// HTTP's code for what is there already.
pub(super) const CONFLICT: u16 = 409;

/// Where the objects of a kind are.
pub(super) fn path(kind: Kind) -> String {
    match kind {
        Kind::ConfigMap => format!("/api/v1/namespaces/{NAMESPACE}/configmaps"),
        Kind::Widget => format!("/apis/{GROUP}/v1/namespaces/{NAMESPACE}/widgets"),
    }
}

fn path_of(key: &Key) -> String {
    format!("{}/{}", path(key.kind), key.name)
}

/// What has to be there before a run.
pub(super) fn preparations() -> [Ask; 2] {
    let text = json!({ "type": "string" });
    let fields = json!({ "type": "object", "properties": { "value": text, "patch": text } });
    let schema =
        json!({ "openAPIV3Schema": { "type": "object", "properties": { "data": fields } } });
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("widgets.{GROUP}") },
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": { "kind": "Widget", "listKind": "WidgetList", "plural": "widgets", "singular": "widget" },
            "versions": [{ "name": "v1", "served": true, "storage": true, "schema": schema }],
        },
    });
    let namespace =
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE } });
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    [
        post("/api/v1/namespaces".to_owned(), namespace),
        post(definitions.to_owned(), definition),
    ]
}

fn post(path: String, body: Value) -> Ask {
    Ask {
        method: Method::POST,
        path,
        body: Some((JSON, body)),
    }
}

/// An object as it is sent.
fn document(key: &Key, version: Option<u64>, (value, patch): (&str, &str)) -> Value {
    let (group, kind) = match key.kind {
        Kind::ConfigMap => ("v1".to_owned(), "ConfigMap"),
        Kind::Widget => (format!("{GROUP}/v1"), "Widget"),
    };
    let mut metadata = json!({ "name": key.name });
    if let Some(version) = version {
        metadata["resourceVersion"] = json!(version.to_string());
    }
    let mut data = json!({ "value": value });
    if !patch.is_empty() {
        data["patch"] = json!(patch);
    }
    json!({ "apiVersion": group, "kind": kind, "metadata": metadata, "data": data })
}

/// A request as it is sent; `patch` is what an update leaves as it was read. A list is sent page by page, elsewhere.
pub(super) fn ask(request: &Request, patch: &str) -> Ask {
    match request {
        Request::Get { key } => Ask::get(path_of(key)),
        Request::List { kind } => Ask::get(path(*kind)),
        Request::Create { key, value } => post(path(key.kind), document(key, None, (value, ""))),
        Request::Update {
            key,
            version,
            value,
        } => Ask {
            method: Method::PUT,
            path: path_of(key),
            body: Some((JSON, document(key, Some(*version), (value, patch)))),
        },
        Request::Patch { key, patch } => Ask {
            method: Method::PATCH,
            path: path_of(key),
            body: Some((MERGE_PATCH, json!({ "data": { "patch": patch } }))),
        },
        Request::Delete { key, uid, version } => {
            let mut preconditions = json!({ "uid": uid });
            if let Some(version) = version {
                preconditions["resourceVersion"] = json!(version.to_string());
            }
            let options = json!({ "apiVersion": "v1", "kind": "DeleteOptions", "preconditions": preconditions });
            Ask {
                method: Method::DELETE,
                path: path_of(key),
                body: Some((JSON, options)),
            }
        }
    }
}

/// What came of a request that is not a list.
pub(super) fn outcome(request: &Request, answer: Result<Answer, NoAnswer>) -> Outcome {
    let answer = match answer {
        Ok(answer) => answer,
        Err(NoAnswer::NotSent(reason)) => return Outcome::Refused { code: 0, reason },
        Err(NoAnswer::Lost(error)) => return Outcome::Unknown { error },
    };
    if let Some(outcome) = failure(&answer) {
        return outcome;
    }
    match request {
        Request::Delete { .. } => Outcome::Deleted,
        _ => object(&answer.body).map_or_else(
            || Outcome::Unknown {
                error: format!("no object in {}", answer.body),
            },
            Outcome::Object,
        ),
    }
}

/// An answer that is none: what a server says of itself leaves open what came of the request, and the rest refuses it.
pub(super) fn failure(answer: &Answer) -> Option<Outcome> {
    let words = || {
        answer.body["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    match answer.code {
        200..300 => None,
        500.. => Some(Outcome::Unknown {
            error: format!("{}: {}", answer.code, words()),
        }),
        code => Some(Outcome::Refused {
            code,
            reason: words(),
        }),
    }
}

/// An object, if it is one.
fn object(body: &Value) -> Option<Object> {
    let metadata = &body["metadata"];
    let data = |name: &str| body["data"][name].as_str().unwrap_or_default().to_owned();
    Some(Object {
        name: metadata["name"].as_str()?.to_owned(),
        uid: metadata["uid"].as_str()?.to_owned(),
        version: version(metadata)?,
        value: data("value"),
        patch: data("patch"),
    })
}

/// The resourceVersion in metadata.
pub(super) fn version(metadata: &Value) -> Option<u64> {
    metadata["resourceVersion"].as_str()?.parse().ok()
}

/// The workload's objects in a list.
pub(super) fn objects(body: &Value) -> Option<Vec<Object>> {
    let items = body["items"].as_array()?.iter();
    let objects: Option<Vec<Object>> = items.map(object).collect();
    Some(objects?.into_iter().filter(is_ours).collect())
}

fn is_ours(object: &Object) -> bool {
    object.name.starts_with(PREFIX)
}

/// A line of a watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// Something of the workload's.
    Saw(Saw),
    /// Something else's.
    Other,
    /// The server ends the watch, with HTTP's code.
    Error(u64),
}

/// What a line of a watch says; none if it cannot be read.
pub(super) fn line(line: &Value) -> Option<Line> {
    let body = &line["object"];
    let change = match line["type"].as_str()? {
        "ADDED" => Change::Added,
        "MODIFIED" => Change::Modified,
        "DELETED" => Change::Deleted,
        "BOOKMARK" => {
            let revision = version(&body["metadata"])?;
            return Some(Line::Saw(Saw::Bookmark { revision }));
        }
        _ => return Some(Line::Error(body["code"].as_u64().unwrap_or(0))),
    };
    let object = object(body)?;
    Some(if is_ours(&object) {
        Line::Saw(Saw::Event { change, object })
    } else {
        Line::Other
    })
}
