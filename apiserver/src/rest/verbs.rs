//! Reading one object and lists of them, in the form that was asked for.

use bytes::{BufMut, Bytes, BytesMut};
use http::header::ACCEPT_ENCODING;
use objects::Value;
use objects::status::Status;
use objects::table::{self, Printer};
use serde_json::json;

use super::answer::{self, Answer};
use super::front::Admitted;
use super::media::{Encoding, Form};
use super::objects_api::Call;
use crate::clock;
use crate::registry::{List, ListOptions};
use crate::served::Served;

/// One object.
pub(super) async fn get(call: &Call<'_>, request: &Admitted) -> Result<Answer, Status> {
    let version = request.query("resourceVersion");
    let object = match call.request.subresource.as_str() {
        "" => call.front.registry.get(&call.request, version).await?,
        "scale" => call.front.registry.get_scale(&call.request).await?,
        // Other parts that have the kind of the object are the object.
        name if is_whole(&call.request.served, name) => {
            call.front.registry.get(&call.request, version).await?
        }
        _ => return Err(super::objects_api::not_served()),
    };
    shown(call, 200, &object, request.query("includeObject"))
}

fn is_whole(served: &Served, subresource: &str) -> bool {
    let part = served.subresource(subresource);
    part.is_some_and(|part| part.kind == served.resource.kind)
}

/// An object in the form that was asked for.
pub(super) fn shown(
    call: &Call<'_>,
    code: u16,
    object: &Value,
    include: &str,
) -> Result<Answer, Status> {
    let value = match &call.media.form {
        Form::Object => return Ok(answer::object(code, &call.media, object)),
        Form::Metadata { .. } => table::partial(object),
        Form::Table { .. } => {
            let options = table_options(include)?;
            if call.request.subresource == "scale" {
                let printer = Printer::builtin("autoscaling", "Scale");
                printer.table(object.get("metadata"), [object], &options)
            } else {
                let served = &call.request.served;
                let stored = crate::registry::as_printed(served, object.clone());
                printer(served).table(object.get("metadata"), [&stored], &options)
            }
        }
    };
    Ok(answer::object(code, &call.media, &value))
}

/// The printer of a resource.
pub(super) fn printer(served: &Served) -> Printer {
    match served.custom() {
        Some(version) => Printer::custom(&version.declaration),
        None => Printer::builtin(&served.resource.group, &served.resource.kind),
    }
}

/// How a table is made.
pub(super) fn table_options(include: &str) -> Result<table::Options, Status> {
    let include = table::Include::parse(include).map_err(|status| *status)?;
    Ok(table::Options {
        include,
        headers: true,
        now_micros: clock::now_micros(),
    })
}

/// A list.
pub(super) async fn list(call: &Call<'_>, request: &Admitted) -> Result<Answer, Status> {
    let options = ListOptions::from_query(&request.query)?;
    let list = call.front.registry.list(&call.request, &options).await?;
    let served = &call.request.served;
    let accept_encoding = request.header(ACCEPT_ENCODING);
    let plain = call.media.form == Form::Object
        && call.media.encoding == Encoding::Json
        && !call.media.pretty;
    if plain && call.front.registry.is_stored_as_served(served) {
        let body = joined(served, &list);
        return Ok(answer::compressed(
            200,
            Encoding::Json.name(),
            body,
            accept_encoding,
        ));
    }
    let items = list.values(served).await?;
    let metadata = metadata(&list);
    let value = match &call.media.form {
        Form::Object => json!({
            "kind": format!("{}List", served.resource.kind),
            "apiVersion": served.resource.api_version(),
            "metadata": metadata,
            "items": items,
        }),
        Form::Metadata { .. } => table::partial_list(Some(&metadata), &items),
        Form::Table { .. } => {
            let options = table_options(request.query("includeObject"))?;
            let stored: Vec<Value> = items
                .into_iter()
                .map(|item| crate::registry::as_printed(served, item))
                .collect();
            printer(served).table(Some(&metadata), &stored, &options)
        }
    };
    Ok(answer::object(200, &call.media, &value))
}

/// The metadata of a list.
fn metadata(list: &List) -> Value {
    let mut metadata = json!({"resourceVersion": list.revision.to_string()});
    if !list.continuation.is_empty() {
        metadata["continue"] = json!(list.continuation);
    }
    if let Some(remaining) = list.remaining {
        metadata["remainingItemCount"] = json!(remaining);
    }
    metadata
}

/// A list in JSON made of the encoded objects as they are.
fn joined(served: &Served, list: &List) -> Bytes {
    let size: usize = list.items.iter().map(|object| object.json.len() + 1).sum();
    let mut body = BytesMut::with_capacity(size + 256);
    let head = format!(
        "{{\"kind\":\"{}List\",\"apiVersion\":\"{}\",\"metadata\":{},\"items\":[",
        served.resource.kind,
        served.resource.api_version(),
        metadata(list)
    );
    body.put_slice(head.as_bytes());
    for (at, object) in list.items.iter().enumerate() {
        if at > 0 {
            body.put_u8(b',');
        }
        body.put_slice(&object.json);
    }
    body.put_slice(b"]}\n");
    body.freeze()
}
