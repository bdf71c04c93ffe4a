//! What a schema says to expressions: the types of its fields under their escaped names, how large they may be, and objects as values.

use std::{collections::BTreeMap, sync::Arc};

use base64::Engine as _;

use super::{
    time,
    types::{Struct, Type},
    value::{Key, List, ListKind, Map, Value},
};
use crate::schema::{self, At, Constraints, Object, Shape};

/// The largest request, in bytes; what bounds everything that a schema does not.
pub(super) const REQUEST_SIZE_MAX: u64 = 3 * 1024 * 1024;

/// How deep a schema is followed. What lies deeper has no type.
const DEPTH_MAX: usize = 64;

/// How deep data without a schema is followed.
const DATA_DEPTH_MAX: usize = 256;

/// A place of a schema as a type, and how large its values may be.
#[derive(Debug, Clone)]
pub struct Declared {
    pub of: Type,
    /// The most characters, elements or entries.
    pub(super) elements_max: u64,
    /// The fewest bytes as JSON.
    pub(super) serialized_min: u64,
    pub(super) fields: BTreeMap<String, Declared>,
    /// Of lists and maps, what they hold.
    pub(super) items: Option<Box<Declared>>,
}

/// Names that the language keeps for itself, so that fields of these names are escaped.
const RESERVED: [&str; 21] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// A property's name as an identifier; none for names that have no such form.
#[must_use]
pub fn escape(name: &str) -> Option<String> {
    if name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    if RESERVED.contains(&name) {
        return Some(format!("__{name}__"));
    }
    let mut escaped = String::new();
    let mut chars = name.chars().peekable();
    while let Some(next) = chars.next() {
        match next {
            '_' if chars.next_if_eq(&'_').is_some() => escaped.push_str("__underscores__"),
            '.' => escaped.push_str("__dot__"),
            '-' => escaped.push_str("__dash__"),
            '/' => escaped.push_str("__slash__"),
            '_' => escaped.push('_'),
            next if next.is_ascii_alphanumeric() => escaped.push(next),
            _ => return None,
        }
    }
    Some(escaped)
}

impl Declared {
    fn simple(of: Type, elements_max: u64, serialized_min: u64) -> Declared {
        Declared {
            of,
            elements_max,
            serialized_min,
            fields: BTreeMap::new(),
            items: None,
        }
    }

    fn holding(of: Type, elements_max: u64, items: Declared) -> Declared {
        let mut declared = Declared::simple(of, elements_max, 2);
        declared.items = Some(Box::new(items));
        declared
    }

    /// The keys of maps, whose length no schema tells.
    pub(super) fn key() -> Declared {
        Declared::simple(Type::String, 0, 2)
    }

    /// The place's type. A root is a whole object, whose name and kind can be read whatever the schema says.
    #[must_use]
    pub fn at(at: At<'_>, root: bool) -> Option<Declared> {
        declare(at, root, "selfType", 0)
    }
}

fn text() -> Declared {
    Declared::simple(Type::String, REQUEST_SIZE_MAX - 2, 2)
}

fn declare(at: At<'_>, root: bool, name: &str, depth: usize) -> Option<Declared> {
    if depth > DEPTH_MAX {
        return None;
    }
    let limits = at.node().constraints.as_deref();
    Some(match at.shape() {
        Shape::Any | Shape::Json if !root => return None,
        Shape::IntOrString => Declared::simple(Type::Dyn, length_max(limits), 1),
        Shape::String | Shape::Quantity | Shape::Duration => declare_text(limits),
        Shape::Bytes => bytes(limits),
        Shape::Time | Shape::MicroTime => Declared::simple(Type::Timestamp, 32, 21),
        Shape::Integer { .. } => Declared::simple(Type::Int, 0, 1),
        Shape::Number => Declared::simple(Type::Double, 0, 1),
        Shape::Boolean => Declared::simple(Type::Bool, 0, 4),
        Shape::List(_) | Shape::WrappedList { .. } => {
            let items_at = at.items()?;
            let items = declare(
                items_at,
                is_embedded(items_at),
                &format!("{name}.@idx"),
                depth + 1,
            )?;
            let most = limits
                .and_then(|limits| limits.items_max)
                .unwrap_or((REQUEST_SIZE_MAX - 2) / (items.serialized_min + 1));
            Declared::holding(Type::list(items.of.clone()), most, items)
        }
        Shape::Map { .. } => declare_map(at, limits, name, depth)?,
        Shape::Object(object) if object.others.is_some() => declare_map(at, limits, name, depth)?,
        Shape::Object(_) | Shape::RawExtension | Shape::Any | Shape::Json => {
            declare_object(at, root || is_embedded(at), name, depth)
        }
    })
}

