//! Reading objects and lists of them, as fresh as the request asks.

mod continuation;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use objects::Value;
use objects::crd::Version;
use objects::jsonpath;
use objects::selector::{field, label, selectable};
use objects::status::{Cause, Reason, Status};

use self::continuation::Continuation;
use super::{ListOptions, Registry, Request, VersionMatch, as_served, rules};
use crate::cache::{Cache, Object, Scope};
use crate::served::Served;
use crate::storage::{Part, Stored, after};

/// How long a read waits for a version that the caches have not seen yet.
const VERSION_WAIT_MAX: Duration = Duration::from_secs(3);
/// Keys read from the store at a time while a selector leaves few of them.
const PAGE_KEYS: i64 = 1_000;

/// A list at one revision.
#[derive(Debug, Default)]
pub struct List {
    pub items: Vec<Arc<Object>>,
    pub revision: i64,
    /// What the next part is asked with; empty at the end.
    pub continuation: String,
    /// How many come behind this part, where that is known.
    pub remaining: Option<usize>,
}

/// Objects in the version they are asked for.
pub type Items = Vec<Value>;

impl List {
    /// The list with custom objects as they are served, converted together. Built-in ones are converted when they are shown.
    pub async fn custom_as_served(mut self, served: &Served) -> Result<List, Status> {
        if !served.is_custom() || rules::is_stored_as_served(served) {
            return Ok(self);
        }
        let values = self.values(served).await?.into_iter();
        self.items = values
            .zip(&self.items)
            .map(|(value, object)| Arc::new(Object::new(value, object.revision)))
            .collect();
        Ok(self)
    }

    /// The objects as trees.
    pub async fn values(&self, served: &Served) -> Result<Items, Status> {
        let objects = self.items.iter().map(|object| object.value()).collect();
        rules::convert_all(served, objects).await
    }
}

impl Registry {
    /// An object, as it is now, or at least as new as a version.
    pub async fn get(&self, request: &Request, resource_version: &str) -> Result<Value, Status> {
        let found = if resource_version.is_empty() {
            self.load(request, &request.name).await?
        } else {
            let cache = self.cache(&request.served)?;
            self.wait_for(parse_version(resource_version)?).await?;
            if let Some(damaged) = cache.damaged_at(&request.short_key(&request.name)) {
                return Err(damaged);
            }
            self.glance(request, &request.name)
        };
        let current = found.ok_or_else(|| request.not_found())?;
        as_served(&request.served, current.value).await
    }

    /// The objects that a request asks for.
    pub async fn list(&self, request: &Request, options: &ListOptions) -> Result<List, Status> {
        let selection = Selection::of(&request.served, options)?;
        if !options.continuation.is_empty() {
            let from = Continuation::parse(&options.continuation)?;
            if !options.resource_version.is_empty() && options.resource_version != "0" {
                return Err(Status::bad_request(
                    "specifying resource version is not allowed when using continue",
                ));
            }
            return self.list_stored(request, options, &selection, from).await;
        }
        if is_exact(options) {
            let from = Continuation {
                revision: listed_version(&options.resource_version)?,
                start: String::new(),
            };
            // The store's word for a version that is not there yet is no answer for a client.
            self.wait_for(from.revision).await?;
            return self.list_stored(request, options, &selection, from).await;
        }
        let cache = self.cache(&request.served)?;
        match options.resource_version.as_str() {
            "" => self.feed.barrier().await?,
            "0" => {}
            version => self.wait_for(listed_version(version)?).await?,
        }
        if let Some(damaged) = cache.damaged(&request.namespace) {
            return Err(damaged);
        }
        // Any version will do, and then a limit is not for the server's sake.
        let limit = if options.resource_version == "0" {
            0
        } else {
            options.limit
        };
        Ok(list_cached(
            &cache,
            request,
            &selection,
            usize::try_from(limit).unwrap_or(0),
        ))
    }

    /// An object that the store has told; as it is in memory where that is the same one.
    fn object_of(&self, request: &Request, stored: &Stored) -> Result<Arc<Object>, Status> {
        let root = format!("{}{}", self.prefix, request.served.resource.storage);
        let place = stored.key.strip_prefix(root.as_bytes());
        let known = place
            .and_then(|place| std::str::from_utf8(place).ok())
            .zip(self.feed.cache(&request.served.resource.storage))
            .and_then(|(place, cache)| cache.get(place))
            .filter(|object| object.revision == stored.revision);
        if let Some(object) = known {
            return Ok(object);
        }
        let current = self.current(stored)?;
        Ok(Arc::new(Object::new(current.value, stored.revision)))
    }

