//! One operation of a document: its name, parameters, body and answers.

use serde_json::json;

use super::components::{Components, group_version_kind};
use crate::{Map, Value, catalog::Resource};

const DELETE_OPTIONS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";

/// A parameter in the query: name, type and text, which is empty where `DeleteOptions` has it.
pub(super) type Query = (&'static str, &'static str, &'static str);

pub(super) const PRETTY: Query = ("pretty", "string", "Whether the answer is indented.");

const WRITE: [Query; 3] = [
    ("dryRun", "string", ""),
    (
        "fieldManager",
        "string",
        "Who the changed fields belong to, at most 128 printable characters.",
    ),
    (
        "fieldValidation",
        "string",
        "What becomes of fields that are unknown or told twice: Ignore, Warn or Strict.",
    ),
];
const FORCE: Query = (
    "force",
    "boolean",
    "Takes fields over from other managers when a configuration is applied.",
);
const DELETE: [Query; 5] = [
    ("dryRun", "string", ""),
    ("gracePeriodSeconds", "integer", ""),
    (
        "ignoreStoreReadErrorWithClusterBreakingPotential",
        "boolean",
        "",
    ),
    ("orphanDependents", "boolean", ""),
    ("propagationPolicy", "string", ""),
];
const SELECT: [Query; 8] = [
    (
        "continue",
        "string",
        "Where a list that came in parts goes on.",
    ),
    ("fieldSelector", "string", "Which objects, by their fields."),
    ("labelSelector", "string", "Which objects, by their labels."),
    ("limit", "integer", "The most objects in one answer."),
    (
        "resourceVersion",
        "string",
        "The version that the answer is of.",
    ),
    (
        "resourceVersionMatch",
        "string",
        "How that version is meant: Exact or NotOlderThan.",
    ),
    (
        "sendInitialEvents",
        "boolean",
        "A watch begins with the objects there are.",
    ),
    (
        "timeoutSeconds",
        "integer",
        "How long the request lasts at most.",
    ),
];
const WATCH: [Query; 2] = [
    (
        "allowWatchBookmarks",
        "boolean",
        "A watch is sent bookmarks.",
    ),
    (
        "watch",
        "boolean",
        "Changes are sent as they happen, in place of a list.",
    ),
];

/// What an operation does, in the words of `x-kubernetes-action`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Get,
    List,
    Post,
    Put,
    Patch,
    Delete,
    DeleteCollection,
    Connect,
}

impl Action {
    /// The method, the action's name, the first word of an operation's name, and what the operation does.
    fn words(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Action::Get => ("get", "get", "read", "Reads"),
            Action::List => ("get", "list", "list", "Lists or watches"),
            Action::Post => ("post", "post", "create", "Creates"),
            Action::Put => ("put", "put", "replace", "Replaces"),
            Action::Patch => ("patch", "patch", "patch", "Changes parts of"),
            Action::Delete => ("delete", "delete", "delete", "Deletes"),
            Action::DeleteCollection => ("delete", "deletecollection", "delete", "Deletes all of"),
            Action::Connect => ("get", "connect", "connect", "Connects to"),
        }
    }

    pub(super) fn method(self) -> &'static str {
        self.words().0
    }

    fn queries(self) -> Vec<Query> {
        match self {
            Action::Get | Action::Connect => Vec::new(),
            Action::List => [&SELECT[..], &WATCH].concat(),
            Action::Post | Action::Put => WRITE.to_vec(),
            Action::Patch => [&WRITE[..], &[FORCE]].concat(),
            Action::Delete => DELETE.to_vec(),
            Action::DeleteCollection => [&SELECT[..], &DELETE].concat(),
        }
    }

    fn codes(self) -> &'static [(&'static str, &'static str)] {
        const OK: (&str, &str) = ("200", "OK");
        const CREATED: (&str, &str) = ("201", "Created");
        const ACCEPTED: (&str, &str) = ("202", "Accepted");
        match self {
            Action::Get | Action::List | Action::DeleteCollection | Action::Connect => &[OK],
            Action::Post => &[OK, CREATED, ACCEPTED],
            Action::Put | Action::Patch => &[OK, CREATED],
            Action::Delete => &[OK, ACCEPTED],
        }
    }
}

/// An operation that is to be described.
pub(super) struct Operation<'a> {
    pub(super) action: Action,
    pub(super) resource: &'a Resource,
    pub(super) custom: bool,
    /// What the operation is named after: `NamespacedPodStatus`.
    pub(super) subject: String,
    /// Group, version and kind of what is sent.
    pub(super) kind: Value,
    pub(super) sent: Value,
    pub(super) answered: Value,
    /// More parameters of the query.
    pub(super) queries: &'a [Query],
}

