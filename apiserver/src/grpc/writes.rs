//! Writing one object, or deleting many.

use bytes::Bytes;
use objects::catalog::Catalog;
use objects::patch::{self, PatchKind};
use objects::status::Status;
use objects::{Value, meta};
use proto::api::{self, PatchType};

use super::caller::{Caller, Selectors};
use super::failure::Failed;
use super::options;
use super::reads::encoded;
use crate::registry::{Deleted, Request, WriteOptions};
use crate::rest::{decode_applied, decode_json, decode_patched, note_object, reviews, wanted};

/// What a write made, and whether there was nothing before.
type Written = (Value, bool);

/// What a write came to. Its object is encoded for those alone who want to have it.
pub(super) struct Made {
    object: Value,
    created: bool,
    warnings: Vec<String>,
}

impl Made {
    /// The answer with the object in it, or without.
    pub(super) fn answer(&self, with_object: bool) -> api::WriteResponse {
        api::WriteResponse {
            object: shown(&self.object, with_object),
            resource_version: meta::resource_version(&self.object).to_owned(),
            name: meta::name(&self.object).to_owned(),
            uid: meta::uid(&self.object).to_owned(),
            created: self.created,
            warnings: self.warnings.clone(),
        }
    }
}

/// What a deletion came to.
pub(super) struct Ended {
    object: Value,
    gone: bool,
    warnings: Vec<String>,
}

impl Ended {
    /// The answer with the object in it, or without.
    pub(super) fn answer(&self, with_object: bool) -> api::DeleteResponse {
        api::DeleteResponse {
            object: shown(&self.object, with_object),
            gone: self.gone,
            warnings: self.warnings.clone(),
        }
    }
}

fn shown(object: &Value, is_wanted: bool) -> Bytes {
    if is_wanted {
        encoded(object)
    } else {
        Bytes::new()
    }
}

/// A new object, or what stands for an action on one.
pub(super) async fn create(
    caller: &Caller<'_>,
    message: &api::CreateRequest,
) -> Result<Made, Failed> {
    let target = message.target.clone().map(|mut target| {
        if target.subresource.is_empty() {
            target.name.clear();
        }
        target
    });
    let request = caller
        .request(target.as_ref(), "create", Selectors::default())
        .await?;
    let registry = caller.registry();
    let creating = async {
        let options = options::write(message.options.as_ref(), "CreateOptions", false)?;
        let object = decode_json(&message.object, &wanted(&request, &options))?;
        note_object(&request, &object);
        let front = caller.front();
        if !request.served.is_stored() {
            let answer = reviews::answer(front, &request, object, &options).await?;
            Ok((answer, false))
        } else if request.subresource == "token" {
            let token = reviews::token(front, &request, object, options.dry_run).await?;
            Ok((token, false))
        } else if request.subresource.is_empty() {
            Ok((registry.create(&request, object, &options).await?, true))
        } else {
            Ok((registry.act(&request, object, &options).await?, false))
        }
    };
    told(caller.in_time(&request, creating).await, &request)
}

/// A whole object in the place of the one that is there.
pub(super) async fn update(
    caller: &Caller<'_>,
    message: &api::UpdateRequest,
) -> Result<Made, Failed> {
    let request = caller
        .request(message.target.as_ref(), "update", Selectors::default())
        .await?;
    let registry = caller.registry();
    let updating = async {
        let options = options::write(message.options.as_ref(), "UpdateOptions", false)?;
        let object = decode_json(&message.object, &wanted(&request, &options))?;
        note_object(&request, &object);
        if request.subresource == "scale" {
            let set = |_: &Value| Ok(object.clone());
            return Ok((registry.set_scale(&request, &set, &options).await?, false));
        }
        registry.update(&request, object, &options).await
    };
    told(caller.in_time(&request, updating).await, &request)
}

