//! The values that expressions work on: when two are equal, which comes first, and how large one is.

use std::{cmp::Ordering, collections::BTreeMap, net::IpAddr, sync::Arc};

use super::{
    Fields, authorizer::Check, format::Format, network::Cidr, quantity::Quantity, semver::Semver,
    time::Time, url::Url,
};

/// A value. Copies are cheap.
#[derive(Debug, Clone)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(Arc<str>),
    Bytes(Arc<[u8]>),
    Timestamp(Time),
    /// In nanoseconds.
    Duration(i64),
    List(Arc<List>),
    Map(Arc<Map>),
    /// The name of a type.
    Type(Arc<str>),
    Optional(Option<Arc<Value>>),
    Quantity(Quantity),
    Ip(IpAddr),
    Cidr(Cidr),
    Url(Arc<Url>),
    Semver(Arc<Semver>),
    Format(&'static Format),
    Authorizer(Arc<Check>),
    /// What patches are made of.
    Object(Arc<Object>),
    /// Values that are made when they are read.
    Lazy(Arc<dyn Fields>),
    /// Data that does not hold to its schema, told when it is read.
    Fault(Arc<str>),
}

/// Entries by their keys.
pub type Map = BTreeMap<Key, Value>;

/// A message: the name of its type, and its fields.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    pub name: Arc<str>,
    pub fields: BTreeMap<Arc<str>, Value>,
}

/// A list, and how its author said that it is to be compared and joined.
#[derive(Debug, Clone, Default)]
pub struct List {
    pub items: Vec<Value>,
    pub kind: ListKind,
}

/// What `x-kubernetes-list-type` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ListKind {
    #[default]
    Ordered,
    Set,
    /// By these fields of the elements.
    Map(Arc<[String]>),
}

/// What a map may be asked by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    Bool(bool),
    Int(i64),
    Uint(u64),
    String(Arc<str>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::String(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::String(text.into())
    }
}

impl From<Vec<Value>> for Value {
    fn from(items: Vec<Value>) -> Value {
        Value::List(Arc::new(List {
            items,
            kind: ListKind::Ordered,
        }))
    }
}

impl From<Key> for Value {
    fn from(key: Key) -> Value {
        match key {
            Key::Bool(flag) => Value::Bool(flag),
            Key::Int(number) => Value::Int(number),
            Key::Uint(number) => Value::Uint(number),
            Key::String(text) => Value::String(text),
        }
    }
}

impl Value {
    pub(super) fn some(value: Value) -> Value {
        Value::Optional(Some(Arc::new(value)))
    }

    /// The name of its type, as `type()` and errors say it.
    pub(super) fn type_name(&self) -> &str {
        match self {
            Value::Null => "null_type",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Uint(_) => "uint",
            Value::Double(_) => "double",
            Value::String(_) => "string",
            Value::Bytes(_) => "bytes",
            Value::Timestamp(_) => "google.protobuf.Timestamp",
            Value::Duration(_) => "google.protobuf.Duration",
            Value::List(_) => "list",
            Value::Map(_) => "map",
            Value::Type(_) => "type",
            Value::Optional(_) => "optional_type",
            Value::Quantity(_) => "kubernetes.Quantity",
            Value::Ip(_) => "net.IP",
            Value::Cidr(_) => "net.CIDR",
            Value::Url(_) => "kubernetes.URL",
            Value::Semver(_) => "kubernetes.Semver",
            Value::Format(_) => "kubernetes.NamedFormat",
            Value::Authorizer(check) => check.type_name(),
            Value::Object(object) => &object.name,
            Value::Lazy(_) => "kubernetes.variables",
            Value::Fault(_) => "error",
        }
    }

    /// How large it is in the eyes of cost: characters, bytes, elements; 1 for all else.
    pub(super) fn size(&self) -> u64 {
        let count = match self {
            Value::String(text) => text.chars().count(),
            Value::Bytes(bytes) => bytes.len(),
            Value::List(list) => list.items.len(),
            Value::Map(map) => map.len(),
            Value::Optional(Some(inner)) => return inner.size(),
            Value::Ip(ip) => octets(*ip),
            Value::Cidr(cidr) => octets(cidr.ip),
            _ => 1,
        };
        count as u64
    }

