//! Runs a checked expression: short circuits, absorbed errors, loops, and upstream's runtime cost of every step.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{
    ast::{Element, Expr, Fold, Kind, Literal},
    check::Checked,
    declare, functions, price,
    value::{Key, List, ListKind, Map, Object, Value, look_up},
};

/// Why there is no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The expression costs more than one call may. No operator absorbs it.
    #[error("operation cancelled: actual cost limit exceeded")]
    TooCostly,
    #[error("{0}")]
    Value(String),
}

impl Error {
    pub(super) fn new(message: impl Into<String>) -> Error {
        Error::Value(message.into())
    }

    pub(super) fn overload() -> Error {
        Error::new("no such overload")
    }
}

pub(super) type Outcome = Result<Value, Error>;

/// What list literals cost beside their elements.
const LIST_COST: u64 = 10;

/// What map literals cost beside their entries.
const MAP_COST: u64 = 30;

/// What messages cost beside their fields.
const STRUCT_COST: u64 = 40;

/// One run of an expression.
pub(super) struct Run<'a> {
    pub(super) checked: &'a Checked,
    pub(super) variables: &'a BTreeMap<String, Value>,
    pub(super) patterns: HashMap<String, regex::Regex>,
    pub(super) scopes: Vec<(&'a str, Value)>,
    pub(super) cost: u64,
    pub(super) cost_max: u64,
}

impl<'a> Run<'a> {
    fn charge(&mut self, cost: u64) -> Result<(), Error> {
        self.cost = self.cost.saturating_add(cost);
        if self.cost > self.cost_max {
            return Err(Error::TooCostly);
        }
        Ok(())
    }

    pub(super) fn eval(&mut self, expr: &'a Expr) -> Outcome {
        match &expr.kind {
            Kind::Literal(literal) => Ok(literal_value(literal)),
            Kind::Ident(name) => {
                self.charge(1)?;
                self.variable(name)
            }
            Kind::Select {
                operand,
                field,
                test,
            } => self.select(operand, field, *test),
            Kind::Call { .. } => self.call(expr),
            Kind::List(elements) => {
                let mut items = Vec::with_capacity(elements.len());
                for element in elements {
                    let value = self.eval(&element.value)?;
                    items.extend(held(value, element.optional));
                }
                if !expr.is_constant() {
                    self.charge(LIST_COST)?;
                }
                Ok(items.into())
            }
            Kind::Map(_) => self.map(expr),
            Kind::Struct { name, fields } => self.message(name, fields),
            Kind::Fold(fold) => self.fold(fold),
        }
    }

    fn message(&mut self, name: &str, fields: &'a [(String, usize, Element)]) -> Outcome {
        let mut made = BTreeMap::new();
        for (field, _, element) in fields {
            let value = self.eval(&element.value)?;
            made.extend(held(value, element.optional).map(|value| (field.as_str().into(), value)));
        }
        self.charge(STRUCT_COST)?;
        Ok(Value::Object(Arc::new(Object {
            name: name.into(),
            fields: made,
        })))
    }

    fn variable(&self, name: &str) -> Outcome {
        let local = self.scopes.iter().rev().find(|(known, _)| *known == name);
        let name = name.strip_prefix('.').unwrap_or(name);
        let value = local
            .map(|(_, value)| value)
            .or_else(|| self.variables.get(name));
        match value {
            Some(value) => read(value),
            None if declare::named_type(name).is_some() => Ok(Value::Type(name.into())),
            None => Err(Error::new(format!("no such attribute(s): {name}"))),
        }
    }

    /// What a field or an index is taken of. What is no attribute by itself becomes one, which costs 1.
    fn operand(&mut self, expr: &'a Expr) -> Outcome {
        let value = self.eval(expr);
        if !is_attribute(expr) {
            self.charge(1)?;
        }
        value
    }

    fn select(&mut self, operand: &'a Expr, field: &str, test: bool) -> Outcome {
        let of = self.operand(operand)?;
        let key = Value::from(field);
        if test {
            let inner = match &of {
                Value::Optional(None) => return Ok(Value::Bool(false)),
                Value::Optional(Some(inner)) => inner,
                other => other,
            };
            return Ok(Value::Bool(part(inner, &key)?.is_some()));
        }
        self.charge(1)?;
        index(&of, &key)
    }