/// A part of an object.
pub(super) async fn patch(
    caller: &Caller<'_>,
    message: &api::PatchRequest,
) -> Result<Made, Failed> {
    let request = caller
        .request(message.target.as_ref(), "patch", Selectors::default())
        .await?;
    let patching = async {
        let options = options::write(message.options.as_ref(), "PatchOptions", false)?;
        let kind = match PatchType::try_from(message.r#type) {
            Ok(PatchType::Json) => PatchKind::Json,
            Ok(PatchType::Merge) => PatchKind::Merge,
            Ok(PatchType::Strategic) => PatchKind::Strategic,
            Ok(PatchType::Unspecified) | Err(_) => {
                return Err(patch::unsupported_media_type(!request.served.is_custom()));
            }
        };
        request.audit.request_patch(&message.patch);
        patch_as(caller, &request, &options, (kind, &message.patch)).await
    };
    told(caller.in_time(&request, patching).await, &request)
}

async fn patch_as(
    caller: &Caller<'_>,
    request: &Request,
    options: &WriteOptions,
    (kind, bytes): (PatchKind, &[u8]),
) -> Result<Written, Status> {
    let scale = request.subresource == "scale";
    let at = if scale {
        Catalog::builtin().kind("autoscaling", "v1", "Scale")
    } else {
        (!request.served.is_custom()).then(|| request.served.at())
    };
    let change = |current: &Value| {
        let patched = patch::apply_patch(kind, at, current, bytes)?;
        // A scale is made anew each time, and stored nowhere.
        let stored = if scale { &Value::Null } else { current };
        decode_patched(patched, stored, &wanted(request, options), (kind, bytes))
    };
    let registry = caller.registry();
    let object = if scale {
        registry.set_scale(request, &change, options).await?
    } else {
        registry.patch(request, &change, options).await?
    };
    Ok((object, false))
}

/// A configuration that is merged with what others own.
pub(super) async fn apply(
    caller: &Caller<'_>,
    message: &api::ApplyRequest,
) -> Result<Made, Failed> {
    let request = caller
        .request(message.target.as_ref(), "patch", Selectors::default())
        .await?;
    let applying = async {
        let options = options::write(message.options.as_ref(), "PatchOptions", message.force)?;
        request.audit.request_patch(&message.configuration);
        let decode = |applied| decode_applied(applied, &wanted(&request, &options));
        let registry = caller.registry();
        registry
            .apply(&request, &message.configuration, &decode, &options)
            .await
    };
    told(caller.in_time(&request, applying).await, &request)
}

/// What a client is told of a write.
fn told(result: Result<Written, Status>, request: &Request) -> Result<Made, Failed> {
    let warnings = request.warnings.take();
    match result {
        Ok((object, created)) => Ok(Made {
            object,
            created,
            warnings,
        }),
        Err(status) => Err(Failed {
            status: Box::new(status),
            warnings,
        }),
    }
}

/// Deletes one object.
pub(super) async fn delete(
    caller: &Caller<'_>,
    message: &api::DeleteRequest,
) -> Result<Ended, Failed> {
    let request = caller
        .request(message.target.as_ref(), "delete", Selectors::default())
        .await?;
    let options = options::delete(message.options.as_ref());
    let deleting = async { caller.registry().delete(&request, &options?).await };
    let result = caller.in_time(&request, deleting).await;
    let warnings = request.warnings.take();
    let (object, gone) = match result {
        Ok(Deleted::Gone(object)) => (object, true),
        Ok(Deleted::Begun(object)) => (object, false),
        Err(status) => {
            return Err(Failed {
                status: Box::new(status),
                warnings,
            });
        }
    };
    Ok(Ended {
        object,
        gone,
        warnings,
    })
}

/// Deletes what a list would show.
pub(super) async fn delete_collection(
    caller: &Caller<'_>,
    message: &api::DeleteCollectionRequest,
) -> Result<api::DeleteCollectionResponse, Failed> {
    let target = message.target.clone().map(|mut target| {
        target.name.clear();
        target
    });
    let selectors = Selectors {
        labels: &message.label_selector,
        fields: &message.field_selector,
        ..Selectors::default()
    };
    let request = caller
        .request(target.as_ref(), "deletecollection", selectors)
        .await?;
    let list = options::selected(message);
    let options = options::delete(message.options.as_ref());
    let deleting = async {
        let registry = caller.registry();
        registry
            .delete_collection(&request, &options?, &list?)
            .await
    };
    let (gone, revision) = caller.in_time(&request, deleting).await?;
    Ok(api::DeleteCollectionResponse {
        count: i64::try_from(gone.len()).unwrap_or(i64::MAX),
        resource_version: revision.to_string(),
    })
}
