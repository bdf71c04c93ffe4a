//! The types of the language: how they are written in messages, and when one stands for another.

use std::{collections::BTreeMap, fmt, sync::Arc};

/// A type. Types with parts share them, since they are copied along every node.
#[derive(Debug, Clone, PartialEq)]
pub enum Type {
    Dyn,
    /// What a node has that failed to check: it agrees with everything.
    Error,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    Timestamp,
    Duration,
    List(Arc<Type>),
    Map(Arc<Type>, Arc<Type>),
    /// An object with declared fields.
    Struct(Arc<Struct>),
    /// The type of types.
    Type(Option<Arc<Type>>),
    /// A type that only functions know, by name: `optional_type`, `net.IP`.
    Opaque(Arc<str>, Arc<[Type]>),
    /// A parameter of a signature, or a type that is not known yet.
    Param(Arc<str>),
}

/// The fields of an object type, by their escaped names.
#[derive(Debug, PartialEq)]
pub struct Struct {
    pub name: String,
    pub fields: BTreeMap<String, Type>,
}

/// The name of the type of optional values.
pub(super) const OPTIONAL: &str = "optional_type";

impl Type {
    pub(super) fn list(items: Type) -> Type {
        Type::List(Arc::new(items))
    }

    pub(super) fn map(keys: Type, values: Type) -> Type {
        Type::Map(Arc::new(keys), Arc::new(values))
    }

    pub(super) fn optional(of: Type) -> Type {
        Type::Opaque(OPTIONAL.into(), Arc::new([of]))
    }

    /// What an optional type holds.
    pub(super) fn optional_of(&self) -> Option<&Type> {
        match self {
            Type::Opaque(name, of) if &**name == OPTIONAL => of.first(),
            _ => None,
        }
    }

    pub(super) fn is_dyn_or_error(&self) -> bool {
        matches!(self, Type::Dyn | Type::Error)
    }

    /// The types that are parts of it.
    pub(super) fn parts(&self) -> Vec<&Type> {
        match self {
            Type::List(items) => vec![items],
            Type::Map(keys, values) => vec![keys, values],
            Type::Type(Some(of)) => vec![of],
            Type::Opaque(_, parts) => parts.iter().collect(),
            _ => Vec::new(),
        }
    }

    /// One whose values have the size 1.
    pub(super) fn is_scalar(&self) -> bool {
        match self {
            Type::Bool
            | Type::Double
            | Type::Duration
            | Type::Int
            | Type::Timestamp
            | Type::Uint => true,
            other => other.optional_of().is_some_and(Type::is_scalar),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Type::Dyn => "dyn",
            Type::Error => "!error!",
            Type::Null => "null",
            Type::Bool => "bool",
            Type::Int => "int",
            Type::Uint => "uint",
            Type::Double => "double",
            Type::String => "string",
            Type::Bytes => "bytes",
            Type::Timestamp => "timestamp",
            Type::Duration => "duration",
            Type::List(_) => "list",
            Type::Map(..) => "map",
            Type::Struct(object) => &object.name,
            Type::Type(_) => "type",
            Type::Opaque(name, _) | Type::Param(name) => name,
        };
        formatter.write_str(name)?;
        let parts: Vec<String> = self.parts().iter().map(ToString::to_string).collect();
        if !parts.is_empty() {
            write!(formatter, "({})", parts.join(", "))?;
        }
        Ok(())
    }
}
