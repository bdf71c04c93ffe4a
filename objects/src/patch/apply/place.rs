//! What the merge of applied configurations knows of a place in an object: a scalar, a list or a map, granular or in one piece.

use crate::catalog::Catalog;
use crate::schema::{At, ListKind, Omit, Shape};
use crate::{Value, schema};

use super::element::Element;

/// A place in an object, with what was said on the way to it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    kind: Kind<'a>,
    /// What the field that led here says against its type.
    atomic: Option<bool>,
    /// A place above keeps unknown fields.
    preserve: bool,
}

#[derive(Debug, Clone, Copy)]
enum Kind<'a> {
    /// The root of an object of a kind that a CRD defines, whose metadata is that of the built-in kinds.
    CustomRoot(At<'a>),
    Typed(At<'a>),
    /// No type: maps are granular and lists are in one piece.
    Deduced,
    /// No type, and in one piece.
    Opaque,
}

/// What a value at a place is taken for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form<'a> {
    Scalar(Scalar),
    List(List<'a>),
    Map(MapForm<'a>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scalar {
    Any,
    Number,
    Text,
    Bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct List<'a> {
    pub atomic: bool,
    /// The fields that tell the elements apart; none in a set.
    keys: &'a [Box<str>],
    pub items: Place<'a>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct MapForm<'a> {
    pub atomic: bool,
    place: Place<'a>,
}

/// A field of a map: its place, and if the type names it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field<'a> {
    pub place: Place<'a>,
    pub named: bool,
}

const DEDUCED: Place<'static> = Place {
    kind: Kind::Deduced,
    atomic: None,
    preserve: false,
};

const OPAQUE: Place<'static> = Place {
    kind: Kind::Opaque,
    atomic: None,
    preserve: false,
};

/// The type of `metadata`, which is the same for all kinds.
const METADATA: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

impl<'a> Place<'a> {
    /// The root of an object of a kind.
    pub(super) fn root(at: At<'a>, built_in: bool) -> Place<'a> {
        let kind = if built_in {
            Kind::Typed(at)
        } else {
            Kind::CustomRoot(at)
        };
        Place { kind, ..DEDUCED }
    }

    /// The place with fields that its type does not know, which are taken for what they look like.
    pub(super) fn with_unknown_fields(self) -> Place<'a> {
        Place {
            preserve: true,
            ..self
        }
    }

    fn at(self) -> Option<At<'a>> {
        match self.kind {
            Kind::CustomRoot(at) | Kind::Typed(at) => Some(at),
            Kind::Deduced | Kind::Opaque => None,
        }
    }

    /// What this value is taken for. Where the type leaves it open, the value decides, and without one it is a map.
    pub(super) fn form(self, value: Option<&Value>) -> Form<'a> {
        let Some(at) = self.at() else {
            return self.open_form(value);
        };
        let map = |atomic: bool| {
            Form::Map(MapForm {
                atomic: self.atomic.unwrap_or(atomic),
                place: self,
            })
        };
        match at.shape() {
            Shape::Any | Shape::Json if matches!(self.kind, Kind::CustomRoot(_)) => map(false),
            Shape::Any | Shape::Json => Place {
                kind: Kind::Deduced,
                ..self
            }
            .open_form(value),
            Shape::RawExtension => OPAQUE.open_form(value),
            Shape::Object(object) => map(object.atomic),
            Shape::Map { atomic, .. } => map(*atomic),
            Shape::List(list) => self.list(at, list),
            Shape::WrappedList { items } => Form::List(List {
                atomic: true,
                keys: &[],
                items: self.below(At { id: *items, ..at }),
            }),
            Shape::Integer { .. } | Shape::Number => Form::Scalar(Scalar::Number),
            Shape::Boolean => Form::Scalar(Scalar::Bool),
            Shape::String => Form::Scalar(text(at)),
            Shape::Bytes | Shape::Duration => Form::Scalar(Scalar::Text),
            Shape::Time | Shape::MicroTime | Shape::IntOrString | Shape::Quantity => {
                Form::Scalar(Scalar::Any)
            }
        }
    }

    fn list(self, at: At<'a>, list: &'a schema::List) -> Form<'a> {
        Form::List(List {
            atomic: self.atomic.unwrap_or(list.kind == ListKind::Atomic),
            keys: &list.keys,
            items: self.below(At {
                id: list.items,
                ..at
            }),
        })
    }

    fn open_form(self, value: Option<&Value>) -> Form<'a> {
        let opaque = matches!(self.kind, Kind::Opaque);
        match value {
            None | Some(Value::Null | Value::Object(_)) => Form::Map(MapForm {
                atomic: self.atomic.unwrap_or(opaque),
                place: self,
            }),
            Some(Value::Array(_)) => Form::List(List {
                atomic: true,
                keys: &[],
                items: OPAQUE,
            }),
            Some(_) => Form::Scalar(Scalar::Any),
        }
    }

    fn below(self, at: At<'a>) -> Place<'a> {
        Place {
            kind: Kind::Typed(at),
            atomic: None,
            preserve: self.preserve,
        }
    }
}

