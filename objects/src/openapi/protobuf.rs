//! Version 2 documents as `application/com.github.proto-openapi.spec.v2.v1.0+protobuf`: gnostic's messages, by a table of their fields.

use crate::Value;

/// A message: its fields by their keys in JSON, and the number for keys that begin with `x-`, 0 for none.
struct Message {
    rows: &'static [(&'static str, &'static [u32], Form)],
    extensions: u32,
}

/// How a value is written. Lists are repeated fields of their elements.
#[derive(Clone, Copy)]
enum Form {
    Text,
    Double,
    Integer,
    Flag,
    /// A value of any shape, as YAML, of which JSON is a part.
    Yaml,
    Fields(&'static Message),
    /// A map: a repeated field of this number with a name and a value, whose message is inside others of these numbers.
    Named(u32, &'static [u32], &'static Message),
    /// A message whose numbers depend on where the parameter is.
    Parameter,
}

static DOCUMENT: Message = Message {
    rows: &[
        ("swagger", &[1], Form::Text),
        ("info", &[2], Form::Fields(&INFO)),
        ("paths", &[8], Form::Named(2, &[], &PATH_ITEM)),
        ("definitions", &[9], Form::Named(1, &[], &SCHEMA)),
        ("security", &[12], Form::Named(1, &[], &NOTHING)),
        ("securityDefinitions", &[13], Form::Named(1, &[2], &API_KEY)),
    ],
    extensions: 0,
};
static INFO: Message = Message {
    rows: &[("title", &[1], Form::Text), ("version", &[2], Form::Text)],
    extensions: 0,
};
static NOTHING: Message = Message {
    rows: &[],
    extensions: 0,
};
static API_KEY: Message = Message {
    rows: &[
        ("type", &[1], Form::Text),
        ("name", &[2], Form::Text),
        ("in", &[3], Form::Text),
        ("description", &[4], Form::Text),
    ],
    extensions: 0,
};
static PATH_ITEM: Message = Message {
    rows: &[
        ("get", &[2], Form::Fields(&OPERATION)),
        ("put", &[3], Form::Fields(&OPERATION)),
        ("post", &[4], Form::Fields(&OPERATION)),
        ("delete", &[5], Form::Fields(&OPERATION)),
        ("patch", &[8], Form::Fields(&OPERATION)),
        ("parameters", &[9, 1], Form::Parameter),
    ],
    extensions: 0,
};
static OPERATION: Message = Message {
    rows: &[
        ("tags", &[1], Form::Text),
        ("description", &[3], Form::Text),
        ("operationId", &[5], Form::Text),
        ("produces", &[6], Form::Text),
        ("consumes", &[7], Form::Text),
        ("parameters", &[8, 1], Form::Parameter),
        ("responses", &[9], Form::Named(1, &[1], &RESPONSE)),
        ("schemes", &[10], Form::Text),
    ],
    extensions: 13,
};
static RESPONSE: Message = Message {
    rows: &[
        ("description", &[1], Form::Text),
        ("schema", &[2, 1], Form::Fields(&SCHEMA)),
    ],
    extensions: 0,
};
static BODY_PARAMETER: Message = Message {
    rows: &[
        ("description", &[1], Form::Text),
        ("name", &[2], Form::Text),
        ("in", &[3], Form::Text),
        ("required", &[4], Form::Flag),
        ("schema", &[5], Form::Fields(&SCHEMA)),
    ],
    extensions: 0,
};
static QUERY_PARAMETER: Message = Message {
    rows: &[
        ("required", &[1], Form::Flag),
        ("in", &[2], Form::Text),
        ("description", &[3], Form::Text),
        ("name", &[4], Form::Text),
        ("type", &[6], Form::Text),
        ("uniqueItems", &[20], Form::Flag),
    ],
    extensions: 0,
};
static PATH_PARAMETER: Message = Message {
    rows: &[
        ("required", &[1], Form::Flag),
        ("in", &[2], Form::Text),
        ("description", &[3], Form::Text),
        ("name", &[4], Form::Text),
        ("type", &[5], Form::Text),
        ("uniqueItems", &[18], Form::Flag),
    ],
    extensions: 0,
};
static SCHEMA: Message = Message {
    rows: &[
        ("$ref", &[1], Form::Text),
        ("format", &[2], Form::Text),
        ("title", &[3], Form::Text),
        ("description", &[4], Form::Text),
        ("default", &[5], Form::Yaml),
        ("multipleOf", &[6], Form::Double),
        ("maximum", &[7], Form::Double),
        ("exclusiveMaximum", &[8], Form::Flag),
        ("minimum", &[9], Form::Double),
        ("exclusiveMinimum", &[10], Form::Flag),
        ("maxLength", &[11], Form::Integer),
        ("minLength", &[12], Form::Integer),
        ("pattern", &[13], Form::Text),
        ("maxItems", &[14], Form::Integer),
        ("minItems", &[15], Form::Integer),
        ("uniqueItems", &[16], Form::Flag),
        ("maxProperties", &[17], Form::Integer),
        ("minProperties", &[18], Form::Integer),
        ("required", &[19], Form::Text),
        ("enum", &[20], Form::Yaml),
        ("additionalProperties", &[21, 1], Form::Fields(&SCHEMA)),
        ("type", &[22, 1], Form::Text),
        ("items", &[23, 1], Form::Fields(&SCHEMA)),
        ("properties", &[25], Form::Named(1, &[], &SCHEMA)),
    ],
    extensions: 31,
};

/// The messages of a document. As deep as its schemas, which this crate has made of such of bounded depth.
#[must_use]
pub fn encode(document: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    fields(&mut out, document, &DOCUMENT);
    out
}

fn fields(out: &mut Vec<u8>, value: &Value, message: &Message) {
    for (key, path, form) in message.rows {
        match value.get(key) {
            None => {}
            // A default that is a list is one value; alternatives are several.
            Some(Value::Array(elements)) if *key != "default" => {
                for element in elements {
                    write(out, path, element, *form);
                }
            }
            Some(value) => write(out, path, value, *form),
        }
    }
    if message.extensions == 0 {
        return;
    }
    let all = value.as_object().into_iter().flatten();
    for (key, value) in all.filter(|(key, _)| key.starts_with("x-")) {
        nested(out, &[message.extensions], |inner| {
            bytes(inner, 1, key.as_bytes());
            write(inner, &[2], value, Form::Yaml);
        });
    }
}

fn write(out: &mut Vec<u8>, path: &[u32], value: &Value, form: Form) {
    let Some((number, outer)) = path.split_last() else {
        return;
    };
    match form {
        Form::Text => nested(out, outer, |inner| {
            bytes(
                inner,
                *number,
                value.as_str().unwrap_or_default().as_bytes(),
            );
        }),
        Form::Double => nested(out, outer, |inner| {
            tag(inner, *number, 1);
            inner.extend(value.as_f64().unwrap_or_default().to_le_bytes());
        }),
        Form::Integer => nested(out, outer, |inner| {
            tag(inner, *number, 0);
            varint(inner, value.as_u64().unwrap_or_default());
        }),
        Form::Flag => nested(out, outer, |inner| {
            tag(inner, *number, 0);
            varint(inner, u64::from(value == &Value::Bool(true)));
        }),
        Form::Yaml => nested(out, path, |inner| {
            bytes(inner, 2, format!("{value}\n").as_bytes());
        }),
        Form::Fields(message) => nested(out, path, |inner| fields(inner, value, message)),
        Form::Named(each, inside, message) => nested(out, path, |list| {
            for (name, value) in value.as_object().into_iter().flatten() {
                nested(list, &[each], |entry| {
                    bytes(entry, 1, name.as_bytes());
                    nested(entry, &[2], |holder| {
                        nested(holder, inside, |inner| fields(inner, value, message));
                    });
                });
            }
        }),
        Form::Parameter => nested(out, path, |inner| {
            let (path, message): (&[u32], _) = match value["in"].as_str() {
                Some("body") => (&[1], &BODY_PARAMETER),
                Some("path") => (&[2, 4], &PATH_PARAMETER),
                _ => (&[2, 3], &QUERY_PARAMETER),
            };
            nested(inner, path, |inner| fields(inner, value, message));
        }),
    }
}

/// Writes into a message inside others, one for each number; into this one if there is none.
fn nested(out: &mut Vec<u8>, path: &[u32], content: impl FnOnce(&mut Vec<u8>)) {
    let mut inner = Vec::new();
    content(&mut inner);
    for number in path.iter().rev() {
        let mut outer = Vec::with_capacity(inner.len() + HEADER_BYTES_MAX);
        bytes(&mut outer, *number, &inner);
        inner = outer;
    }
    out.append(&mut inner);
}

/// A tag and a length.
const HEADER_BYTES_MAX: usize = 12;

fn bytes(out: &mut Vec<u8>, number: u32, content: &[u8]) {
    tag(out, number, 2);
    varint(out, content.len() as u64);
    out.extend(content);
}

fn tag(out: &mut Vec<u8>, number: u32, wire_type: u64) {
    varint(out, u64::from(number) << 3 | wire_type);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f | 0x80) as u8);
        value >>= 7;
    }
    out.push(value as u8);
}
