//! The options of calls, in the words of REST's queries: both are read and checked by the same code.

use objects::status::Status;
use proto::api::{self, FieldValidation, Propagation, VersionMatch};
use serde_json::json;

use crate::registry::{DeleteOptions, ListOptions, WriteOptions};

/// Pairs of a query, without those that say nothing.
struct Query(Vec<(String, String)>);

impl Query {
    fn new() -> Query {
        Query(Vec::new())
    }

    fn text(mut self, key: &str, value: &str) -> Query {
        if !value.is_empty() {
            self.0.push((key.to_owned(), value.to_owned()));
        }
        self
    }

    fn flag(self, key: &str, value: bool) -> Query {
        self.text(key, if value { "true" } else { "" })
    }

    fn number(self, key: &str, value: i64) -> Query {
        let text = value.to_string();
        self.text(key, if value == 0 { "" } else { &text })
    }
}

/// Options of a write. `kind` is upstream's name for them: `CreateOptions`.
pub(super) fn write(
    options: Option<&api::WriteOptions>,
    kind: &str,
    force: bool,
) -> Result<WriteOptions, Status> {
    let Some(options) = options else {
        return WriteOptions::from_query(&Query::new().flag("force", force).0, kind);
    };
    let validation = match FieldValidation::try_from(options.field_validation) {
        Ok(FieldValidation::Unspecified) => "",
        Ok(FieldValidation::Ignore) => "Ignore",
        Ok(FieldValidation::Warn) => "Warn",
        Ok(FieldValidation::Strict) => "Strict",
        Err(_) => return Err(unknown("field_validation")),
    };
    let query = Query::new()
        .text("dryRun", if options.dry_run { "All" } else { "" })
        .text("fieldManager", &options.field_manager)
        .text("fieldValidation", validation)
        .flag("force", force);
    WriteOptions::from_query(&query.0, kind)
}

/// Options of a list.
pub(super) fn list(message: &api::ListRequest) -> Result<ListOptions, Status> {
    let version_match = match VersionMatch::try_from(message.version_match) {
        Ok(VersionMatch::Unspecified) => "",
        Ok(VersionMatch::NotOlderThan) => "NotOlderThan",
        Ok(VersionMatch::Exact) => "Exact",
        Err(_) => return Err(unknown("version_match")),
    };
    let query = Query::new()
        .text("labelSelector", &message.label_selector)
        .text("fieldSelector", &message.field_selector)
        .text("resourceVersion", &message.resource_version)
        .text("resourceVersionMatch", version_match)
        .text("continue", &message.continue_token)
        .number("limit", message.limit);
    ListOptions::from_query(&query.0)
}

/// Options of the list of what is deleted.
pub(super) fn selected(message: &api::DeleteCollectionRequest) -> Result<ListOptions, Status> {
    let query = Query::new()
        .text("labelSelector", &message.label_selector)
        .text("fieldSelector", &message.field_selector);
    ListOptions::from_query(&query.0)
}

/// Options of a watch.
pub(super) fn watch(message: &api::WatchRequest) -> Result<ListOptions, Status> {
    let mut query = Query::new()
        .flag("watch", true)
        .text("labelSelector", &message.label_selector)
        .text("fieldSelector", &message.field_selector)
        .text("resourceVersion", &message.resource_version)
        .flag("allowWatchBookmarks", message.bookmarks)
        .number("timeoutSeconds", message.timeout_seconds.into());
    if let Some(initial) = message.initial_events {
        query = query
            .text("sendInitialEvents", &initial.to_string())
            .text("resourceVersionMatch", "NotOlderThan");
    }
    ListOptions::from_query(&query.0)
}

/// Options of a deletion.
pub(super) fn delete(options: Option<&api::DeleteOptions>) -> Result<DeleteOptions, Status> {
    let Some(options) = options else {
        return DeleteOptions::from_query(&[]);
    };
    let propagation = match Propagation::try_from(options.propagation) {
        Ok(Propagation::Unspecified) => "",
        Ok(Propagation::Orphan) => "Orphan",
        Ok(Propagation::Background) => "Background",
        Ok(Propagation::Foreground) => "Foreground",
        Err(_) => return Err(unknown("propagation")),
    };
    let runs: &[&str] = if options.dry_run { &["All"] } else { &[] };
    DeleteOptions::from_body(&json!({
        "gracePeriodSeconds": options.grace_period_seconds,
        "preconditions": {"uid": options.uid, "resourceVersion": options.resource_version},
        "propagationPolicy": propagation,
        "dryRun": runs,
    }))
}

fn unknown(field: &str) -> Status {
    Status::bad_request(format!("{field}: a value that this server does not know"))
}
