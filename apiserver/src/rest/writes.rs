//! Making, changing and deleting objects.

use http::header::CONTENT_TYPE;
use objects::invalid::Invalid;
use objects::patch::{self, PatchKind};
use objects::status::Status;
use objects::{Value, meta};
use serde_json::json;

use super::answer::{self, Answer};
use super::body::{self, Wanted};
use super::front::Admitted;
use super::objects_api::Call;
use super::reviews;
use super::verbs::shown;
use crate::registry::{DeleteOptions, Deleted, ListOptions, Request, WriteOptions, with_defaults};

/// The media type of a configuration that is applied.
const APPLY: &str = "application/apply-patch+yaml";

/// A new object, or what stands for an action on one.
pub(super) async fn create(call: &Call<'_>, request: Admitted) -> Result<Answer, Status> {
    let options = WriteOptions::from_query(&request.query, "CreateOptions")?;
    let headers = request.headers.clone();
    let bytes = body::read(request.body).await?;
    let object = body::decode(&bytes, &headers, &wanted(&call.request, &options))?;
    note_object(&call.request, &object);
    let registry = &call.front.registry;
    let made = if !call.request.served.is_stored() {
        reviews::answer(call.front, &call.request, object, &options).await?
    } else if call.request.subresource == "token" {
        reviews::token(call.front, &call.request, object, options.dry_run).await?
    } else if call.request.subresource.is_empty() {
        registry.create(&call.request, object, &options).await?
    } else {
        registry.act(&call.request, object, &options).await?
    };
    shown(call, 201, &made, "")
}

/// A whole object in the place of the one that is there.
pub(super) async fn update(call: &Call<'_>, request: Admitted) -> Result<Answer, Status> {
    let options = WriteOptions::from_query(&request.query, "UpdateOptions")?;
    let headers = request.headers.clone();
    let bytes = body::read(request.body).await?;
    let object = body::decode(&bytes, &headers, &wanted(&call.request, &options))?;
    note_object(&call.request, &object);
    let registry = &call.front.registry;
    if call.request.subresource == "scale" {
        let changed = registry
            .set_scale(&call.request, &|_: &Value| Ok(object.clone()), &options)
            .await?;
        return shown(call, 200, &changed, "");
    }
    let (changed, made) = registry.update(&call.request, object, &options).await?;
    shown(call, if made { 201 } else { 200 }, &changed, "")
}

/// A patch in one of the four forms.
pub(super) async fn patch(call: &Call<'_>, request: Admitted) -> Result<Answer, Status> {
    let options = WriteOptions::from_query(&request.query, "PatchOptions")?;
    let content_type = request.header(CONTENT_TYPE).to_owned();
    let form = content_type.split(';').next().unwrap_or_default().trim();
    let has_force = !request.query("force").is_empty();
    let bytes = body::read(request.body).await?;
    call.request.audit.request_patch(&bytes);
    let registry = &call.front.registry;
    if form == APPLY {
        let decode = |applied| body::decode_applied(applied, &wanted(&call.request, &options));
        let applying = registry.apply(&call.request, &bytes, &decode, &options);
        let (object, made) = applying.await?;
        return shown(call, if made { 201 } else { 200 }, &object, "");
    }
    let served = &call.request.served;
    let kind = PatchKind::of_media_type(form)
        .ok_or_else(|| patch::unsupported_media_type(!served.is_custom()))?;
    if has_force {
        let path = objects::path::Path::new("force");
        let fault = Invalid::forbidden(&path, "may not be specified for non-apply patch");
        return Err(Status::invalid(
            "meta.k8s.io",
            "PatchOptions",
            "",
            &vec![fault],
        ));
    }
    let at = if call.request.subresource == "scale" {
        objects::catalog::Catalog::builtin().kind("autoscaling", "v1", "Scale")
    } else {
        (!served.is_custom()).then(|| served.at())
    };
    let change = |current: &Value| {
        let patched = patch::apply_patch(kind, at, current, &bytes)?;
        let wanted = wanted(&call.request, &options);
        // A scale is made anew each time, and stored nowhere.
        let stored = if call.request.subresource == "scale" {
            &Value::Null
        } else {
            current
        };
        body::decode_patched(patched, stored, &wanted, (kind, &bytes))
    };
    let object = if call.request.subresource == "scale" {
        registry.set_scale(&call.request, &change, &options).await?
    } else {
        registry.patch(&call.request, &change, &options).await?
    };
    shown(call, 200, &object, "")
}