    /// What one walk over all of it costs.
    pub(super) fn walk_cost(&self) -> u64 {
        match self {
            Value::String(text) => text.len() as u64 / 10,
            Value::Bytes(bytes) => bytes.len() as u64 / 10,
            Value::List(list) => list.items.iter().map(Value::walk_cost).sum(),
            Value::Map(map) => map
                .iter()
                .map(|(key, value)| Value::from(key.clone()).walk_cost() + value.walk_cost())
                .sum(),
            _ => 1,
        }
    }

    /// Whether it is what its type has when nothing was said.
    pub(super) fn is_zero(&self) -> bool {
        match self {
            Value::Null => true,
            Value::Bool(flag) => !flag,
            Value::Int(number) => *number == 0,
            Value::Uint(number) => *number == 0,
            Value::Double(number) => *number == 0.0,
            Value::String(text) => text.is_empty(),
            Value::Bytes(bytes) => bytes.is_empty(),
            Value::List(list) => list.items.is_empty(),
            Value::Map(map) => map.is_empty(),
            Value::Duration(nanoseconds) => *nanoseconds == 0,
            Value::Object(object) => object.fields.is_empty(),
            Value::Optional(inner) => inner.is_none(),
            _ => false,
        }
    }

    /// The key that finds it in a map.
    pub(super) fn key(&self) -> Option<Key> {
        Some(match self {
            Value::Bool(flag) => Key::Bool(*flag),
            Value::Int(number) => Key::Int(*number),
            Value::Uint(number) => Key::Uint(*number),
            Value::String(text) => Key::String(text.clone()),
            Value::Double(number) if number.fract() == 0.0 => match exact_int(*number) {
                Some(whole) => Key::Int(whole),
                None => Key::Uint(exact_uint(*number)?),
            },
            _ => return None,
        })
    }
}

fn octets(ip: IpAddr) -> usize {
    if ip.is_ipv4() { 4 } else { 16 }
}

/// The first whole number that is too large for 64 bits with a sign, and without one.
pub(super) const INT_END: f64 = 9_223_372_036_854_775_808.0;
const UINT_END: f64 = 18_446_744_073_709_551_616.0;

pub(super) fn exact_int(number: f64) -> Option<i64> {
    let whole = number as i64;
    (whole as f64 == number && number < INT_END).then_some(whole)
}

pub(super) fn exact_uint(number: f64) -> Option<u64> {
    let whole = number as u64;
    (whole as f64 == number && number < UINT_END).then_some(whole)
}

/// The value of a key; whole numbers are the same key in any type.
pub(super) fn look_up<'a>(map: &'a Map, key: &Key) -> Option<&'a Value> {
    map.get(key).or_else(|| match key {
        Key::Int(number) => map.get(&Key::Uint(u64::try_from(*number).ok()?)),
        Key::Uint(number) => map.get(&Key::Int(i64::try_from(*number).ok()?)),
        _ => None,
    })
}

impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(left), Value::Bool(right)) => left == right,
            (Value::String(left), Value::String(right))
            | (Value::Type(left), Value::Type(right)) => left == right,
            (Value::Bytes(left), Value::Bytes(right)) => left == right,
            (Value::Timestamp(left), Value::Timestamp(right)) => left == right,
            (Value::Duration(left), Value::Duration(right)) => left == right,
            (Value::List(left), Value::List(right)) => left.same(right),
            (Value::Map(left), Value::Map(right)) => {
                left.len() == right.len()
                    && left
                        .iter()
                        .all(|(key, value)| look_up(right, key).is_some_and(|other| value == other))
            }
            (Value::Optional(left), Value::Optional(right)) => left == right,
            (Value::Quantity(left), Value::Quantity(right)) => left == right,
            (Value::Ip(left), Value::Ip(right)) => left == right,
            (Value::Cidr(left), Value::Cidr(right)) => left == right,
            (Value::Url(left), Value::Url(right)) => left == right,
            (Value::Semver(left), Value::Semver(right)) => left == right,
            (Value::Format(left), Value::Format(right)) => left.name == right.name,
            (Value::Object(left), Value::Object(right)) => left == right,
            _ => self.number_order(other) == Some(Ordering::Equal),
        }
    }
}

