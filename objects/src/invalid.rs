//! What is wrong with a field, in upstream's words (apimachinery's `field.Error`): a value that becomes a cause of a 422.

use std::fmt;

use crate::{Value, path::Path};

/// The kind of fault. The names on the wire are upstream's `FieldValue…` reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    NotFound,
    Required,
    Duplicate,
    Invalid,
    NotSupported,
    Forbidden,
    TooLong,
    TooMany,
    Internal,
    TypeInvalid,
    TooShort,
}

/// One fault of one field.
#[derive(Debug, Clone, PartialEq)]
pub struct Invalid {
    pub fault: Fault,
    pub path: Path,
    /// The value that is wrong; none, and the text does not show it.
    pub value: Option<Value>,
    /// What the text shows instead of the value: upstream's struct, whose fields have an order and names of their own.
    pub shown: Option<String>,
    pub detail: String,
}

/// All faults of an object; none, and it is valid.
pub type Faults = Vec<Invalid>;

impl Fault {
    /// The reason of a cause in a `Status`.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Fault::NotFound => "FieldValueNotFound",
            Fault::Required => "FieldValueRequired",
            Fault::Duplicate => "FieldValueDuplicate",
            Fault::Invalid => "FieldValueInvalid",
            Fault::NotSupported => "FieldValueNotSupported",
            Fault::Forbidden => "FieldValueForbidden",
            Fault::TooLong => "FieldValueTooLong",
            Fault::TooMany => "FieldValueTooMany",
            Fault::Internal => "InternalError",
            Fault::TypeInvalid => "FieldValueTypeInvalid",
            Fault::TooShort => "FieldValueTooShort",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Fault::NotFound => "Not found",
            Fault::Required => "Required value",
            Fault::Duplicate => "Duplicate value",
            Fault::Invalid | Fault::TypeInvalid => "Invalid value",
            Fault::NotSupported => "Unsupported value",
            Fault::Forbidden => "Forbidden",
            Fault::TooLong => "Too long",
            Fault::TooMany => "Too many",
            Fault::Internal => "Internal error",
            Fault::TooShort => "Too short",
        }
    }
}

impl Invalid {
    fn new(fault: Fault, path: &Path, value: Option<Value>, detail: impl Into<String>) -> Invalid {
        Invalid {
            fault,
            path: path.clone(),
            value,
            shown: None,
            detail: detail.into(),
        }
    }

    #[must_use]
    pub fn required(path: &Path, detail: impl Into<String>) -> Invalid {
        Invalid::new(Fault::Required, path, None, detail)
    }

    #[must_use]
    pub fn value(path: &Path, value: impl Into<Value>, detail: impl Into<String>) -> Invalid {
        Invalid::new(Fault::Invalid, path, Some(value.into()), detail)
    }

    #[must_use]
    pub fn type_invalid(
        path: &Path,
        value: impl Into<Value>,
        detail: impl Into<String>,
    ) -> Invalid {
        Invalid::new(Fault::TypeInvalid, path, Some(value.into()), detail)
    }

    #[must_use]
    pub fn duplicate(path: &Path, value: impl Into<Value>) -> Invalid {
        Invalid::new(Fault::Duplicate, path, Some(value.into()), "")
    }

    #[must_use]
    pub fn forbidden(path: &Path, detail: impl Into<String>) -> Invalid {
        Invalid::new(Fault::Forbidden, path, None, detail)
    }

    #[must_use]
    pub fn not_found(path: &Path, value: impl Into<Value>) -> Invalid {
        Invalid::new(Fault::NotFound, path, Some(value.into()), "")
    }

    /// A value that is wrong and not shown.
    #[must_use]
    pub fn hidden(path: &Path, detail: impl Into<String>) -> Invalid {
        Invalid::new(Fault::Invalid, path, None, detail)
    }

