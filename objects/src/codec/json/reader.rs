//! One pass over the text with the schema beside it: values, strict faults in their order, the first value of a wrong type.

use super::lexer::{Lexer, Token};
use super::scalar::{self, Refusal};
use super::{Fault, Read, STRICT_MAX};
use crate::codec::{DEPTH_MAX, VALUES_MAX, protobuf, typed};
use crate::schema::{At, Field, Shape};
use crate::{Map, Value};

/// A step from the root to the value that is read.
enum Part<'a> {
    /// A field of a type.
    Field {
        name: &'a str,
        field: &'a Field,
        owner: At<'a>,
    },
    Key(String),
    Index(usize),
}

/// What a value is read into.
#[derive(Clone, Copy)]
struct Target<'a> {
    /// None where anything goes.
    at: Option<At<'a>>,
    /// The Go type, where it does not follow from the shape.
    go: Option<&'a str>,
}

const ANY: Target<'static> = Target { at: None, go: None };

struct Reader<'a> {
    lexer: Lexer<'a>,
    parts: Vec<Part<'a>>,
    strict: Vec<String>,
    /// The first fault of a type, which does not end the reading.
    saved: Option<String>,
    /// The first fault that upstream ends its reading at.
    fatal: Option<String>,
    /// Within values that upstream does not read strictly: how deep.
    quiet: usize,
    depth: usize,
    values: usize,
}

pub(super) fn read<'a>(bytes: &'a [u8], at: Option<At<'a>>) -> Result<Read, Fault> {
    let mut reader = Reader {
        lexer: Lexer::new(bytes),
        parts: Vec::new(),
        strict: Vec::new(),
        saved: None,
        fatal: None,
        quiet: 0,
        depth: 0,
        values: 0,
    };
    let mut value = reader.value(Target { at, go: None })?;
    reader.lexer.end()?;
    if let Some(fault) = reader.fatal.or(reader.saved) {
        return Err(Fault::Type(fault));
    }
    if let (Value::Null, Some(at)) = (&value, at) {
        value = typed::zero(at.schema, at.shape());
    }
    Ok(Read {
        value,
        strict: reader.strict,
    })
}

impl<'a> Reader<'a> {
    fn value(&mut self, target: Target<'a>) -> Result<Value, Fault> {
        self.count(1)?;
        self.lexer.skip_space();
        let start = self.lexer.position();
        let token = self.lexer.value()?;
        let Some(at) = target.at else {
            return self.any(token);
        };
        match (at.shape(), token) {
            (_, Token::Null) => Ok(Value::Null),
            (Shape::Any, token) => self.union(at, target.go, token),
            (Shape::Json | Shape::RawExtension, token) => self.quietly(|reader| reader.any(token)),
            (Shape::Object(_), Token::Object) => self.object(at),
            (Shape::Map { .. }, Token::Object) => self.map(target),
            (Shape::List(_) | Shape::WrappedList { .. }, Token::Array) => {
                let items = Target {
                    at: at.items(),
                    go: target.go.and_then(|go| go.strip_prefix("[]")),
                };
                self.list(items)
            }
            (shape, token) => {
                if matches!(token, Token::Object | Token::Array) {
                    self.quietly(|reader| reader.any(token))?;
                }
                match scalar::typed(shape, token, self.lexer.since(start)) {
                    Ok(value) => Ok(value),
                    Err(refusal) => {
                        self.refuse(refusal, target);
                        Ok(Value::Null)
                    }
                }
            }
        }
    }

    fn count(&mut self, values: usize) -> Result<(), Fault> {
        self.values += values;
        if self.values > VALUES_MAX {
            return Err(Fault::Syntax(format!(
                "an object of more than {VALUES_MAX} values"
            )));
        }
        Ok(())
    }