impl Value {
    /// How two numbers stand, whatever their types.
    fn number_order(&self, other: &Value) -> Option<Ordering> {
        match (self, other) {
            (Value::Int(left), Value::Int(right)) => Some(left.cmp(right)),
            (Value::Uint(left), Value::Uint(right)) => Some(left.cmp(right)),
            (Value::Double(left), Value::Double(right)) => left.partial_cmp(right),
            (Value::Int(left), Value::Uint(right)) => {
                Some(i128::from(*left).cmp(&i128::from(*right)))
            }
            (Value::Int(left), Value::Double(right)) => whole_to_double(i128::from(*left), *right),
            (Value::Uint(left), Value::Double(right)) => whole_to_double(i128::from(*left), *right),
            (Value::Uint(_) | Value::Double(_), Value::Int(_) | Value::Uint(_)) => {
                other.number_order(self).map(Ordering::reverse)
            }
            _ => None,
        }
    }

    /// How two values stand of which one is before, at or after the other; nothing for NaN and where the types do not compare.
    pub(super) fn order(&self, other: &Value) -> Option<Ordering> {
        match (self, other) {
            (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
            (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
            (Value::Bytes(left), Value::Bytes(right)) => Some(left.cmp(right)),
            (Value::Timestamp(left), Value::Timestamp(right)) => Some(left.cmp(right)),
            (Value::Duration(left), Value::Duration(right)) => Some(left.cmp(right)),
            (Value::Quantity(left), Value::Quantity(right)) => Some(left.cmp(right)),
            (Value::Semver(left), Value::Semver(right)) => Some(left.cmp(right)),
            _ => self.number_order(other),
        }
    }
}

fn whole_to_double(whole: i128, double: f64) -> Option<Ordering> {
    if double.is_nan() {
        return None;
    }
    // Doubles beyond 128 bits saturate, and stay beyond every whole number.
    let cut = double.trunc() as i128;
    Some(whole.cmp(&cut).then_with(|| {
        0.0_f64
            .partial_cmp(&double.fract())
            .unwrap_or(Ordering::Equal)
    }))
}

impl List {
    fn same(&self, other: &List) -> bool {
        let (left, right) = (&self.items, &other.items);
        if left.len() != right.len() {
            return false;
        }
        match &self.kind {
            ListKind::Ordered => left == right,
            ListKind::Set => left.iter().all(|item| right.contains(item)),
            ListKind::Map(keys) => right.iter().all(|item| {
                left.iter()
                    .find(|own| same_key(keys, own, item))
                    .is_some_and(|own| own == item)
            }),
        }
    }

    /// The elements of both: those of a set once, those of a map with the later value of a key.
    pub(super) fn joined(&self, other: &List) -> List {
        let mut items = self.items.clone();
        match &self.kind {
            ListKind::Ordered => items.extend(other.items.iter().cloned()),
            ListKind::Set => {
                for item in &other.items {
                    if !items.contains(item) {
                        items.push(item.clone());
                    }
                }
            }
            ListKind::Map(keys) => {
                for item in &other.items {
                    match items.iter_mut().find(|own| same_key(keys, own, item)) {
                        Some(own) => *own = item.clone(),
                        None => items.push(item.clone()),
                    }
                }
            }
        }
        List {
            items,
            kind: self.kind.clone(),
        }
    }
}

fn same_key(keys: &[String], left: &Value, right: &Value) -> bool {
    let (Value::Map(left), Value::Map(right)) = (left, right) else {
        return false;
    };
    keys.iter().all(|key| {
        let key = Key::String(key.as_str().into());
        left.get(&key) == right.get(&key)
    })
}
