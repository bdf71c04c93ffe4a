//! The paths of a resource and its subresources, with the operations that their verbs allow.

use serde_json::json;

use super::{
    Served,
    components::Components,
    group_version_path,
    operations::{
        Action, Operation, PRETTY, Query, capital, own_kind, parameter, path_parameter,
        resource_list,
    },
};
use crate::{
    Map, Value,
    catalog::{Resource, Subresource},
};

const NAMESPACE: &str = "The namespace of the object.";

/// Parameters of the query that subresources take, by their name.
const QUERIES: [(&str, &[Query]); 5] = [
    (
        "log",
        &[
            ("container", "string", "Which container."),
            ("follow", "boolean", "The answer goes on as the log does."),
            (
                "insecureSkipTLSVerifyBackend",
                "boolean",
                "The node's certificate is not checked.",
            ),
            ("limitBytes", "integer", "The most bytes."),
            (
                "previous",
                "boolean",
                "The log of the container that was there before.",
            ),
            ("sinceSeconds", "integer", "Only what is not older."),
            ("stream", "string", "Which stream: All, Stdout or Stderr."),
            ("tailLines", "integer", "Only so many lines from the end."),
            ("timestamps", "boolean", "Each line begins with its time."),
        ],
    ),
    (
        "exec",
        &[
            ("command", "string", "The command and its arguments."),
            ("container", "string", "Which container."),
            ("stderr", "boolean", "Standard error is sent."),
            ("stdin", "boolean", "Standard input is taken."),
            ("stdout", "boolean", "Standard output is sent."),
            ("tty", "boolean", "There is a terminal."),
        ],
    ),
    (
        "attach",
        &[
            ("container", "string", "Which container."),
            ("stderr", "boolean", "Standard error is sent."),
            ("stdin", "boolean", "Standard input is taken."),
            ("stdout", "boolean", "Standard output is sent."),
            ("tty", "boolean", "There is a terminal."),
        ],
    ),
    ("portforward", &[("ports", "integer", "Which ports.")]),
    (
        "proxy",
        &[("path", "string", "The path that is asked for.")],
    ),
];

/// A resource while its paths are written.
struct Writer<'a, 'b> {
    paths: &'a mut Map,
    components: &'a mut Components<'b>,
    resource: &'a Resource,
    custom: bool,
    object: Value,
    list: Value,
}

/// Writes the path that tells which resources a group and version have.
pub(super) fn add_list_of_resources(
    paths: &mut Map,
    components: &mut Components<'_>,
    resource: &Resource,
) {
    let path = group_version_path(&resource.group, &resource.version);
    let list = components.meta("APIResourceList");
    paths.insert(
        format!("/{path}/"),
        json!({ "get": resource_list(resource, &list) }),
    );
}

/// Writes the paths of a resource.
pub(super) fn add(paths: &mut Map, components: &mut Components<'_>, served: Served<'_>) {
    let resource = served.resource;
    let (object, list) = components.resource(served);
    let custom = components.source.is_custom(served);
    let mut writer = Writer {
        paths,
        components,
        resource,
        custom,
        object,
        list,
    };
    let root = format!(
        "/{}",
        group_version_path(&resource.group, &resource.version)
    );
    let collection = if resource.namespaced {
        if resource.verbs.iter().any(|verb| verb == "list") {
            writer.list_of_all_namespaces(&format!("{root}/{}", resource.plural));
        }
        format!("{root}/namespaces/{{namespace}}/{}", resource.plural)
    } else {
        format!("{root}/{}", resource.plural)
    };
    writer.own_paths(&collection);
    for subresource in &resource.subresources {
        writer.subresource(&format!("{collection}/{{name}}"), subresource);
    }
}

impl Writer<'_, '_> {
    /// `NamespacedPod`, with what stands around it.
    fn subject(&self, after: &str) -> String {
        let namespaced = if self.resource.namespaced {
            "Namespaced"
        } else {
            ""
        };
        format!("{namespaced}{}{after}", self.resource.kind)
    }

