//! A column: what its head says and how its cells are read from objects.

use serde_json::json;

use super::format;
use crate::{Map, Value, meta};

/// A built-in kind's columns.
#[derive(Debug)]
pub struct Kind {
    pub(super) group: &'static str,
    pub(super) kind: &'static str,
    pub(super) columns: &'static [Column],
    /// Puts the objects of a list in the order of the rows.
    pub(super) sort: Option<fn(&mut Vec<&Value>)>,
    /// A condition of a row, where it has one.
    pub(super) condition: fn(&Value) -> Option<Value>,
}

#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: &'static str,
    r#type: &'static str,
    format: &'static str,
    priority: u8,
    cell: Cell,
}

/// Where the cells of a column come from. Paths are fields with dots between them.
#[derive(Debug)]
enum Cell {
    /// The text at a path, or another one where there is none.
    Text(&'static str, &'static str),
    /// The number at a path.
    Integer(&'static str),
    Boolean(&'static str, bool),
    /// How many elements the list or map at a path has.
    Count(&'static str),
    /// The elements of the list at a path with commas between them, or another text where there are none.
    Join(&'static str, &'static str),
    Age,
    With(fn(&Row<'_>) -> Value),
    /// The cells of this column and of those that follow it.
    Several(fn(&Row<'_>) -> Vec<Value>),
    /// Given by a column before.
    Given,
}

/// An object whose cells are asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) object: &'a Value,
    pub(super) now_micros: i64,
}

pub(super) const NAME: Column = Column {
    format: "name",
    ..text("Name", "metadata.name")
};
pub(super) const AGE: Column = column("Age", Cell::Age);

const fn column(name: &'static str, cell: Cell) -> Column {
    Column {
        name,
        r#type: "string",
        format: "",
        priority: 0,
        cell,
    }
}

pub(super) const fn text(name: &'static str, path: &'static str) -> Column {
    column(name, Cell::Text(path, ""))
}

pub(super) const fn text_or(
    name: &'static str,
    path: &'static str,
    otherwise: &'static str,
) -> Column {
    column(name, Cell::Text(path, otherwise))
}

pub(super) const fn integer(name: &'static str, path: &'static str) -> Column {
    column(name, Cell::Integer(path)).of("integer")
}

pub(super) const fn boolean(name: &'static str, path: &'static str, otherwise: bool) -> Column {
    column(name, Cell::Boolean(path, otherwise)).of("boolean")
}

pub(super) const fn count(name: &'static str, path: &'static str) -> Column {
    column(name, Cell::Count(path)).of("integer")
}

pub(super) const fn join(
    name: &'static str,
    path: &'static str,
    otherwise: &'static str,
) -> Column {
    column(name, Cell::Join(path, otherwise))
}

pub(super) const fn with(name: &'static str, cell: fn(&Row<'_>) -> Value) -> Column {
    column(name, Cell::With(cell))
}

pub(super) const fn several(name: &'static str, cells: fn(&Row<'_>) -> Vec<Value>) -> Column {
    column(name, Cell::Several(cells))
}

pub(super) const fn given(name: &'static str) -> Column {
    column(name, Cell::Given)
}

impl Column {
    /// The same column with another type.
    pub(super) const fn of(mut self, r#type: &'static str) -> Column {
        self.r#type = r#type;
        self
    }

    pub(super) const fn formatted(mut self, format: &'static str) -> Column {
        self.format = format;
        self
    }

    /// The same column, shown only where there is room (`-o wide`).
    pub(super) const fn wide(mut self) -> Column {
        self.priority = 1;
        self
    }

    pub(super) fn header(&self) -> Value {
        json!({
            "name": self.name, "type": self.r#type, "format": self.format, "priority": self.priority,
            "description": super::describe::column(self.name),
        })
    }
}

/// The cells of a row.
pub(super) fn cells(columns: &[Column], row: &Row<'_>) -> Vec<Value> {
    let mut cells = Vec::with_capacity(columns.len());
    for column in columns {
        match &column.cell {
            Cell::Text(path, otherwise) => cells.push(json!(row.text_or(path, otherwise))),
            Cell::Integer(path) => cells.push(json!(row.integer(path))),
            Cell::Boolean(path, otherwise) => cells.push(json!(
                row.at(path).and_then(Value::as_bool).unwrap_or(*otherwise)
            )),
            Cell::Count(path) => cells.push(json!(row.count(path))),
            Cell::Join(path, otherwise) => cells.push(json!(row.join(path, otherwise))),
            Cell::Age => cells.push(json!(row.age())),
            Cell::With(cell) => cells.push(cell(row)),
            Cell::Several(several) => cells.extend(several(row)),
            Cell::Given => {}
        }
    }
    cells
}

/// The value at a path of fields with dots between them.
pub(super) fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.')
        .try_fold(value, |value, field| value.get(field))
}

impl<'a> Row<'a> {
    pub(super) fn at(&self, path: &str) -> Option<&'a Value> {
        at(self.object, path).filter(|value| !value.is_null())
    }

    /// The text at a path; empty where there is none.
    pub(super) fn text(&self, path: &str) -> &'a str {
        self.at(path).and_then(Value::as_str).unwrap_or_default()
    }

    /// The text at a path, or another one where there is none or it is empty.
    pub(super) fn text_or(&self, path: &str, otherwise: &'a str) -> &'a str {
        match self.text(path) {
            "" => otherwise,
            text => text,
        }
    }

    pub(super) fn integer(&self, path: &str) -> i64 {
        self.at(path).and_then(Value::as_i64).unwrap_or_default()
    }

    pub(super) fn list(&self, path: &str) -> &'a [Value] {
        self.at(path)
            .and_then(Value::as_array)
            .map_or(&[], Vec::as_slice)
    }

    pub(super) fn map(&self, path: &str) -> Option<&'a Map> {
        self.at(path).and_then(Value::as_object)
    }

    pub(super) fn count(&self, path: &str) -> usize {
        self.map(path).map_or(self.list(path).len(), Map::len)
    }

    pub(super) fn join(&self, path: &str, otherwise: &str) -> String {
        let texts: Vec<&str> = self.list(path).iter().filter_map(Value::as_str).collect();
        if texts.is_empty() {
            otherwise.to_owned()
        } else {
            texts.join(",")
        }
    }

    pub(super) fn age(&self) -> String {
        self.since("metadata.creationTimestamp")
    }

    /// How long the time at a path is ago.
    pub(super) fn since(&self, path: &str) -> String {
        format::since(self.text(path), self.now_micros)
    }

    /// The first element of a type in the list at a path: a condition, an address.
    pub(super) fn condition(&self, path: &str, r#type: &str) -> Option<&'a Value> {
        self.list(path)
            .iter()
            .find(|condition| meta::text(condition, &["type"]) == r#type)
    }

    /// Whether the object has the condition and it is true.
    pub(super) fn is_true(&self, r#type: &str) -> bool {
        self.condition("status.conditions", r#type)
            .is_some_and(|condition| meta::text(condition, &["status"]) == "True")
    }
}