    fn map(&mut self, expr: &'a Expr) -> Outcome {
        let Kind::Map(entries) = &expr.kind else {
            return Err(Error::overload());
        };
        let mut map = Map::new();
        for entry in entries {
            let key = self.eval(&entry.key)?;
            let value = self.eval(&entry.value)?;
            let Some(value) = held(value, entry.optional) else {
                continue;
            };
            let key = key
                .key()
                .ok_or_else(|| Error::new(format!("unsupported key type: {}", key.type_name())))?;
            if map.contains_key(&key) {
                return Err(Error::new("Failed with repeated key"));
            }
            map.insert(key, value);
        }
        if !expr.is_constant() {
            self.charge(MAP_COST)?;
        }
        Ok(Value::Map(Arc::new(map)))
    }

    fn call(&mut self, expr: &'a Expr) -> Outcome {
        let Kind::Call {
            function,
            target,
            args,
        } = &expr.kind
        else {
            return Err(Error::overload());
        };
        match (function.as_str(), args.as_slice()) {
            ("_&&_", [left, right]) => self.logical(false, left, right),
            ("_||_", [left, right]) => self.logical(true, left, right),
            ("_?_:_", [condition, truthy, falsy]) => match self.eval(condition)? {
                Value::Bool(flag) => self.unrooted(if flag { truthy } else { falsy }),
                _ => Err(Error::overload()),
            },
            ("_[_]" | "_[?_]" | "_?._", [operand, key]) => {
                self.index(function != "_[_]", operand, key)
            }
            ("@not_strictly_false", [arg]) => {
                let value = self.eval(arg);
                self.charge(1)?;
                match value {
                    Err(Error::TooCostly) => value,
                    Ok(Value::Bool(flag)) => Ok(Value::Bool(flag)),
                    _ => Ok(Value::Bool(true)),
                }
            }
            ("or" | "orValue", [other]) if target.is_some() => {
                let target = target.as_deref().ok_or_else(Error::overload)?;
                match self.eval(target)? {
                    Value::Optional(None) => self.eval(other),
                    Value::Optional(Some(inner)) if function == "orValue" => read(&inner),
                    some @ Value::Optional(_) => Ok(some),
                    _ => Err(Error::overload()),
                }
            }
            _ => self.apply(expr, function, target.as_deref(), args),
        }
    }

    /// An operator whose one answer is final whatever the other side says, errors included.
    fn logical(&mut self, decisive: bool, left: &'a Expr, right: &'a Expr) -> Outcome {
        let decided =
            |outcome: &Outcome| matches!(outcome, Ok(Value::Bool(flag)) if *flag == decisive);
        let first = self.eval(left);
        if decided(&first) || first == Err(Error::TooCostly) {
            return first;
        }
        let second = self.eval(right);
        if decided(&second) || second == Err(Error::TooCostly) {
            return second;
        }
        match (first?, second?) {
            (Value::Bool(_), Value::Bool(_)) => Ok(Value::Bool(!decisive)),
            _ => Err(Error::overload()),
        }
    }

    /// A branch or an index: upstream's planner takes its attribute apart, so that the root is not charged.
    fn unrooted(&mut self, expr: &'a Expr) -> Outcome {
        let value = self.eval(expr);
        if root_is_charged(expr) {
            self.cost = self.cost.saturating_sub(1);
        }
        value
    }

    fn index(&mut self, optional: bool, operand: &'a Expr, key: &'a Expr) -> Outcome {
        let of = self.operand(operand)?;
        let key = self.unrooted(key)?;
        if !optional {
            self.charge(1)?;
            return index(&of, &key);
        }
        let inner = match &of {
            Value::Optional(None) => return Ok(of),
            Value::Optional(Some(inner)) => inner,
            other => other,
        };
        let found = part(inner, &key)?;
        if found.is_some() {
            self.charge(1)?;
        }
        found.map_or(Ok(Value::Optional(None)), |value| {
            Ok(Value::some(read(&value)?))
        })
    }