/// Notes in the audit log what was sent, as its kind has it.
pub(crate) fn note_object(request: &Request, object: &Value) {
    request.audit.request_object(object, || {
        let object = object.clone();
        if object["kind"] == request.served.resource.kind.as_str() {
            with_defaults(&request.served, object)
        } else {
            object
        }
    });
}

/// The kind that the body of a request has.
pub(crate) fn wanted<'a>(request: &'a Request, options: &WriteOptions) -> Wanted<'a> {
    let resource = &request.served.resource;
    let (group, version, kind) = match resource.subresource(&request.subresource) {
        Some(part) => (
            part.group.as_str(),
            part.version.as_str(),
            part.kind.as_str(),
        ),
        None => (
            resource.group.as_str(),
            resource.version.as_str(),
            resource.kind.as_str(),
        ),
    };
    Wanted {
        served: &request.served,
        group,
        version,
        kind,
        validation: options.validation,
        warnings: &request.warnings,
    }
}

/// Deletes one object.
pub(super) async fn delete(call: &Call<'_>, request: Admitted) -> Result<Answer, Status> {
    let options = delete_options(request).await?;
    let resource = &call.request.served.resource;
    match call.front.registry.delete(&call.request, &options).await? {
        Deleted::Begun(object) => shown(call, 200, &object, ""),
        Deleted::Gone(object) if returns_object(&resource.group, &resource.plural) => {
            shown(call, 200, &object, "")
        }
        Deleted::Gone(object) => {
            let status = json!({
                "kind": "Status",
                "apiVersion": "v1",
                "metadata": {},
                "status": "Success",
                "details": details(&resource.group, &resource.plural, &object),
            });
            Ok(answer::object(200, &call.media, &status))
        }
    }
}

fn details(group: &str, plural: &str, object: &Value) -> Value {
    let mut details = json!({"name": meta::name(object), "kind": plural, "uid": meta::uid(object)});
    if !group.is_empty() {
        details["group"] = json!(group);
    }
    details
}

/// Deletes what a list would show.
pub(super) async fn delete_collection(
    call: &Call<'_>,
    request: Admitted,
) -> Result<Answer, Status> {
    let list = ListOptions::from_query(&request.query)?;
    let options = delete_options(request).await?;
    let (gone, revision) = call
        .front
        .registry
        .delete_collection(&call.request, &options, &list)
        .await?;
    let resource = &call.request.served.resource;
    let list = json!({
        "kind": format!("{}List", resource.kind),
        "apiVersion": resource.api_version(),
        "metadata": {"resourceVersion": revision.to_string()},
        "items": gone,
    });
    Ok(answer::object(200, &call.media, &list))
}

async fn delete_options(request: Admitted) -> Result<DeleteOptions, Status> {
    let headers = request.headers.clone();
    let query = request.query.clone();
    let audit = request.audit.clone();
    let bytes = body::read(request.body).await?;
    if bytes.is_empty() {
        return DeleteOptions::from_query(&query);
    }
    let mut sent = body::decode_options(&bytes, &headers)?;
    let options = DeleteOptions::from_body(&sent)?;
    audit.request_object(&Value::Null, move || {
        // Options have no version of their own.
        sent["kind"] = json!("DeleteOptions");
        sent["apiVersion"] = json!("meta.k8s.io/__internal");
        sent
    });
    Ok(options)
}

/// Whether the answer to a deletion is the object as it was and no `Status` (upstream's registries with `ReturnDeletedObject`).
fn returns_object(group: &str, plural: &str) -> bool {
    match group {
        "" => matches!(
            plural,
            "resourcequotas"
                | "persistentvolumes"
                | "serviceaccounts"
                | "persistentvolumeclaims"
                | "namespaces"
                | "pods"
                | "services"
                | "podtemplates"
        ),
        "storage.k8s.io" => plural != "csistoragecapacities",
        "resource.k8s.io" => true,
        _ => false,
    }
}