    /// Reads what upstream does not look into strictly.
    fn quietly<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        self.quiet += 1;
        let value = read(self);
        self.quiet -= 1;
        value
    }

    /// Reads what is inside of a list or an object.
    fn within<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        if self.depth == DEPTH_MAX {
            return Err(Fault::Syntax("exceeded max depth".to_owned()));
        }
        self.depth += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn any(&mut self, token: Token<'a>) -> Result<Value, Fault> {
        match token {
            Token::Object => self.map(ANY),
            Token::Array => self.list(ANY),
            token => match scalar::any(token) {
                Ok(value) => Ok(value),
                Err(refusal) => {
                    self.refuse(refusal, ANY);
                    Ok(Value::Null)
                }
            },
        }
    }

    /// One of the parts of a CRD's schema that may be a schema or something else, or a value of no known type.
    fn union(&mut self, at: At<'a>, go: Option<&str>, token: Token<'a>) -> Result<Value, Fault> {
        let schema = at
            .schema
            .named(protobuf::SCHEMA_TYPE)
            .map(|id| at.schema.at(id));
        let target = Target {
            at: schema,
            go: None,
        };
        match (go, token) {
            (Some("v1.CustomResourceSubresourceStatus"), Token::Object) => {
                self.quietly(|reader| reader.any(token))?;
                Ok(Value::Object(Map::new()))
            }
            (Some(go), Token::Object) if go.starts_with("v1.JSONSchema") => {
                self.quietly(|reader| match schema {
                    Some(at) => reader.object(at),
                    None => reader.any(token),
                })
            }
            (Some("v1.JSONSchemaPropsOrArray"), Token::Array) => {
                self.quietly(|reader| reader.list(target))
            }
            (_, token) => self.quietly(|reader| reader.any(token)),
        }
    }

    fn object(&mut self, at: At<'a>) -> Result<Value, Fault> {
        let Shape::Object(object) = at.shape() else {
            return Ok(Value::Null);
        };
        let mut fields = Map::new();
        self.within(|reader| reader.fields(at, &mut fields))?;
        typed::finish(at.schema, object, &mut fields);
        self.count(fields.len())?;
        Ok(Value::Object(fields))
    }

    fn fields(&mut self, at: At<'a>, fields: &mut Map) -> Result<(), Fault> {
        let Shape::Object(object) = at.shape() else {
            return Ok(());
        };
        self.lexer.skip_space();
        let mut more = !self.lexer.eat(b'}');
        while more {
            let key = self.lexer.key()?;
            if let Some((name, field)) = object.fields.get_key_value(&*key) {
                if fields.contains_key(&key) {
                    self.fault("duplicate", &key);
                }
                self.parts.push(Part::Field {
                    name,
                    field,
                    owner: at,
                });
                let value = self.value(Target {
                    at: Some(at.schema.at(field.node)),
                    go: field.go.kind.as_deref(),
                })?;
                self.parts.pop();
                fields.insert(key, value);
            } else if let Some(others) = at.field(&key) {
                let value = self.value(Target {
                    at: Some(others),
                    go: None,
                })?;
                fields.insert(key, value);
            } else if object.preserve_unknown {
                let value = self.value(ANY)?;
                fields.insert(key, value);
            } else {
                self.fault("unknown", &key);
                self.quietly(|reader| reader.value(ANY))?;
            }
            more = self.lexer.next(b'}', "after object key:value pair")?;
        }
        Ok(())
    }

    fn map(&mut self, target: Target<'a>) -> Result<Value, Fault> {
        let values = Target {
            at: target.at.and_then(|at| match at.shape() {
                Shape::Map { values, .. } => Some(at.schema.at(*values)),
                _ => None,
            }),
            // A named map of a CRD's schema says what its values are.
            go: match target.go {
                Some(go @ "v1.JSONSchemaDependencies") => Some(go),
                go => go.and_then(|go| Some(go.strip_prefix("map[")?.split_once(']')?.1)),
            },
        };
        let mut entries = Map::new();
        self.within(|reader| {
            reader.lexer.skip_space();
            let mut more = !reader.lexer.eat(b'}');
            while more {
                let key = reader.lexer.key()?;
                if entries.contains_key(&key) {
                    reader.fault("duplicate", &key);
                }
                reader.parts.push(Part::Key(key.clone()));
                let value = reader.element(values)?;
                reader.parts.pop();
                entries.insert(key, value);
                more = reader.lexer.next(b'}', "after object key:value pair")?;
            }
            Ok(())
        })?;
        Ok(Value::Object(entries))
    }

    fn list(&mut self, items: Target<'a>) -> Result<Value, Fault> {
        let mut elements = Vec::new();
        self.within(|reader| {
            reader.lexer.skip_space();
            let mut more = !reader.lexer.eat(b']');
            while more {
                reader.parts.push(Part::Index(elements.len()));
                elements.push(reader.element(items)?);
                reader.parts.pop();
                more = reader.lexer.next(b']', "after array element")?;
            }
            Ok(())
        })?;
        Ok(Value::Array(elements))
    }

    /// A value of a list or map, where null is the zero value.
    fn element(&mut self, target: Target<'a>) -> Result<Value, Fault> {
        let value = self.value(target)?;
        Ok(match (value, target.at) {
            (Value::Null, Some(at)) => typed::zero(at.schema, at.shape()),
            (value, _) => value,
        })
    }

    /// Keeps a strict fault of a field of what is read now.
    fn fault(&mut self, what: &str, field: &str) {
        if self.quiet > 0 || self.strict.len() >= STRICT_MAX {
            return;
        }
        let mut path = String::new();
        for part in &self.parts {
            let name = match part {
                Part::Field { name, .. } => name,
                Part::Key(key) => key.as_str(),
                Part::Index(index) => {
                    path.push_str(&format!("[{index}]"));
                    continue;
                }
            };
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(name);
        }
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(field);
        let text = format!("{what} field {}", Value::from(path));
        if !self.strict.contains(&text) {
            self.strict.push(text);
        }
    }

    fn refuse(&mut self, refusal: Refusal, target: Target<'_>) {
        match refusal {
            Refusal::Fatal(text) => {
                self.fatal.get_or_insert(text);
            }
            Refusal::Saved(text) => {
                self.saved.get_or_insert(text);
            }
            Refusal::Mismatch { found, wanted } => {
                if self.saved.is_none() {
                    let kind = wanted.map_or_else(|| go_type(target), str::to_owned);
                    let place = self.place();
                    self.saved = Some(format!(
                        "json: cannot unmarshal {found} into Go {place} of type {kind}"
                    ));
                }
            }
        }
    }

    /// Where a value is, in Go's words: the struct that has the last field, then all fields from the root.
    fn place(&self) -> String {
        let mut names = Vec::new();
        let mut owner = None;
        for part in &self.parts {
            if let Part::Field {
                name,
                field,
                owner: at,
            } = part
            {
                names.extend(field.go.outer.as_deref());
                names.push(name);
                owner = Some(*at);
            }
        }
        match owner {
            None => "value".to_owned(),
            Some(at) => {
                let name = type_name(at);
                let kind = name.rsplit('.').next().unwrap_or_default();
                format!("struct field {kind}.{}", names.join("."))
            }
        }
    }
}

