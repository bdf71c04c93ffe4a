//! What a kind says about its fields: shapes, keys of lists, patch strategies, protobuf numbers; the same form for built-in kinds and CRDs.

use std::collections::{BTreeMap, HashMap};

use crate::Value;

/// A node of a schema, good only with the schema that gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u32);

/// A set of nodes that refer to one another, cycles included. Built once, then read by many.
#[derive(Debug, Default)]
pub struct Schema {
    nodes: Vec<Node>,
    /// Types that have a name of their own, by that name: `io.k8s.api.core.v1.PodSpec`.
    named: HashMap<Box<str>, NodeId>,
}

/// One shape, and what holds for every value of it.
#[derive(Debug, Default)]
pub struct Node {
    pub shape: Shape,
    /// `null` is a value here and not an absent field.
    pub nullable: bool,
    /// What a CRD's author asks of values: bounds, patterns, CEL rules. Built-in kinds have none; their rules are code.
    pub constraints: Option<Box<Constraints>>,
}

/// What a value may look like.
#[derive(Debug, Default)]
pub enum Shape {
    /// Anything that JSON can say.
    #[default]
    Any,
    /// Named fields.
    Object(Object),
    /// Any keys, all values of one shape.
    Map {
        values: NodeId,
        atomic: bool,
    },
    List(List),
    String,
    /// Base64 in JSON and YAML, bytes in protobuf.
    Bytes,
    /// RFC 3339 with seconds in JSON, a message of seconds and nanoseconds in protobuf.
    Time,
    /// As `Time`, with microseconds.
    MicroTime,
    /// Text as in Go's `time.Duration` in JSON, a message with nanoseconds in protobuf.
    Duration,
    /// 32 or 64 bits.
    Integer {
        bits: u8,
    },
    Number,
    Boolean,
    IntOrString,
    /// A number with a unit, kept as it was written.
    Quantity,
    /// Any JSON, which protobuf holds as bytes: `JSON` and `FieldsV1`.
    Json,
    /// A whole object of any kind, which protobuf holds as bytes.
    RawExtension,
    /// A list in JSON which protobuf wraps into a message with one repeated field 1: `ExtraValue`.
    WrappedList {
        items: NodeId,
    },
}

/// An object with named fields.
#[derive(Debug, Default)]
pub struct Object {
    pub fields: BTreeMap<Box<str>, Field>,
    /// The shape of fields without a name here (`additionalProperties` beside `properties`, in CRDs alone).
    pub others: Option<NodeId>,
    /// Fields without a name here are kept and not pruned.
    pub preserve_unknown: bool,
    /// A whole object with apiVersion, kind and metadata inside another (`x-kubernetes-embedded-resource`).
    pub embedded: bool,
    /// Server-side apply takes it as one value.
    pub atomic: bool,
}

/// A field of an object.
#[derive(Debug, Clone, Default)]
pub struct Field {
    pub node: NodeId,
    /// Where protobuf keeps it: field numbers from the outermost message inwards. More than one where Go's type embeds another,
    /// as `volumeSource` in `Volume`; empty for a field that protobuf does not have.
    pub numbers: Box<[u32]>,
    pub required: bool,
    /// The value of an absent field, as the schema declares it.
    pub default: Option<Value>,
    pub patch: Patch,
    /// Whether the field says otherwise than its type if server-side apply takes it as one value (`x-kubernetes-map-type` beside a reference).
    pub atomic: Option<bool>,
    /// What upstream's Go type says of it; of CRDs nothing.
    pub go: Go,
}

/// What JSON and messages show of the Go field behind a built-in kind's field.
#[derive(Debug, Clone, Default)]
pub struct Go {
    /// Absent is not the same as zero.
    pub pointer: bool,
    pub omit: Omit,
    /// The type as messages name it where it does not follow from the shape: `v1.ServiceType`.
    pub kind: Option<Box<str>>,
    /// The embedded types between the object and the field, with dots: `VolumeSource`.
    pub outer: Option<Box<str>>,
}

/// When Go's JSON leaves a field out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Omit {
    /// Zero scalars and empty lists and maps, but not structs (`omitempty`).
    #[default]
    Empty,
    Never,
    /// Also zero structs (`omitzero`).
    Zero,
}

/// What a strategic merge patch does with a field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patch {
    /// Lists are merged by element and not replaced.
    pub merge: bool,
    /// Objects are replaced and not merged.
    pub replace: bool,
    /// Fields that the patch does not name in `$retainKeys` go.
    pub retain_keys: bool,
    /// The field that tells the elements of a merged list apart; none for lists of scalars.
    pub key: Option<Box<str>>,
}

