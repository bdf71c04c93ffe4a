//! Objects as a client sees them in columns (`meta.k8s.io/v1 Table`), or with their metadata alone.

use std::borrow::Cow;

use serde_json::json;

use crate::invalid::Invalid;
use crate::path::Path;
use crate::status::Status;
use crate::table::column::{Column, Kind, Row};
use crate::table::custom::Custom;
use crate::{Map, Value, meta};

mod builtin;
mod column;
mod custom;
mod describe;
mod format;

/// The annotation of the bookmark after the events for objects that were there before a watch.
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// How the objects of a resource are shown in columns.
#[derive(Debug)]
pub enum Printer {
    /// A built-in kind with columns of its own.
    Builtin(&'static Kind),
    /// A custom resource, with the columns that its CRD declares.
    Custom(Custom),
    /// Name and time of creation, for kinds without columns of their own.
    Plain,
}

/// What a client asks of a table.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    pub include: Include,
    /// Whether the columns are told. A watch tells them in its first event alone.
    pub headers: bool,
    /// The time that ages are counted to, in microseconds since 1970.
    pub now_micros: i64,
}

/// How much of an object stands in its row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Include {
    None,
    #[default]
    Metadata,
    Object,
}

impl Include {
    /// Reads the parameter `includeObject`.
    ///
    /// # Errors
    ///
    /// If it is no choice.
    pub fn parse(text: &str) -> Result<Include, Box<Status>> {
        match text {
            "None" => Ok(Include::None),
            "" | "Metadata" => Ok(Include::Metadata),
            "Object" => Ok(Include::Object),
            _ => {
                let path = Path::new("includeObject");
                let detail = "must be 'Metadata', 'Object', 'None', or empty";
                let fault = Invalid::value(&path, text, detail);
                let message = format!("Unable to convert to Table as requested: {fault}");
                Err(Box::new(Status::bad_request(message)))
            }
        }
    }
}

impl Printer {
    /// The printer of a built-in kind, whichever of its versions it is. An autoscaler is shown in full in the form of its
    /// second version alone.
    #[must_use]
    pub fn builtin(group: &str, kind: &str) -> Printer {
        builtin::find(group, kind).map_or(Printer::Plain, Printer::Builtin)
    }

    /// The printer of a custom resource, from the version in `spec.versions` of its CRD.
    #[must_use]
    pub fn custom(version: &Value) -> Printer {
        Printer::Custom(Custom::new(version))
    }

    /// The table of some objects. The metadata is that of the list they are of, or of the one object.
    #[must_use]
    pub fn table<'a>(
        &self,
        metadata: Option<&Value>,
        objects: impl IntoIterator<Item = &'a Value>,
        options: &Options,
    ) -> Value {
        let mut objects: Vec<&Value> = objects.into_iter().collect();
        if let Printer::Builtin(kind) = self
            && let Some(sort) = kind.sort
        {
            sort(&mut objects);
        }
        let rows: Vec<Value> = objects
            .into_iter()
            .map(|object| self.row(object, options))
            .collect();
        // Upstream's general printer has no list where it has no rows.
        let rows = match self {
            Printer::Plain if rows.is_empty() => Value::Null,
            _ => Value::Array(rows),
        };
        let headers = options.headers.then(|| self.headers());
        json!({
            "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": list_metadata(metadata),
            "columnDefinitions": headers, "rows": rows,
        })
    }

    /// Whether rows are in the order of the objects, so that each can be made by itself.
    #[must_use]
    pub fn keeps_order(&self) -> bool {
        !matches!(self, Printer::Builtin(kind) if kind.sort.is_some())
    }

    /// The definitions of the columns.
    #[must_use]
    pub fn headers(&self) -> Vec<Value> {
        match self {
            Printer::Builtin(kind) => kind.columns.iter().map(Column::header).collect(),
            Printer::Custom(custom) => custom.headers(),
            Printer::Plain => builtin::PLAIN.iter().map(Column::header).collect(),
        }
    }

    /// The row of an object.
    #[must_use]
    pub fn row(&self, object: &Value, options: &Options) -> Value {
        let row = Row {
            object,
            now_micros: options.now_micros,
        };
        let cells = match self {
            Printer::Builtin(kind) => column::cells(kind.columns, &row),
            Printer::Custom(custom) => custom.cells(&row),
            Printer::Plain => column::cells(&builtin::PLAIN, &row),
        };
        let included = match options.include {
            // A watch that began with what there is tells the end of it in an annotation, which every client is to see.
            Include::None if meta::annotation(object, INITIAL_EVENTS_END) == Some("true") => {
                partial(object)
            }
            Include::None => Value::Null,
            Include::Metadata => partial(object),
            Include::Object => object.clone(),
        };
        let mut value = json!({"cells": cells, "object": included});
        if let Printer::Builtin(kind) = self
            && let Some(condition) = (kind.condition)(object)
        {
            value["conditions"] = json!([condition]);
        }
        value
    }
}

/// The object with its metadata alone: `meta.k8s.io/v1 PartialObjectMetadata`.
#[must_use]
pub fn partial(object: &Value) -> Value {
    let metadata = meta::map(object, &["metadata"]);
    json!({
        "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata.map_or_else(|| Cow::Owned(Map::new()), Cow::Borrowed),
    })
}

/// The objects of a list with their metadata alone. As upstream's, an empty one has `null` for its items.
#[must_use]
pub fn partial_list<'a>(
    metadata: Option<&Value>,
    objects: impl IntoIterator<Item = &'a Value>,
) -> Value {
    let items: Vec<Value> = objects.into_iter().map(partial).collect();
    let items = (!items.is_empty()).then_some(items);
    json!({
        "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1",
        "metadata": list_metadata(metadata), "items": items,
    })
}

/// What metadata says about a list.
fn list_metadata(metadata: Option<&Value>) -> Map {
    let told = ["resourceVersion", "continue", "remainingItemCount"]
        .into_iter()
        .filter_map(|key| Some((key.to_owned(), metadata?.get(key)?.clone())));
    told.collect()
}
