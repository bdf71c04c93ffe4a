//! The columns of custom resources (`additionalPrinterColumns`), which read their cells by JSONPath.

use serde_json::{Number, json};

use super::builtin::NAME_ONLY;
use super::column::{self, Column, Row};
use super::format;
use crate::jsonpath::JsonPath;
use crate::{Value, meta};

/// Up to here every whole float is an integer as well.
const WHOLE_MAX: f64 = 9e15;

/// The columns of one version of a CRD, after the name.
#[derive(Debug)]
pub struct Custom {
    columns: Vec<Declared>,
}

#[derive(Debug)]
struct Declared {
    header: Value,
    r#type: String,
    path: JsonPath,
}

impl Custom {
    pub(super) fn new(version: &Value) -> Custom {
        let age = json!({
            "name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp",
            "description": super::describe::column("Age"),
        });
        let declared = meta::list(version, &["additionalPrinterColumns"]);
        let declared = if declared.is_empty() {
            std::slice::from_ref(&age)
        } else {
            declared
        };
        // Columns from the first that cannot be read are not shown.
        let columns = declared.iter().map_while(Declared::new).collect();
        Custom { columns }
    }

    pub(super) fn headers(&self) -> Vec<Value> {
        let name = NAME_ONLY.iter().map(Column::header);
        name.chain(self.columns.iter().map(|column| column.header.clone()))
            .collect()
    }

    pub(super) fn cells(&self, row: &Row<'_>) -> Vec<Value> {
        let mut cells = column::cells(&NAME_ONLY, row);
        cells.extend(self.columns.iter().map(|column| column.cell(row)));
        cells
    }
}

impl Declared {
    fn new(column: &Value) -> Option<Declared> {
        let of = |field: &str| meta::text(column, &[field]);
        let path = JsonPath::parse(of("jsonPath")).ok()?;
        let description = match of("description") {
            "" => format!(
                "Custom resource definition column (in JSONPath format): {}",
                of("jsonPath")
            ),
            text => text.to_owned(),
        };
        let header = json!({
            "name": of("name"), "type": of("type"), "format": of("format"), "description": description,
            "priority": column["priority"].as_i64().unwrap_or_default(),
        });
        Some(Declared {
            header,
            r#type: of("type").to_owned(),
            path,
        })
    }

    /// The first value at the path, if it is of the column's type.
    fn cell(&self, row: &Row<'_>) -> Value {
        let found = self.path.find(row.object).unwrap_or_default();
        let Some(value) = found.first() else {
            return Value::Null;
        };
        match (&*self.r#type, value) {
            ("string", value) => json!(text(value)),
            ("integer", Value::Number(number)) => json!(whole(number)),
            ("number", Value::Number(number)) => float(number),
            ("boolean", Value::Bool(_)) => (*value).clone(),
            // These are how an absent time was once written.
            ("date", Value::String(time)) if time.is_empty() || time == "null" => {
                json!("<unknown>")
            }
            ("date", Value::String(time)) => match format::micros(time) {
                Some(_) => json!(format::since(time, row.now_micros)),
                None => json!("<invalid>"),
            },
            _ => Value::Null,
        }
    }
}

/// A number as Go writes a float: without a fraction where it has none.
fn float(number: &Number) -> Value {
    match (number.as_i64(), number.as_f64()) {
        (None, Some(float)) if float.fract() == 0.0 && float.abs() < WHOLE_MAX => {
            json!(whole(number))
        }
        _ => Value::Number(number.clone()),
    }
}

/// A number without its fraction.
fn whole(number: &Number) -> Option<i64> {
    #[allow(
        clippy::cast_possible_truncation,
        reason = "a float beyond the range of integers becomes the nearest one"
    )]
    number
        .as_i64()
        .or_else(|| number.as_f64().map(|float| float as i64))
}

/// Any value in one line: text as it is, lists and maps as JSON.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "<no value>".to_owned(),
        Value::Bool(_) => value.to_string(),
        Value::Number(number) => format::number(number),
        Value::Array(_) | Value::Object(_) => format::json(value),
    }
}