pub(super) fn is_embedded(at: At<'_>) -> bool {
    matches!(at.shape(), Shape::Object(object) if object.embedded)
}

fn length_max(limits: Option<&Constraints>) -> u64 {
    limits
        .and_then(|limits| limits.length_max)
        .map_or(REQUEST_SIZE_MAX - 2, |length| length.saturating_mul(4))
}

fn bytes(limits: Option<&Constraints>) -> Declared {
    let most = limits.and_then(|limits| limits.length_max);
    Declared::simple(Type::Bytes, most.unwrap_or(REQUEST_SIZE_MAX - 2), 2)
}

fn declare_text(limits: Option<&Constraints>) -> Declared {
    match limits.and_then(|limits| limits.format.as_deref()) {
        Some("byte") => return bytes(limits),
        Some("duration") => return Declared::simple(Type::Duration, 32, 3),
        Some("date") => return Declared::simple(Type::Timestamp, 12, 12),
        Some("date-time") => return Declared::simple(Type::Timestamp, 32, 21),
        _ => {}
    }
    let choices = limits.map_or(&[][..], |limits| &limits.choices);
    let bounded = limits.is_some_and(|limits| limits.length_max.is_some());
    let most = if bounded || choices.is_empty() {
        length_max(limits)
    } else {
        let lengths = choices.iter().filter_map(|choice| choice.as_str());
        lengths.map(|choice| choice.len() as u64).max().unwrap_or(0)
    };
    Declared::simple(Type::String, most, 2)
}

fn declare_map(
    at: At<'_>,
    limits: Option<&Constraints>,
    name: &str,
    depth: usize,
) -> Option<Declared> {
    let values_at = values_of(at)?;
    let values = declare(
        values_at,
        is_embedded(values_at),
        &format!("{name}.@elem"),
        depth + 1,
    )?;
    let most = limits
        .and_then(|limits| limits.properties_max)
        .unwrap_or((REQUEST_SIZE_MAX - 2) / (values.serialized_min + 6));
    Some(Declared::holding(
        Type::map(Type::String, values.of.clone()),
        most,
        values,
    ))
}

/// The place of values under any key.
fn values_of(at: At<'_>) -> Option<At<'_>> {
    let id = match at.shape() {
        Shape::Map { values, .. } => *values,
        Shape::Object(object) => object.others?,
        _ => return None,
    };
    Some(At {
        schema: at.schema,
        id,
    })
}

fn declare_object(at: At<'_>, whole: bool, name: &str, depth: usize) -> Declared {
    let none = Object::default();
    let object = match at.shape() {
        Shape::Object(object) => object,
        _ => &none,
    };
    let mut fields = BTreeMap::new();
    let mut serialized_min = 2;
    for (property, field) in &object.fields {
        let place = At {
            schema: at.schema,
            id: field.node,
        };
        let escaped = escape(property);
        let inner = format!("{name}.{}", escaped.as_deref().unwrap_or(property));
        let Some(declared) = declare(place, is_embedded(place), &inner, depth + 1) else {
            continue;
        };
        if field.required && field.default.is_none() {
            serialized_min += property.len() as u64 + declared.serialized_min + 4;
        }
        if let Some(escaped) = escaped {
            fields.insert(escaped, declared);
        }
    }
    if whole && !has_type_and_name(at) {
        fields.insert("kind".to_owned(), text());
        fields.insert("apiVersion".to_owned(), text());
        let parts = [("name", text()), ("generateName", text())];
        let parts = parts.map(|(part, declared)| (part.to_owned(), declared));
        fields.insert(
            "metadata".to_owned(),
            object_of(&format!("{name}.metadata"), BTreeMap::from(parts), 2),
        );
    }
    object_of(name, fields, serialized_min)
}

fn object_of(name: &str, fields: BTreeMap<String, Declared>, serialized_min: u64) -> Declared {
    let types = fields
        .iter()
        .map(|(field, declared)| (field.clone(), declared.of.clone()))
        .collect();
    let of = Type::Struct(Arc::new(Struct {
        name: name.to_owned(),
        fields: types,
    }));
    let mut declared = Declared::simple(of, 0, serialized_min);
    declared.fields = fields;
    declared
}

/// Whether the schema itself declares what every whole object has.
fn has_type_and_name(at: At<'_>) -> bool {
    let is_text = |at: Option<At<'_>>| at.is_some_and(|at| matches!(at.shape(), Shape::String));
    let declared = |at: At<'_>, name: &str| {
        at.declared(name)
            .map(|field| At {
                schema: field_schema(at),
                id: field.node,
            })
            .is_some()
            && is_text(at.field(name))
    };
    declared(at, "kind")
        && declared(at, "apiVersion")
        && at.declared("metadata").is_some()
        && at.field("metadata").is_some_and(|metadata| {
            declared(metadata, "name") && declared(metadata, "generateName")
        })
}