    /// Waits until the caches have a version.
    pub(super) async fn wait_for(&self, revision: i64) -> Result<(), Status> {
        let position = self.feed.position();
        if tokio::time::timeout(VERSION_WAIT_MAX, position.reach(revision))
            .await
            .is_ok()
        {
            return Ok(());
        }
        if position.get() == 0 {
            return Err(not_read_yet());
        }
        let text = format!(
            "Too large resource version: {revision}, current: {}",
            position.get()
        );
        let mut status = Status::new(Reason::Timeout, format!("Timeout: {text}"));
        status.causes.push(Cause {
            reason: "ResourceVersionTooLarge".to_owned(),
            message: "Too large resource version".to_owned(),
            field: String::new(),
        });
        status.retry_after_seconds = 1;
        Err(status)
    }

    /// A list as it was at a revision, from the store itself.
    async fn list_stored(
        &self,
        request: &Request,
        options: &ListOptions,
        selection: &Selection,
        from: Continuation,
    ) -> Result<List, Status> {
        let folder = folder(&self.prefix, request);
        let mut start = Bytes::from(format!("{folder}{}", from.start));
        let mut revision = from.revision;
        let mut items = Vec::new();
        let limit = usize::try_from(options.limit).unwrap_or(0);
        loop {
            let missing = if limit > 0 && selection.is_all() {
                options.limit - items.len() as i64
            } else {
                PAGE_KEYS
            };
            let part = Part {
                start: start.clone(),
                limit: missing,
                revision: revision.max(0),
            };
            let page = self
                .storage
                .list(folder.as_bytes(), part)
                .await
                .map_err(|status| expired(status, &from))?;
            if let Some(damaged) = page.damaged.first() {
                return Err(damaged.status());
            }
            revision = page.revision;
            let count = page.count - page.items.len() as i64;
            for (at, stored) in page.items.iter().enumerate() {
                start = after(&stored.key);
                let object = self.object_of(request, stored)?;
                if selection.matches(&object) {
                    items.push(object);
                }
                let behind = page.items.len() - at - 1;
                if limit > 0 && items.len() == limit && (behind > 0 || page.more) {
                    let key = String::from_utf8_lossy(&start);
                    let next = Continuation {
                        revision,
                        start: key.strip_prefix(&folder).unwrap_or_default().to_owned(),
                    };
                    let remaining = behind + usize::try_from(count).unwrap_or(0);
                    return Ok(List {
                        items,
                        revision,
                        continuation: next.text(),
                        remaining: selection.is_all().then_some(remaining),
                    });
                }
            }
            if !page.more || page.items.is_empty() {
                return Ok(List {
                    items,
                    revision,
                    continuation: String::new(),
                    remaining: None,
                });
            }
        }
    }
}

/// Whether a list is of one version and no newer one: if it says so, and of old also if it says nothing of that and has a limit.
fn is_exact(options: &ListOptions) -> bool {
    match options.version_match {
        VersionMatch::Exact => true,
        VersionMatch::NotOlderThan => false,
        VersionMatch::Unset => {
            options.limit > 0 && !matches!(options.resource_version.as_str(), "" | "0")
        }
    }
}

fn list_cached(cache: &Cache, request: &Request, selection: &Selection, limit: usize) -> List {
    let scope = Scope {
        namespace: &request.namespace,
        limit: if selection.is_all() { limit } else { 0 },
    };
    let snapshot = cache.snapshot(scope);
    let mut items = snapshot.objects;
    let mut remaining = snapshot.remaining;
    if !selection.is_all() {
        items.retain(|object| selection.matches(object));
        remaining = if limit > 0 {
            items.len().saturating_sub(limit)
        } else {
            0
        };
        items.truncate(if limit > 0 { limit } else { usize::MAX });
    }
    let continuation = match items.last() {
        Some(last) if remaining > 0 => {
            let key = if request.served.resource.namespaced && request.namespace.is_empty() {
                format!("{}/{}\0", last.namespace, last.name)
            } else {
                format!("{}\0", last.name)
            };
            Continuation {
                revision: snapshot.revision,
                start: key,
            }
            .text()
        }
        _ => String::new(),
    };
    List {
        items,
        revision: snapshot.revision,
        remaining: (remaining > 0 && selection.is_all()).then_some(remaining),
        continuation,
    }
}