    fn own_paths(&mut self, collection: &str) {
        let item = format!("{collection}/{{name}}");
        let actions = [
            ("list", Action::List, collection),
            ("create", Action::Post, collection),
            ("deletecollection", Action::DeleteCollection, collection),
            ("get", Action::Get, &item),
            ("update", Action::Put, &item),
            ("patch", Action::Patch, &item),
            ("delete", Action::Delete, &item),
        ];
        for (verb, action, path) in actions {
            if !self.resource.verbs.iter().any(|served| served == verb) {
                continue;
            }
            let answered = match action {
                Action::List => self.list.clone(),
                Action::DeleteCollection => self.components.meta("Status"),
                Action::Delete if !answers_with_the_object(self.resource) => {
                    self.components.meta("Status")
                }
                _ => self.object.clone(),
            };
            let subject = self.subject("");
            let subject = if action == Action::DeleteCollection {
                format!("Collection{subject}")
            } else {
                subject
            };
            let operation = Operation {
                action,
                resource: self.resource,
                custom: self.custom,
                subject,
                kind: own_kind(self.resource),
                sent: self.object.clone(),
                answered,
                queries: &[],
            };
            self.write(path, action.method(), &operation);
        }
    }

    fn list_of_all_namespaces(&mut self, path: &str) {
        let operation = Operation {
            action: Action::List,
            resource: self.resource,
            custom: self.custom,
            subject: format!("{}ForAllNamespaces", self.resource.kind),
            kind: own_kind(self.resource),
            sent: Value::Null,
            answered: self.list.clone(),
            queries: &[],
        };
        self.write(path, "get", &operation);
    }

    fn subresource(&mut self, item: &str, subresource: &Subresource) {
        let path = format!("{item}/{}", subresource.name);
        let kind = json!({
            "group": subresource.group, "version": subresource.version, "kind": subresource.kind,
        });
        let connects = subresource.kind.ends_with("Options");
        let own =
            subresource.kind == self.resource.kind && subresource.group == self.resource.group;
        let object = if own {
            self.object.clone()
        } else {
            let (group, version) = (&subresource.group, &subresource.version);
            let kind = self.components.kind(group, version, &subresource.kind);
            kind.unwrap_or_else(|| json!({ "type": "string" }))
        };
        let queries = QUERIES.iter().find(|row| row.0 == subresource.name);
        let queries = queries.map_or(&[][..], |row| row.1);
        let after = capital(&subresource.name);
        for (verb, action) in [
            ("get", Action::Get),
            ("create", Action::Post),
            ("update", Action::Put),
            ("patch", Action::Patch),
            ("delete", Action::Delete),
        ] {
            if !subresource.verbs.iter().any(|served| served == verb) {
                continue;
            }
            let subject = self.subject(&after);
            let operation = Operation {
                action: if connects { Action::Connect } else { action },
                resource: self.resource,
                custom: self.custom,
                subject: if connects {
                    format!("{}{subject}", capital(action.method()))
                } else {
                    subject
                },
                kind: kind.clone(),
                sent: object.clone(),
                answered: if subresource.name == "log" {
                    json!({ "type": "string" })
                } else {
                    object.clone()
                },
                queries,
            };
            self.write(&path, action.method(), &operation);
        }
    }

    fn write(&mut self, path: &str, method: &str, operation: &Operation<'_>) {
        let described = operation.describe(self.components);
        let item = self
            .paths
            .entry(path)
            .or_insert_with(|| json!({ "parameters": [] }));
        if item["parameters"] == json!([]) {
            let mut parameters = Vec::new();
            if path.contains("/{name}") {
                let text = format!("The name of the {}.", self.resource.kind);
                parameters.push(path_parameter("name", &text));
            }
            if path.contains("/{namespace}") {
                parameters.push(path_parameter("namespace", NAMESPACE));
            }
            parameters.push(parameter(self.components, PRETTY));
            item["parameters"] = json!(parameters);
        }
        item[method] = described;
    }
}

/// Whether a deletion is answered with what was deleted and not with a status.
fn answers_with_the_object(resource: &Resource) -> bool {
    matches!(
        (resource.group.as_str(), resource.plural.as_str()),
        (
            "",
            "persistentvolumeclaims"
                | "persistentvolumes"
                | "pods"
                | "podtemplates"
                | "resourcequotas"
                | "serviceaccounts"
                | "services"
        ) | ("storage.k8s.io" | "resource.k8s.io", _)
    ) && resource.plural != "csistoragecapacities"
}