fn field_schema(at: At<'_>) -> &schema::Schema {
    at.schema
}

/// Data as a value of its place. Data that does not hold to the schema is a fault where it stands.
#[must_use]
pub fn to_value(at: At<'_>, data: &crate::Value, root: bool) -> Value {
    convert(at, data, root, 0)
}

fn fault(message: String) -> Value {
    Value::Fault(message.into())
}

fn go_type(data: &crate::Value) -> &'static str {
    match data {
        crate::Value::Null => "<nil>",
        crate::Value::Bool(_) => "bool",
        crate::Value::Number(number) if number.is_f64() => "float64",
        crate::Value::Number(_) => "int64",
        crate::Value::String(_) => "string",
        crate::Value::Array(_) => "[]interface {}",
        crate::Value::Object(_) => "map[string]interface {}",
    }
}

fn convert(at: At<'_>, data: &crate::Value, root: bool, depth: usize) -> Value {
    if depth > DATA_DEPTH_MAX {
        return fault("invalid data, nested too deep".to_owned());
    }
    if data.is_null() {
        return if at.node().nullable {
            Value::Null
        } else {
            fault("invalid data, got null for schema with nullable=false".to_owned())
        };
    }
    match (at.shape(), data) {
        (Shape::Any | Shape::Json, _) if !root => untyped(data, depth),
        (Shape::IntOrString, crate::Value::String(text)) => text.as_str().into(),
        (Shape::IntOrString, crate::Value::Number(number)) if number.is_i64() => {
            untyped(data, depth)
        }
        (Shape::IntOrString, _) => fault(
            "invalid data, expected XIntOrString value to be either a string or integer".to_owned(),
        ),
        (Shape::Integer { .. }, _) => match data.as_i64() {
            Some(number) => Value::Int(number),
            None => fault(format!("invalid data, expected int, got {}", go_type(data))),
        },
        (Shape::Number, _) => match data.as_f64() {
            Some(number) => Value::Double(number),
            None => fault(format!(
                "invalid data, expected float, got {}",
                go_type(data)
            )),
        },
        (Shape::Boolean, crate::Value::Bool(flag)) => Value::Bool(*flag),
        (Shape::Boolean, _) => fault(format!(
            "invalid data, expected bool, got {}",
            go_type(data)
        )),
        (Shape::List(_) | Shape::WrappedList { .. }, crate::Value::Array(items)) => {
            convert_list(at, items, depth)
        }
        (Shape::List(_) | Shape::WrappedList { .. }, _) => fault(
            "invalid data, expected an array for the provided schema with type=array".to_owned(),
        ),
        (shape, crate::Value::String(text)) if is_text(shape) => convert_text(at, text),
        (shape, _) if is_text(shape) => fault(format!(
            "invalid data, expected string, got {}",
            go_type(data)
        )),
        (_, crate::Value::Object(fields)) => convert_object(at, fields, root, depth),
        _ => fault(
            "invalid data, expected a map for the provided schema with type=object".to_owned(),
        ),
    }
}

