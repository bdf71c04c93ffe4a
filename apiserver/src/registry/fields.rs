//! Who manages which fields of an object: kept with every write, and what server-side apply decides by.

use objects::Value;
use objects::codec::json;
use objects::patch::apply::{self, Context, Ignored, OnlyVersion, Set};
use objects::status::Status;

use super::{Request, WriteOptions};
use crate::clock;

/// Who writes where the program does not say what it is.
const UNKNOWN_AGENT: &str = "unknown";

/// Calls a function with what apply wants to know of a write.
fn with_context<T>(request: &Request, run: impl FnOnce(&Context<'_>) -> T) -> T {
    let served = &request.served;
    let resource = &served.resource;
    let empty = if served.is_custom() {
        Value::Object(objects::Map::new())
    } else {
        json::read_as(b"{}", served.at()).map_or(Value::Null, |read| read.value)
    };
    let context = Context {
        at: served.at(),
        built_in: !served.is_custom(),
        api_version: &resource.api_version(),
        kind: &resource.kind,
        subresource: &request.subresource,
        ignored: &Ignored::Fields(Set::of(reset_fields(request))),
        empty: &empty,
        versions: &OnlyVersion,
        now: &clock::now(),
    };
    run(&context)
}

/// The fields that a write leaves as they are and so does not own (upstream's strategies' reset fields).
fn reset_fields(request: &Request) -> &'static [&'static [&'static str]] {
    let resource = &request.served.resource;
    let has_status = resource.subresource("status").is_some();
    match (request.subresource.as_str(), resource.kind.as_str()) {
        ("", _) if has_status => &[&["status"]],
        ("status", "Deployment") => &[&["spec"], &["metadata", "labels"]],
        ("status", "Pod") => &[
            &["spec"],
            &["metadata", "deletionTimestamp"],
            &["metadata", "ownerReferences"],
        ],
        ("status", _) if request.served.is_custom() => &[&["metadata"], &["spec"]],
        ("status", _) => &[&["spec"]],
        _ => &[],
    }
}

/// The manager of a request: the one it names, or the program that sent it.
fn manager<'a>(request: &'a Request, options: &'a WriteOptions) -> &'a str {
    match (options.field_manager.as_str(), request.agent.as_str()) {
        ("", "") => UNKNOWN_AGENT,
        ("", agent) => agent,
        (named, _) => named,
    }
}

/// Notes in `new` what this write changed.
pub(super) fn note(
    request: &Request,
    options: &WriteOptions,
    old: Option<&Value>,
    new: &mut Value,
) {
    with_context(request, |context| {
        apply::update(context, old, new, manager(request, options))
    });
}

/// Applies a configuration to an object, or makes one of it.
pub(super) fn applied(
    request: &Request,
    options: &WriteOptions,
    live: Option<&Value>,
    configuration: &Value,
) -> Result<Value, Status> {
    with_context(request, |context| {
        apply::apply(
            context,
            live,
            configuration,
            &options.field_manager,
            options.force,
        )
    })
}