    /// A value that is none of the choices, which are told in their order.
    #[must_use]
    pub fn not_supported(path: &Path, value: impl Into<Value>, choices: &[&str]) -> Invalid {
        let mut detail = String::new();
        if !choices.is_empty() {
            let quoted: Vec<String> = choices.iter().map(|choice| quote(choice)).collect();
            detail = format!("supported values: {}", quoted.join(", "));
        }
        Invalid::new(Fault::NotSupported, path, Some(value.into()), detail)
    }

    /// Text longer than so many bytes.
    #[must_use]
    pub fn too_long(path: &Path, length_max: usize) -> Invalid {
        Invalid::new(
            Fault::TooLong,
            path,
            None,
            format!("may not be more than {length_max} bytes"),
        )
    }

    /// A list or map with more elements than it may have.
    #[must_use]
    pub fn too_many(path: &Path, count: usize, count_max: usize) -> Invalid {
        let unit = if count_max == 1 { "item" } else { "items" };
        Invalid::new(
            Fault::TooMany,
            path,
            Some(count.into()),
            format!("must have at most {count_max} {unit}"),
        )
    }

    #[must_use]
    pub fn internal(path: &Path, detail: impl Into<String>) -> Invalid {
        Invalid::new(Fault::Internal, path, None, detail)
    }

    /// Shows this text in place of the value.
    #[must_use]
    pub fn showing(mut self, text: impl Into<String>) -> Invalid {
        self.shown = Some(text.into());
        self
    }

    /// Says more of a fault whose kind alone says too little.
    #[must_use]
    pub fn because(mut self, detail: impl Into<String>) -> Invalid {
        self.detail = detail.into();
        self
    }

    /// The text without the path, as a cause's message has it.
    #[must_use]
    pub fn body(&self) -> String {
        let mut text = self.fault.words().to_owned();
        let shown = !matches!(
            self.fault,
            Fault::Required | Fault::Forbidden | Fault::TooLong | Fault::TooShort | Fault::Internal
        );
        if let Some(value) = self.value.as_ref().filter(|_| shown) {
            text.push_str(": ");
            let own = || show(value);
            text.push_str(&self.shown.clone().unwrap_or_else(own));
        }
        if !self.detail.is_empty() {
            text.push_str(": ");
            text.push_str(&self.detail);
        }
        text
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.path, self.body())
    }
}

/// Fields of Go's types in their order; all other objects are shown by key. An object is of the first type that has all its fields.
const FIELD_ORDERS: [&[&str]; 5] = [
    &["matchLabels", "matchExpressions"],
    &["Type", "RollingUpdate"],
    &["MaxUnavailable", "MaxSurge"],
    &["Partition", "MaxUnavailable"],
    &[
        "apiVersion",
        "kind",
        "name",
        "uid",
        "controller",
        "blockOwnerDeletion",
    ],
];

/// A value as a message shows it: text with quotes, all else as Go's JSON.
fn show(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(show).collect();
            format!("[{}]", items.join(","))
        }
        Value::Object(fields) => {
            let order = FIELD_ORDERS
                .iter()
                .find(|order| fields.keys().all(|field| order.contains(&field.as_str())));
            let place =
                |field: &str| order.and_then(|order| order.iter().position(|name| *name == field));
            let mut shown: Vec<(&String, &Value)> = fields.iter().collect();
            shown.sort_by_key(|(field, _)| place(field));
            let fields: Vec<String> = shown
                .iter()
                .map(|(field, value)| format!("{}:{}", quote(field), show(value)))
                .collect();
            format!("{{{}}}", fields.join(","))
        }
        Value::String(text) => quote(text),
        other => other.to_string(),
    }
}

/// Text in quotes with Go's escapes, which for what stands in objects are those of JSON.
fn quote(text: &str) -> String {
    Value::from(text).to_string()
}

/// Texts as one: alone as it is, several in brackets (apimachinery's aggregate).
#[must_use]
pub fn aggregate(texts: &[String]) -> String {
    match texts {
        [only] => only.clone(),
        several => format!("[{}]", several.join(", ")),
    }
}