/// A list, and how server-side apply tells its elements apart.
#[derive(Debug, Default)]
pub struct List {
    pub items: NodeId,
    pub kind: ListKind,
    /// Of a `Map`, the fields that are together the key.
    pub keys: Box<[Box<str>]>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ListKind {
    #[default]
    Atomic,
    Set,
    Map,
}

/// What a CRD asks of a value beyond its shape; the words are those of its `openAPIV3Schema`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Constraints {
    pub title: Option<Box<str>>,
    pub description: Option<Box<str>>,
    pub format: Option<Box<str>>,
    pub pattern: Option<Box<str>>,
    pub choices: Vec<Value>,
    pub minimum: Option<serde_json::Number>,
    pub maximum: Option<serde_json::Number>,
    pub exclusive_minimum: bool,
    pub exclusive_maximum: bool,
    pub multiple_of: Option<serde_json::Number>,
    pub length_min: Option<u64>,
    pub length_max: Option<u64>,
    pub items_min: Option<u64>,
    pub items_max: Option<u64>,
    pub unique_items: bool,
    pub properties_min: Option<u64>,
    pub properties_max: Option<u64>,
    pub required: Vec<Box<str>>,
    /// `allOf`, `anyOf`, `oneOf` and `not`, as they were written: they only validate.
    pub all_of: Vec<Value>,
    pub any_of: Vec<Value>,
    pub one_of: Vec<Value>,
    pub not: Option<Value>,
    /// `x-kubernetes-validations`, as it was written.
    pub rules: Vec<Value>,
}

impl Default for NodeId {
    /// The first node of every schema, which is `Any`.
    fn default() -> NodeId {
        NodeId(0)
    }
}

impl Schema {
    /// A schema whose only node is `Any`.
    #[must_use]
    pub fn new() -> Schema {
        Schema {
            nodes: vec![Node::default()],
            named: HashMap::new(),
        }
    }

    /// Adds a node.
    pub fn add(&mut self, node: Node) -> NodeId {
        let id =
            NodeId(u32::try_from(self.nodes.len()).expect("a schema has fewer nodes than 2^32"));
        self.nodes.push(node);
        id
    }

    /// Gives a node another content: how cycles are closed while a schema is built.
    pub fn set(&mut self, id: NodeId, node: Node) {
        self.nodes[id.0 as usize] = node;
    }

    pub fn name(&mut self, name: &str, id: NodeId) {
        self.named.insert(name.into(), id);
    }

    #[must_use]
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    #[must_use]
    pub fn named(&self, name: &str) -> Option<NodeId> {
        self.named.get(name).copied()
    }

    /// All types with a name of their own, in no order.
    pub fn names(&self) -> impl Iterator<Item = (&str, NodeId)> {
        self.named.iter().map(|(name, id)| (&**name, *id))
    }

    #[must_use]
    pub fn at(&self, id: NodeId) -> At<'_> {
        At { schema: self, id }
    }
}

/// A place in a schema: what every walk over an object carries along.
#[derive(Debug, Clone, Copy)]
pub struct At<'a> {
    pub schema: &'a Schema,
    pub id: NodeId,
}

impl<'a> At<'a> {
    #[must_use]
    pub fn node(self) -> &'a Node {
        self.schema.node(self.id)
    }

    #[must_use]
    pub fn shape(self) -> &'a Shape {
        &self.node().shape
    }

    /// The declaration of a field of an object.
    #[must_use]
    pub fn declared(self, name: &str) -> Option<&'a Field> {
        match self.shape() {
            Shape::Object(object) => object.fields.get(name),
            _ => None,
        }
    }

    /// The place of a field: a declared one's, or that of the values of a map or of additional fields.
    #[must_use]
    pub fn field(self, name: &str) -> Option<At<'a>> {
        let id = match self.shape() {
            Shape::Object(object) => object
                .fields
                .get(name)
                .map(|field| field.node)
                .or(object.others)?,
            Shape::Map { values, .. } => *values,
            _ => return None,
        };
        Some(At {
            schema: self.schema,
            id,
        })
    }

    /// The place of the elements of a list.
    #[must_use]
    pub fn items(self) -> Option<At<'a>> {
        match self.shape() {
            Shape::List(List { items, .. }) | Shape::WrappedList { items } => Some(At {
                schema: self.schema,
                id: *items,
            }),
            _ => None,
        }
    }
}