/// The name of an object's type in the schema.
fn type_name(at: At<'_>) -> &str {
    at.schema
        .names()
        .find(|(name, id)| *id == at.id && !name.contains('/'))
        .map_or("", |(name, _)| name)
}

/// A type as Go's messages name it.
fn go_type(target: Target<'_>) -> String {
    if let Some(go) = target.go {
        return go.to_owned();
    }
    let Some(at) = target.at else {
        return "interface {}".to_owned();
    };
    let inner = |at| {
        go_type(Target {
            at: Some(at),
            go: None,
        })
    };
    match at.shape() {
        Shape::Object(_) => {
            let mut parts = type_name(at).rsplit('.');
            let kind = parts.next().unwrap_or_default();
            format!("{}.{kind}", parts.next().unwrap_or_default())
        }
        Shape::List(_) | Shape::WrappedList { .. } => {
            format!("[]{}", at.items().map(inner).unwrap_or_default())
        }
        Shape::Map { values, .. } => format!("map[string]{}", inner(at.schema.at(*values))),
        Shape::Bytes => "[]uint8".to_owned(),
        Shape::Integer { bits } => format!("int{bits}"),
        Shape::Number => "float64".to_owned(),
        Shape::Boolean => "bool".to_owned(),
        _ => "string".to_owned(),
    }
}