/// Text with a format of its own may be any scalar.
fn text(at: At<'_>) -> Scalar {
    let format = at
        .node()
        .constraints
        .as_ref()
        .and_then(|constraints| constraints.format.as_deref());
    match format {
        None | Some("" | "byte") => Scalar::Text,
        Some(_) => Scalar::Any,
    }
}

impl<'a> MapForm<'a> {
    /// Any keys with values of no type: nothing in it was ever in one piece.
    pub(super) fn is_deduced(&self) -> bool {
        match self.place.at().map(At::shape) {
            None => matches!(self.place.kind, Kind::Deduced),
            Some(Shape::Object(object)) => {
                let open = object.others.is_none_or(|others| {
                    let at = self.place.at().map(|at| At { id: others, ..at });
                    at.is_some_and(|at| matches!(at.shape(), Shape::Any | Shape::Json))
                });
                object.fields.is_empty() && open
            }
            Some(_) => false,
        }
    }

    /// A field, or none where the type has no such field.
    pub(super) fn field(&self, name: &str) -> Option<Field<'a>> {
        let open = |place| {
            Some(Field {
                place,
                named: false,
            })
        };
        let at = match self.place.kind {
            Kind::Opaque => return open(OPAQUE),
            Kind::Deduced => return open(DEDUCED),
            Kind::CustomRoot(at) => {
                if let Some(field) = common(name) {
                    return Some(field);
                }
                at
            }
            Kind::Typed(at) => at,
        };
        match at.shape() {
            Shape::Object(object) => {
                if object.embedded
                    && let Some(field) = common(name)
                {
                    return Some(field);
                }
                let place = Place {
                    preserve: self.place.preserve || object.preserve_unknown,
                    ..self.place
                };
                if let Some(field) = object.fields.get(name) {
                    let below = place.below(At {
                        id: field.node,
                        ..at
                    });
                    return Some(Field {
                        place: Place {
                            atomic: field.atomic,
                            ..below
                        },
                        named: true,
                    });
                }
                if let Some(others) = object.others {
                    return open(place.below(At { id: others, ..at }));
                }
                if place.preserve || object.fields.is_empty() {
                    return open(DEDUCED);
                }
                None
            }
            Shape::Map { values, .. } => open(self.place.below(At { id: *values, ..at })),
            _ => open(DEDUCED),
        }
    }
}

/// The fields that every object has, also one within another.
fn common(name: &str) -> Option<Field<'static>> {
    let builtin = &Catalog::builtin().schema;
    let place = match name {
        "metadata" => DEDUCED.below(builtin.at(builtin.named(METADATA)?)),
        "apiVersion" | "kind" => {
            let metadata = builtin.at(builtin.named(METADATA)?);
            DEDUCED.below(metadata.field("name")?)
        }
        _ => return None,
    };
    Some(Field { place, named: true })
}

impl List<'_> {
    /// The value of a key that an element leaves out. In built-in kinds, scalars that Go never leaves out are declared with
    /// their zero as default.
    fn default(&self, key: &str) -> Option<Value> {
        let items = self.items.at()?;
        let field = items.declared(key)?;
        if field.default.is_some() || field.go.pointer || field.go.omit != Omit::Never {
            return field.default.clone();
        }
        match items.field(key)?.shape() {
            Shape::String => Some(Value::from("")),
            Shape::Integer { .. } | Shape::Number => Some(Value::from(0)),
            Shape::Boolean => Some(Value::from(false)),
            _ => None,
        }
    }

    /// The step to an element of this list, which is not in one piece.
    pub(super) fn element(&self, item: &Value) -> Result<Element, String> {
        if self.keys.is_empty() {
            return match item {
                Value::Object(_) => {
                    Err("associative list without keys has an element that's a map type".to_owned())
                }
                Value::Array(_) => {
                    Err("not supported: associative list with lists as elements".to_owned())
                }
                Value::Null => Err(
                    "associative list without keys has an element that's an explicit null"
                        .to_owned(),
                ),
                scalar => Ok(Element::Item(scalar.clone().into())),
            };
        }
        let fields = match item {
            Value::Object(fields) => fields,
            Value::Null => {
                return Err("associative list with keys may not have a null element".to_owned());
            }
            _ => {
                return Err("associative list with keys may not have non-map elements".to_owned());
            }
        };
        let key: Vec<(Box<str>, Value)> = self
            .keys
            .iter()
            .filter_map(|name| {
                let value = fields
                    .get(&**name)
                    .cloned()
                    .or_else(|| self.default(name))?;
                Some((name.clone(), value))
            })
            .collect();
        if key.is_empty() {
            let quoted: Vec<String> = self
                .keys
                .iter()
                .map(|key| super::golang::quoted(key))
                .collect();
            return Err(format!(
                "associative list with keys has an element that omits all key fields [{}] (and doesn't have default values for any key fields)",
                quoted.join(" ")
            ));
        }
        Ok(Element::key(key))
    }
}