fn is_text(shape: &Shape) -> bool {
    matches!(
        shape,
        Shape::String
            | Shape::Bytes
            | Shape::Time
            | Shape::MicroTime
            | Shape::Duration
            | Shape::Quantity
    )
}

fn convert_text(at: At<'_>, text: &str) -> Value {
    let format = at
        .node()
        .constraints
        .as_deref()
        .and_then(|limits| limits.format.as_deref());
    let format = match at.shape() {
        Shape::Bytes => Some("byte"),
        Shape::Time | Shape::MicroTime => Some("date-time"),
        _ => format,
    };
    match format {
        Some("duration") => time::parse_duration(text).map_or_else(
            || fault(format!("Invalid duration {text}")),
            Value::Duration,
        ),
        Some("date") => time::parse_date(text).map_or_else(
            || fault(format!("Invalid date formatted string {text}")),
            Value::Timestamp,
        ),
        Some("date-time") => time::parse_openapi(text).map_or_else(
            || fault(format!("Invalid date-time formatted string {text}")),
            Value::Timestamp,
        ),
        Some("byte") => base64::engine::general_purpose::STANDARD
            .decode(text)
            .map_or_else(
                |_| fault(format!("Invalid byte formatted string {text}")),
                |bytes| Value::Bytes(bytes.into()),
            ),
        _ => text.into(),
    }
}

fn convert_list(at: At<'_>, items: &[crate::Value], depth: usize) -> Value {
    let Some(items_at) = at.items() else {
        return fault("invalid array type, expected Items with a non-empty Schema".to_owned());
    };
    let kind = match at.shape() {
        Shape::List(list) if list.kind == schema::ListKind::Set => ListKind::Set,
        Shape::List(list) if list.kind == schema::ListKind::Map => ListKind::Map(
            list.keys
                .iter()
                .map(|key| escape(key).unwrap_or_else(|| key.to_string()))
                .collect(),
        ),
        _ => ListKind::Ordered,
    };
    let embedded = is_embedded(items_at);
    let items = items
        .iter()
        .map(|item| convert(items_at, item, embedded, depth + 1))
        .collect();
    Value::List(Arc::new(List { items, kind }))
}

fn convert_object(at: At<'_>, fields: &crate::Map, root: bool, depth: usize) -> Value {
    let keyed = values_of(at).is_some();
    let whole = root || is_embedded(at);
    let mut map = Map::new();
    for (name, data) in fields {
        let key = if keyed {
            Some(name.clone())
        } else {
            escape(name)
        };
        // A named field that is null is taken for one that is absent.
        let Some(key) = key.filter(|_| keyed || !data.is_null()) else {
            continue;
        };
        let value = match at.field(name) {
            // What every whole object has is read by the rule that every whole object keeps.
            Some(place) if !(whole && name == "metadata" && !has_type_and_name(at)) => {
                convert(place, data, is_embedded(place), depth + 1)
            }
            _ if whole && name == "metadata" => untyped(data, depth + 1),
            _ if whole && matches!(name.as_str(), "kind" | "apiVersion") => {
                untyped(data, depth + 1)
            }
            _ => continue,
        };
        map.insert(Key::String(key.into()), value);
    }
    Value::Map(Arc::new(map))
}

/// Data that no schema describes.
#[must_use]
pub fn from_data(data: &crate::Value) -> Value {
    untyped(data, 0)
}

fn untyped(data: &crate::Value, depth: usize) -> Value {
    if depth > DATA_DEPTH_MAX {
        return fault("invalid data, nested too deep".to_owned());
    }
    match data {
        crate::Value::Null => Value::Null,
        crate::Value::Bool(flag) => Value::Bool(*flag),
        crate::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(whole), _) => Value::Int(whole),
            (None, Some(whole)) => Value::Uint(whole),
            (None, None) => Value::Double(number.as_f64().unwrap_or(f64::NAN)),
        },
        crate::Value::String(text) => text.as_str().into(),
        crate::Value::Array(items) => items
            .iter()
            .map(|item| untyped(item, depth + 1))
            .collect::<Vec<_>>()
            .into(),
        crate::Value::Object(fields) => Value::Map(Arc::new(
            fields
                .iter()
                .map(|(name, data)| (Key::String(name.as_str().into()), untyped(data, depth + 1)))
                .collect(),
        )),
    }
}
