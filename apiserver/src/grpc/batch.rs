//! Many writes in one request, each by itself.

use bytes::Bytes;
use futures::{StreamExt, stream};
use objects::status::{Reason, Status};
use proto::api::{self, Outcome, Target, outcome, write};
use serde_json::json;

use super::caller::{Caller, Selectors};
use super::failure::Failed;
use super::{options, writes};
use crate::rest::note_object;

/// Writes of one request.
const ITEMS_MAX: usize = 1_024;
/// Writes of one request that run at a time.
const ITEMS_AT_A_TIME: usize = 32;
/// Bytes of objects in one answer.
const OBJECT_BYTES_MAX: usize = 2 << 20;

/// Several writes.
pub(super) async fn batch(
    caller: &Caller<'_>,
    message: api::BatchRequest,
) -> Result<api::BatchResponse, Failed> {
    check_count(message.writes.len())?;
    let mut outcomes = Vec::with_capacity(message.writes.len());
    let mut room = if message.return_objects {
        OBJECT_BYTES_MAX
    } else {
        0
    };
    let running = message
        .writes
        .into_iter()
        .map(|item| one(caller, item, message.return_objects));
    let mut running = stream::iter(running).buffered(ITEMS_AT_A_TIME);
    while let Some(mut outcome) = running.next().await {
        keep_object(&mut outcome, &mut room);
        outcomes.push(Outcome {
            outcome: Some(outcome),
        });
    }
    Ok(api::BatchResponse { outcomes })
}

fn check_count(count: usize) -> Result<(), Status> {
    if count <= ITEMS_MAX {
        return Ok(());
    }
    Err(Status::new(
        Reason::RequestEntityTooLarge,
        format!("Request entity too large: {count} items, limit is {ITEMS_MAX}"),
    ))
}

async fn one(caller: &Caller<'_>, item: api::Write, with_object: bool) -> outcome::Outcome {
    let written = match &item.write {
        Some(write::Write::Create(message)) => writes::create(caller, message).await,
        Some(write::Write::Update(message)) => writes::update(caller, message).await,
        Some(write::Write::Patch(message)) => writes::patch(caller, message).await,
        Some(write::Write::Apply(message)) => writes::apply(caller, message).await,
        Some(write::Write::Delete(message)) => {
            return match writes::delete(caller, message).await {
                Ok(deleted) => outcome::Outcome::Deleted(deleted.answer(with_object)),
                Err(failed) => outcome::Outcome::Failure(failed.into()),
            };
        }
        None => Err(Status::bad_request("write: Required value").into()),
    };
    match written {
        Ok(written) => outcome::Outcome::Written(written.answer(with_object)),
        Err(failed) => outcome::Outcome::Failure(failed.into()),
    }
}

/// Takes the object out of an outcome that there is no room for.
fn keep_object(outcome: &mut outcome::Outcome, room: &mut usize) {
    let object = match outcome {
        outcome::Outcome::Written(written) => &mut written.object,
        outcome::Outcome::Deleted(deleted) => &mut deleted.object,
        outcome::Outcome::Failure(_) => return,
    };
    match room.checked_sub(object.len()) {
        Some(left) => *room = left,
        None => {
            *room = 0;
            *object = Bytes::new();
        }
    }
}

/// Gives pods their nodes.
pub(super) async fn bind(
    caller: &Caller<'_>,
    message: api::BindRequest,
) -> Result<api::BindResponse, Failed> {
    check_count(message.bindings.len())?;
    let options = api::WriteOptions {
        dry_run: message.dry_run,
        ..api::WriteOptions::default()
    };
    let options = &options;
    let running = message
        .bindings
        .into_iter()
        .map(|binding| async move { bind_one(caller, &binding, options).await });
    let outcomes = stream::iter(running)
        .buffered(ITEMS_AT_A_TIME)
        .collect()
        .await;
    Ok(api::BindResponse { outcomes })
}

async fn bind_one(
    caller: &Caller<'_>,
    binding: &api::Binding,
    options: &api::WriteOptions,
) -> api::BindOutcome {
    let target = Target {
        version: "v1".to_owned(),
        resource: "pods".to_owned(),
        subresource: "binding".to_owned(),
        namespace: binding.namespace.clone(),
        name: binding.name.clone(),
        ..Target::default()
    };
    let object = json!({
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {
            "name": binding.name,
            "namespace": binding.namespace,
            "uid": binding.uid,
            "annotations": binding.annotations,
        },
        "target": {"kind": "Node", "name": binding.node},
    });
    let mut warnings = Vec::new();
    let result = async {
        let request = caller
            .request(Some(&target), "create", Selectors::default())
            .await?;
        let binding = async {
            note_object(&request, &object);
            let options = options::write(Some(options), "CreateOptions", false)?;
            caller.registry().act(&request, object, &options).await
        };
        let result = caller.in_time(&request, binding).await;
        warnings = request.warnings.take();
        result
    }
    .await;
    api::BindOutcome {
        failure: result.err().map(|status| Failed::from(status).into()),
        warnings,
    }
}