impl Operation<'_> {
    pub(super) fn describe(&self, components: &mut Components<'_>) -> Value {
        let (_, action, verb, does) = self.action.words();
        let (camel, tag) = group_names(&self.resource.group, &self.resource.version);
        let mut parameters = self.action.queries();
        parameters.extend(self.queries);
        let mut operation = json!({
            "tags": [tag],
            "description": format!("{does} {}.", self.resource.kind),
            "operationId": format!("{verb}{camel}{}", self.subject),
            "responses": self.responses(),
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": self.kind,
        });
        if !parameters.is_empty() {
            operation["parameters"] = parameters
                .into_iter()
                .map(|query| parameter(components, query))
                .collect();
        }
        if let Some(body) = self.body(components) {
            operation["requestBody"] = body;
        }
        operation
    }

    fn responses(&self) -> Value {
        let mut names = vec!["application/json", "application/yaml"];
        if !self.custom {
            names.push("application/vnd.kubernetes.protobuf");
        }
        match self.action {
            Action::List if !self.custom => names.extend([
                "application/json;stream=watch",
                "application/vnd.kubernetes.protobuf;stream=watch",
            ]),
            Action::Connect => names = vec!["*/*"],
            _ => {}
        }
        let content = contents(&names, &self.answered);
        let mut responses: Map = self
            .action
            .codes()
            .iter()
            .map(|(code, text)| {
                (
                    (*code).to_owned(),
                    json!({ "description": text, "content": content }),
                )
            })
            .collect();
        responses.insert("401".to_owned(), json!({ "description": "Unauthorized" }));
        Value::Object(responses)
    }

    fn body(&self, components: &mut Components<'_>) -> Option<Value> {
        let names: &[&str] = match self.action {
            Action::Patch if self.custom => &[
                "application/apply-patch+yaml",
                "application/json-patch+json",
                "application/merge-patch+json",
            ],
            Action::Patch => &[
                "application/apply-patch+yaml",
                "application/json-patch+json",
                "application/merge-patch+json",
                "application/strategic-merge-patch+json",
            ],
            _ if self.custom => &["application/json", "application/yaml"],
            _ => &["*/*"],
        };
        match self.action {
            Action::Get | Action::List | Action::Connect => None,
            Action::Post | Action::Put => {
                Some(json!({ "content": contents(names, &self.sent), "required": true }))
            }
            Action::Patch => {
                let patch = components.meta("Patch");
                Some(json!({ "content": contents(names, &patch), "required": true }))
            }
            Action::Delete | Action::DeleteCollection => {
                let options = components.named(DELETE_OPTIONS);
                Some(json!({ "content": contents(names, &options) }))
            }
        }
    }
}

/// The operation that tells which resources the group and version of this one have.
pub(super) fn resource_list(resource: &Resource, list: &Value) -> Value {
    let (camel, tag) = group_names(&resource.group, &resource.version);
    let names = [
        "application/json",
        "application/yaml",
        "application/vnd.kubernetes.protobuf",
    ];
    json!({
        "tags": [tag],
        "description": "Tells which resources there are.",
        "operationId": format!("get{camel}APIResources"),
        "responses": {
            "200": { "description": "OK", "content": contents(&names, list) },
            "401": { "description": "Unauthorized" },
        },
    })
}

fn contents(names: &[&str], schema: &Value) -> Map {
    names
        .iter()
        .map(|name| ((*name).to_owned(), json!({ "schema": schema })))
        .collect()
}

/// A parameter of the query.
pub(super) fn parameter(components: &Components<'_>, (name, kind, text): Query) -> Value {
    let mut parameter = json!({
        "name": name, "in": "query", "schema": { "type": kind, "uniqueItems": true },
    });
    let text = if text.is_empty() {
        components.description(DELETE_OPTIONS, name)
    } else {
        Some(text.to_owned())
    };
    if let Some(text) = text {
        parameter["description"] = json!(text);
    }
    parameter
}

/// A parameter of the path.
pub(super) fn path_parameter(name: &str, text: &str) -> Value {
    json!({
        "name": name, "in": "path", "description": text, "required": true,
        "schema": { "type": "string", "uniqueItems": true },
    })
}

/// How names of operations and tags show a group and version: `RbacAuthorizationV1` and `rbacAuthorization_v1`.
fn group_names(group: &str, version: &str) -> (String, String) {
    let group = match group {
        "" => "core",
        group => group.strip_suffix(".k8s.io").unwrap_or(group),
    };
    let mut words = group.split(['.', '-']);
    let first = words.next().unwrap_or_default();
    let rest: String = words.map(capital).collect();
    let camel = format!("{}{rest}{}", capital(first), capital(version));
    (camel, format!("{first}{rest}_{version}"))
}

/// A word with its first letter in upper case.
pub(super) fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters
        .next()
        .map(|first| first.to_ascii_uppercase())
        .into_iter()
        .chain(letters)
        .collect()
}

/// What a resource's own operations are about.
pub(super) fn own_kind(resource: &Resource) -> Value {
    group_version_kind(resource, &resource.kind)
}