    fn apply(
        &mut self,
        expr: &'a Expr,
        function: &str,
        target: Option<&'a Expr>,
        args: &'a [Expr],
    ) -> Outcome {
        let mut values = Vec::with_capacity(args.len() + 1);
        let mut failure = None;
        for (position, arg) in target.into_iter().chain(args).enumerate() {
            let taken = if position == 0 && matches!(function, "_+_" | "cel.@mapInsert") {
                self.take_accumulated(arg)?
            } else {
                None
            };
            match taken.map_or_else(|| self.eval(arg), |value| read(&value)) {
                Ok(value) => values.push(value),
                Err(Error::TooCostly) => return Err(Error::TooCostly),
                // Calls with more than two arguments stop at the first that fails.
                Err(error) if args.len() + usize::from(target.is_some()) > 2 => return Err(error),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        if let Some(error) = failure {
            self.charge(1)?;
            return Err(error);
        }
        let overload = match self.checked.overloads[expr.id].as_slice() {
            [only] => only,
            _ => "",
        };
        let free = expr.is_constant() || overload == "in_list" && is_plain_constant(&args[1]);
        let before = price::before(function, overload, &values);
        if !free && let Some(cost) = before {
            self.charge(cost)?;
        }
        let result = functions::call(self, function, values);
        if !free && before.is_none() {
            self.charge(price::after(&result))?;
        }
        result
    }

    /// The accumulator, moved out of its loop, so that it grows in place.
    fn take_accumulated(&mut self, expr: &Expr) -> Result<Option<Value>, Error> {
        match &expr.kind {
            Kind::Ident(name) if name == super::ast::ACCUMULATOR => {
                self.charge(1)?;
                let scope = self
                    .scopes
                    .iter_mut()
                    .rev()
                    .find(|(known, _)| known == name);
                Ok(scope.map(|(_, value)| std::mem::replace(value, Value::Null)))
            }
            _ => Ok(None),
        }
    }

    fn fold(&mut self, fold: &'a Fold) -> Outcome {
        let range = self.eval(&fold.range)?;
        let start = into_value(self.eval(&fold.start))?;
        let depth = self.scopes.len();
        self.scopes.push((&fold.accumulator, start));
        let turns = turns(&range, fold.variable_second.is_some());
        let outcome = turns.and_then(|turns| self.turns(fold, turns));
        self.scopes.truncate(depth + 1);
        let result = outcome.and_then(|()| self.eval(&fold.result));
        self.scopes.truncate(depth);
        result
    }

    fn turns(&mut self, fold: &'a Fold, turns: Vec<(Value, Option<Value>)>) -> Result<(), Error> {
        let accumulator = self.scopes.len() - 1;
        for (first, second) in turns {
            self.scopes.truncate(accumulator + 1);
            self.scopes.push((&fold.variable, first));
            if let (Some(name), Some(second)) = (&fold.variable_second, second) {
                self.scopes.push((name, second));
            }
            match self.eval(&fold.condition) {
                Ok(Value::Bool(true)) => {}
                Err(Error::TooCostly) => return Err(Error::TooCostly),
                _ => break,
            }
            let next = into_value(self.eval(&fold.step))?;
            self.scopes[accumulator].1 = next;
        }
        Ok(())
    }
}

/// A value that is ready to be used; data that does not hold to its schema is an error now.
pub(super) fn read(value: &Value) -> Outcome {
    match value {
        Value::Fault(message) => Err(Error::new(&**message)),
        other => Ok(other.clone()),
    }
}

/// An error as a value that a loop carries along.
fn into_value(outcome: Outcome) -> Outcome {
    match outcome {
        Err(Error::Value(message)) => Ok(Value::Fault(message.into())),
        other => other,
    }
}

/// What an element of a literal adds: what is in an optional one.
fn held(value: Value, optional: bool) -> Option<Value> {
    match value {
        Value::Optional(inner) if optional => inner.map(|inner| (*inner).clone()),
        other => Some(other),
    }
}

fn turns(range: &Value, two: bool) -> Result<Vec<(Value, Option<Value>)>, Error> {
    match range {
        Value::List(list) if two => Ok(list
            .items
            .iter()
            .enumerate()
            .map(|(index, item)| (Value::Int(index as i64), Some(item.clone())))
            .collect()),
        Value::List(list) => Ok(list.items.iter().map(|item| (item.clone(), None)).collect()),
        Value::Map(map) => Ok(map
            .iter()
            .map(|(key, value)| (key.clone().into(), two.then(|| value.clone())))
            .collect()),
        _ => Err(Error::overload()),
    }
}

/// The part of a value, if it is there.
pub(super) fn part(of: &Value, key: &Value) -> Result<Option<Value>, Error> {
    match of {
        Value::Map(map) => {
            let key = key.key().ok_or_else(Error::overload)?;
            Ok(look_up(map, &key).cloned())
        }
        Value::Object(_) | Value::Lazy(_) => match (of, key) {
            (Value::Object(object), Value::String(name)) => Ok(object.fields.get(name).cloned()),
            (Value::Lazy(fields), Value::String(name)) => Ok(fields.get(name)),
            _ => Err(Error::overload()),
        },
        Value::List(list) => {
            let Some(Key::Int(_) | Key::Uint(_)) = key.key() else {
                let message = format!("unsupported index type '{}' in list", key.type_name());
                return Err(Error::new(message));
            };
            let index = match key.key() {
                Some(Key::Int(index)) => usize::try_from(index).ok(),
                Some(Key::Uint(index)) => usize::try_from(index).ok(),
                _ => None,
            };
            Ok(index.and_then(|index| list.items.get(index)).cloned())
        }
        _ => Err(Error::overload()),
    }
}

/// The part of a value, or of what is in an optional.
fn index(of: &Value, key: &Value) -> Outcome {
    match of {
        Value::Optional(None) => Ok(Value::Optional(None)),
        Value::Optional(Some(inner)) => part(inner, key)?
            .map_or(Ok(Value::Optional(None)), |value| {
                Ok(Value::some(read(&value)?))
            }),
        _ => match part(of, key)? {
            Some(value) => read(&value),
            None if matches!(of, Value::List(_)) => Err(Error::new(format!(
                "index out of bounds: {}",
                functions::show(key)
            ))),
            None => Err(Error::new(format!("no such key: {}", functions::show(key)))),
        },
    }
}

pub(super) fn literal_value(literal: &Literal) -> Value {
    match literal {
        Literal::Null => Value::Null,
        Literal::Bool(flag) => Value::Bool(*flag),
        Literal::Int(number) => Value::Int(*number),
        Literal::Uint(number) => Value::Uint(*number),
        Literal::Double(number) => Value::Double(*number),
        Literal::String(text) => Value::from(text.as_str()),
        Literal::Bytes(bytes) => Value::Bytes(bytes.as_slice().into()),
    }
}

/// What upstream plans as an attribute, which fields and indexes are added to for free.
fn is_attribute(expr: &Expr) -> bool {
    match &expr.kind {
        Kind::Ident(_) | Kind::Select { .. } => true,
        Kind::Call { function, .. } => {
            matches!(function.as_str(), "_[_]" | "_[?_]" | "_?._" | "_?_:_")
        }
        _ => false,
    }
}

fn root_is_charged(expr: &Expr) -> bool {
    match &expr.kind {
        Kind::Ident(_) => true,
        Kind::Select {
            operand,
            test: false,
            ..
        } => !is_attribute(operand) || root_is_charged(operand),
        Kind::Call { function, args, .. } if function.starts_with("_[") || function == "_?._" => {
            args.first()
                .is_some_and(|operand| !is_attribute(operand) || root_is_charged(operand))
        }
        _ => false,
    }
}

/// A list of constants that upstream makes a set of, so that asking it costs nothing.
fn is_plain_constant(expr: &Expr) -> bool {
    match &expr.kind {
        Kind::List(elements) => elements.iter().all(|element| {
            !element.optional
                && matches!(&element.value.kind, Kind::Literal(literal) if !matches!(literal, Literal::Bytes(_)))
        }),
        _ => false,
    }
}

/// A list that grows: the elements of the second are added to the first, in place where nothing else holds it.
pub(super) fn append(mut left: Arc<List>, right: &List) -> Value {
    if left.kind == ListKind::Ordered {
        Arc::make_mut(&mut left)
            .items
            .extend(right.items.iter().cloned());
        return Value::List(left);
    }
    Value::List(Arc::new(left.joined(right)))
}
