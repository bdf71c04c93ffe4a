//! What nodes and pods use, in the form that was asked for.

use objects::Value;
use objects::status::Status;
use objects::table;
use serde_json::json;

use super::answer::{self, Answer};
use super::front::Admitted;
use super::media::Form;
use super::objects_api::Call;
use super::verbs::table_options;
use crate::registry::ListOptions;
use crate::usage;

/// What one node or pod uses.
pub(super) async fn get(call: &Call<'_>, request: &Admitted) -> Result<Answer, Status> {
    let object = usage::get(call.front, &call.request).await?;
    let value = match &call.media.form {
        Form::Object => object,
        Form::Metadata { .. } => table::partial(&object),
        Form::Table { .. } => rows(call, request, &[object])?,
    };
    Ok(answer::object(200, &call.media, &value))
}

/// What all of them use that are chosen.
pub(super) async fn list(call: &Call<'_>, request: &Admitted) -> Result<Answer, Status> {
    let options = ListOptions::from_query(&request.query)?;
    let items = usage::list(call.front, &call.request, &options).await?;
    let resource = &call.request.served.resource;
    let value = match &call.media.form {
        Form::Object => json!({
            "kind": format!("{}List", resource.kind), "apiVersion": resource.api_version(),
            "metadata": {}, "items": items,
        }),
        Form::Metadata { .. } => table::partial_list(None, &items),
        Form::Table { .. } => rows(call, request, &items)?,
    };
    Ok(answer::object(200, &call.media, &value))
}

fn rows(call: &Call<'_>, request: &Admitted, objects: &[Value]) -> Result<Value, Status> {
    let options = table_options(request.query("includeObject"))?;
    Ok(usage::table(&call.request.served, objects, &options))
}
