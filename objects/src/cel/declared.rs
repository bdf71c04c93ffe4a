//! What a schema says to expressions: the types of its fields under their escaped names, how large they may be, and objects as values.

mod data;

use std::{collections::BTreeMap, sync::Arc};

pub use data::{from_data, to_data, to_value};

use super::types::{Struct, Type};
use crate::schema::{At, Constraints, Object, Shape};

/// The largest request, in bytes; what bounds everything that a schema does not.
pub(super) const REQUEST_SIZE_MAX: u64 = 3 * 1024 * 1024;

/// How deep a schema is followed. What lies deeper has no type.
const DEPTH_MAX: usize = 64;

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

/// Names that the language keeps for itself: no variable has one, and fields of these names are escaped.
pub(crate) const RESERVED: [&str; 21] = [
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
    let declared = |at: At<'_>, name: &str| at.declared(name).is_some() && is_text(at.field(name));
    declared(at, "kind")
        && declared(at, "apiVersion")
        && at.declared("metadata").is_some()
        && at.field("metadata").is_some_and(|metadata| {
            declared(metadata, "name") && declared(metadata, "generateName")
        })
}
