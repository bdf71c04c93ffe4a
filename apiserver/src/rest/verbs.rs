//! Reading one object and lists of them, in the form that was asked for.

use http::header::ACCEPT_ENCODING;
use objects::Value;
use objects::status::Status;
use objects::table::{self, Printer};

use super::answer::{self, Answer};
use super::front::Admitted;
use super::list_body::Shown;
use super::media::Form;
use super::objects_api::Call;
use crate::clock;
use crate::registry::ListOptions;
use crate::served::Served;

/// Lists with so many bytes of objects are encoded where nobody waits for a thread.
const BLOCKING_BYTES_MIN: usize = 256 << 10;

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
    let list = list.custom_as_served(&call.request.served).await?;
    let include = match call.media.form {
        Form::Table { .. } => request.query("includeObject"),
        _ => "",
    };
    let size: usize = list.items.iter().map(|object| object.json.len()).sum();
    let shown = Shown {
        served: call.request.served.clone(),
        list,
        media: call.media.clone(),
        options: table_options(include)?,
        accept_encoding: request.header(ACCEPT_ENCODING).to_owned(),
    };
    if size < BLOCKING_BYTES_MIN {
        return shown.answer();
    }
    let encoding = tokio::task::spawn_blocking(move || shown.answer());
    encoding.await.unwrap_or_else(|error| {
        Err(Status::internal(format!(
            "the list was not encoded: {error}"
        )))
    })
}
