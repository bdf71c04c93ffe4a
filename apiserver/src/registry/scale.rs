//! The `scale` of an object: its number of replicas, in a form that is the same for every kind.

use objects::status::Status;
use objects::{Value, catalog, jsonpath, meta, selector};
use serde_json::json;

use super::fields::{self, Replicas};
use super::{Patch, Registry, Request, WriteOptions};

impl Registry {
    /// The scale of an object.
    pub async fn get_scale(&self, request: &Request) -> Result<Value, Status> {
        let object = self.get(request, "").await?;
        of(request, &object)
    }

    /// Changes the scale of an object.
    pub async fn set_scale(
        &self,
        request: &Request,
        patch: &Patch<'_>,
        options: &WriteOptions,
    ) -> Result<Value, Status> {
        let noted = |before: &Value| {
            let mut after = patch(before)?;
            fields::note_scale(request, options, before, &mut after);
            Ok(after)
        };
        self.change_scale(request, &noted, options).await
    }

    /// Applies a configuration to the scale of an object.
    pub(super) async fn apply_scale(
        &self,
        request: &Request,
        configuration: &Value,
        options: &WriteOptions,
    ) -> Result<Value, Status> {
        let applied = |before: &Value| fields::applied_scale(options, before, configuration);
        self.change_scale(request, &applied, options).await
    }

    async fn change_scale(
        &self,
        request: &Request,
        patch: &Patch<'_>,
        options: &WriteOptions,
    ) -> Result<Value, Status> {
        let change = |object: &Value| {
            let before = of(request, object)?;
            let after = patch(&before)?;
            let replicas = meta::at(&after, &["spec", "replicas"])
                .and_then(Value::as_i64)
                .unwrap_or(0);
            check(request, replicas)?;
            let version = meta::resource_version(&after);
            if !version.is_empty() && version != meta::resource_version(object) {
                return Err(request.conflict(super::CHANGED));
            }
            let mut object = object.clone();
            match path(request, "specReplicasPath") {
                Some(path) => {
                    let place = jsonpath::dotted_mut(&mut object, path).ok_or_else(|| {
                        Status::internal(format!("{path} is no path of the object"))
                    })?;
                    *place = json!(replicas);
                }
                None => {
                    meta::fields_mut(&mut object, "spec")
                        .insert("replicas".to_owned(), json!(replicas));
                }
            }
            Replicas::of(request).write(&after, &mut object)?;
            Ok(object)
        };
        let object = self.patch_applied(request, &change, options).await?;
        of(request, &object)
    }
}

fn check(request: &Request, replicas: i64) -> Result<(), Status> {
    if replicas >= 0 {
        return Ok(());
    }
    let path = objects::path::Path::new("spec.replicas");
    let fault =
        objects::invalid::Invalid::value(&path, replicas, "must be greater than or equal to 0");
    Err(Status::invalid(
        "autoscaling",
        "Scale",
        &request.name,
        &vec![fault],
    ))
}

/// The path in a custom kind's objects of a part of the scale.
fn path<'a>(request: &'a Request, field: &str) -> Option<&'a str> {
    request.served.custom()?.scale_path(field)
}

/// The scale that an object has.
fn of(request: &Request, object: &Value) -> Result<Value, Status> {
    let (group, version) = request
        .served
        .subresource("scale")
        .map_or(("autoscaling", "v1"), |part| {
            (part.group.as_str(), part.version.as_str())
        });
    let mut metadata = json!({});
    for field in [
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "creationTimestamp",
    ] {
        if let Some(value) = meta::at(object, &["metadata", field]) {
            metadata[field] = value.clone();
        }
    }
    let owners = Replicas::of(request).of_scale(object)?;
    if !owners.is_empty() {
        metadata["managedFields"] = owners.into();
    }
    let number = |field: &str, own: &[&str]| {
        let found = match path(request, field) {
            Some(path) => jsonpath::dotted(object, path),
            None => meta::at(object, own),
        };
        found.and_then(Value::as_i64).unwrap_or(0)
    };
    let mut scale = json!({
        "kind": "Scale",
        "apiVersion": catalog::api_version(group, version),
        "metadata": metadata,
        "spec": {},
        "status": {"replicas": number("statusReplicasPath", &["status", "replicas"])},
    });
    let replicas = number("specReplicasPath", &["spec", "replicas"]);
    if replicas > 0 {
        scale["spec"]["replicas"] = json!(replicas);
    }
    let selector = selector_text(request, object);
    if !selector.is_empty() {
        scale["status"]["selector"] = json!(selector);
    }
    Ok(scale)
}

/// The selector of an object's pods as text: a `LabelSelector`, or a ReplicationController's map.
fn selector_text(request: &Request, object: &Value) -> String {
    if request.served.is_custom() {
        let found = path(request, "labelSelectorPath")
            .and_then(|path| jsonpath::dotted(object, path))
            .and_then(Value::as_str);
        return found.unwrap_or_default().to_owned();
    }
    let Some(selector) = meta::at(object, &["spec", "selector"]) else {
        return String::new();
    };
    if request.served.resource.kind == "ReplicationController" {
        let pairs = selector.as_object().into_iter().flatten();
        let pairs: Vec<String> = pairs
            .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
            .collect();
        return pairs.join(",");
    }
    selector::label::Selector::from_object(selector)
        .map_or_else(|_| String::new(), |selector| selector.to_string())
}