/// The folder that a request lists, in the store.
fn folder(prefix: &str, request: &Request) -> String {
    let folder = &request.served.resource.storage;
    if request.namespace.is_empty() {
        format!("{prefix}{folder}")
    } else {
        format!("{prefix}{folder}{}/", request.namespace)
    }
}

/// What is in memory is not there yet. Another server may be further.
pub(super) fn not_read_yet() -> Status {
    let message = "the server has not read the store yet";
    let mut status = Status::new(Reason::ServiceUnavailable, message);
    status.retry_after_seconds = 1;
    status
}

/// A revision from the text of a resource version.
pub(super) fn parse_version(text: &str) -> Result<i64, Status> {
    match text.parse::<i64>() {
        Ok(version) if version >= 0 => Ok(version),
        _ => Err(Status::new(
            Reason::Unknown,
            format!(
                "resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax"
            ),
        )),
    }
}

/// As `parse_version`, for a list, to whose client upstream says more of it.
fn listed_version(text: &str) -> Result<i64, Status> {
    parse_version(text).map_err(|status| {
        Status::bad_request(format!("invalid resource version: {}", status.message))
    })
}

/// A list that was interrupted for so long that its revision is gone may go on at the newest one.
fn expired(mut status: Status, from: &Continuation) -> Status {
    if status.reason == Reason::Expired && !from.start.is_empty() {
        "The provided continue parameter is too old to display a consistent list result. You can start a new list without the \
         continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with \
         the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the \
         first chunk was returned and now may show up in the list."
            .clone_into(&mut status.message);
        status.continuation = Continuation {
            revision: -1,
            start: from.start.clone(),
        }
        .text();
    }
    status
}

/// A selector of the fields that a definition lets it name.
fn custom_fields(version: &Version, text: &str) -> Result<field::Selector, String> {
    field::Selector::parse(text)?.rename(|name| {
        let known = matches!(name, "metadata.name" | "metadata.namespace")
            || version.selectable_fields().any(|field| field == name);
        if known {
            Ok(name.to_owned())
        } else {
            Err(format!("field label not supported: {name}"))
        }
    })
}

/// Which objects of a list or watch are meant.
#[derive(Debug)]
pub(super) struct Selection {
    labels: label::Selector,
    fields: field::Selector,
    served: Arc<Served>,
    /// Whether fields have the same values in the version that is asked for as in the one that is stored.
    as_stored: bool,
}

impl Selection {
    pub(super) fn of(served: &Arc<Served>, options: &ListOptions) -> Result<Selection, Status> {
        let resource = &served.resource;
        let labels =
            label::Selector::parse(&options.label_selector).map_err(Status::bad_request)?;
        let fields = match served.custom() {
            Some(version) => custom_fields(version, &options.field_selector),
            None => selectable::parse(
                &resource.group,
                &resource.version,
                &resource.kind,
                &options.field_selector,
            ),
        }
        .map_err(Status::bad_request)?;
        Ok(Selection {
            labels,
            fields,
            served: served.clone(),
            as_stored: !served.is_custom() && rules::is_stored_as_served(served),
        })
    }

    pub(super) fn is_all(&self) -> bool {
        self.labels.is_everything() && self.fields.is_everything()
    }

    /// The value that a field must have in the version that is stored, if that is known.
    pub(super) fn exact(&self, field: &str) -> Option<&str> {
        let same = self.as_stored || field == "metadata.name";
        self.fields.exact(field).filter(|_| same)
    }

    pub(super) fn matches(&self, object: &Object) -> bool {
        let label = |key: &str| object.labels.as_ref()?.get(key)?.as_str();
        if !self.labels.matches(&label) {
            return false;
        }
        let by_place = |field: &str| matches!(field, "metadata.name" | "metadata.namespace");
        let mut terms = self.fields.terms().iter();
        if self.as_stored || terms.all(|term| by_place(&term.field)) {
            return self.fields.matches(&|field| object.field(field));
        }
        let value = rules::to_selected(&self.served, object.value());
        self.fields
            .matches(&|field| match (self.served.custom(), field) {
                (Some(_), "metadata.name" | "metadata.namespace") | (None, _) => {
                    selectable::value(&value, field)
                }
                (Some(_), _) => match jsonpath::dotted(&value, field) {
                    Some(Value::String(text)) => text.clone(),
                    None | Some(Value::Null) => String::new(),
                    Some(other) => other.to_string(),
                },
            })
    }
}
