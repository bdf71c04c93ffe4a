//! What an expression may cost at most, from how large its schema lets values be; upstream's estimate, step by step.

mod calls;

use super::{
    ast::{Expr, Fold, Kind, Literal},
    check::Checked,
    declared::Declared,
    types::Type,
};

/// The least and the most of a size or a cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) min: u64,
    pub(super) max: u64,
}

/// What list literals, map literals and struct literals cost beside their parts.
const LIST: Range = Range::of(10);
const MAP: Range = Range::of(30);
const STRUCT: Range = Range::of(40);
const ONE: Range = Range::of(1);
const NONE: Range = Range::of(0);

impl Range {
    const UNKNOWN: Range = Range {
        min: 0,
        max: u64::MAX,
    };

    const fn of(exact: u64) -> Range {
        Range {
            min: exact,
            max: exact,
        }
    }

    fn plus(self, other: Range) -> Range {
        Range {
            min: self.min.saturating_add(other.min),
            max: self.max.saturating_add(other.max),
        }
    }

    fn times(self, other: Range) -> Range {
        Range {
            min: self.min.saturating_mul(other.min),
            max: self.max.saturating_mul(other.max),
        }
    }

    fn factor(self, factor: f64) -> Range {
        Range {
            min: scaled(self.min, factor),
            max: scaled(self.max, factor),
        }
    }

    fn union(self, other: Range) -> Range {
        Range {
            min: self.min.min(other.min),
            max: self.max.max(other.max),
        }
    }
}

fn scaled(count: u64, factor: f64) -> u64 {
    // Casts of what is too large stop at the largest number.
    (count as f64 * factor).ceil() as u64
}

/// How large the keys and values of a list or map may be, and which of the two it is.
#[derive(Debug, Clone, Copy)]
struct Entries {
    list: bool,
    key: Range,
    value: Range,
}

impl Entries {
    fn union(self, other: Entries) -> Entries {
        Entries {
            list: self.list,
            key: self.key.union(other.key),
            value: self.value.union(other.value),
        }
    }
}

/// Where in the schema a value comes from: names of fields, `@items`, `@values`.
type Place = Vec<String>;

#[derive(Debug)]
struct Local<'a> {
    name: &'a str,
    place: Place,
    size: Option<Range>,
    entries: Option<Entries>,
}

struct Estimator<'a> {
    checked: &'a Checked,
    root: &'a Declared,
    locals: Vec<Local<'a>>,
    places: Vec<Place>,
    sizes: Vec<Option<Range>>,
    entries: Vec<Option<Entries>>,
}

/// An argument of a call, as its cost depends on it.
struct Arg<'a> {
    expr: &'a Expr,
    place: Place,
    size: Option<Range>,
    cost: Range,
}

/// Estimates an expression whose variables are of one place of a schema.
pub(super) fn estimate(expr: &Expr, checked: &Checked, root: &Declared) -> Range {
    let nodes = checked.types.len();
    let mut estimator = Estimator {
        checked,
        root,
        locals: Vec::new(),
        places: vec![Vec::new(); nodes],
        sizes: vec![None; nodes],
        entries: vec![None; nodes],
    };
    estimator.cost(expr)
}

impl<'a> Estimator<'a> {
    fn cost(&mut self, expr: &'a Expr) -> Range {
        match &expr.kind {
            Kind::Literal(_) => NONE,
            Kind::Ident(name) => {
                let local = self.locals.iter().rev().find(|local| local.name == name);
                self.places[expr.id] =
                    local.map_or_else(|| vec![name.clone()], |local| local.place.clone());
                ONE
            }
            Kind::Select { operand, test, .. } if *test => self.cost(operand),
            Kind::Select { operand, field, .. } => {
                let mut sum = self.cost(operand);
                if matches!(
                    self.checked.types[operand.id],
                    Type::Map(..) | Type::Struct(_)
                ) {
                    sum = sum.plus(ONE);
                }
                let mut place = self.place(operand);
                place.push(field.clone());
                self.places[expr.id] = place;
                sum
            }
            Kind::Call { .. } => self.call(expr),
            Kind::List(_) | Kind::Map(_) => self.literal(expr),
            Kind::Struct { fields, .. } => fields.iter().fold(STRUCT, |sum, (.., element)| {
                sum.plus(self.cost(&element.value))
            }),
            Kind::Fold(fold) => match expr.binds() {
                Some(bind) => self.bind(expr, bind),
                None => self.fold(expr, fold),
            },
        }
    }

    fn literal(&mut self, expr: &'a Expr) -> Range {
        let list = matches!(expr.kind, Kind::List(_));
        let mut sum = if list { LIST } else { MAP };
        let (mut key, mut value): (Option<Range>, Option<Range>) = (None, None);
        let join = |before: Option<Range>, next: Range| {
            Some(before.map_or(next, |before| before.union(next)))
        };
        match &expr.kind {
            Kind::List(elements) => {
                key = Some(ONE);
                for element in elements {
                    sum = sum.plus(self.cost(&element.value));
                    value = join(value, self.size_or_unknown(&element.value));
                }
            }
            Kind::Map(entries) => {
                for entry in entries {
                    sum = sum.plus(self.cost(&entry.key));
                    sum = sum.plus(self.cost(&entry.value));
                    key = join(key, self.size_or_unknown(&entry.key));
                    value = join(value, self.size_or_unknown(&entry.value));
                }
            }
            _ => {}
        }
        self.entries[expr.id] = Some(Entries {
            list,
            key: key.unwrap_or(NONE),
            value: value.unwrap_or(NONE),
        });
        sum
    }

    fn bind(&mut self, expr: &Expr, fold: &'a Fold) -> Range {
        let sum = self.cost(&fold.range).plus(self.cost(&fold.start));
        self.push_start(fold);
        let sum = sum.plus(self.cost(&fold.result));
        self.locals.pop();
        self.copy_sizes(expr, &fold.result);
        sum
    }

    fn push_start(&mut self, fold: &'a Fold) {
        let local = Local {
            name: &fold.accumulator,
            place: self.place(&fold.start),
            size: self.size(&fold.start),
            entries: self.entries_of(&fold.start),
        };
        self.locals.push(local);
    }

    fn copy_sizes(&mut self, to: &Expr, from: &Expr) {
        if let Some(size) = self.size(from) {
            self.sizes[to.id] = Some(size);
        }
        if let Some(entries) = self.entries_of(from) {
            self.entries[to.id] = Some(entries);
        }
    }

    fn fold(&mut self, expr: &Expr, fold: &'a Fold) -> Range {
        let mut sum = self.cost(&fold.range).plus(self.cost(&fold.start));
        self.push_start(fold);
        let depth = self.locals.len();
        self.push_variables(fold);
        let condition = self.cost(&fold.condition);
        let turn = condition.plus(self.cost(&fold.step));
        self.locals.truncate(depth);
        sum = sum.plus(self.cost(&fold.result));
        self.locals.pop();
        let turns = self.size_or_unknown(&fold.range);
        sum = sum.plus(turns.times(turn));
        match &fold.start.kind {
            Kind::Literal(_) => self.sizes[expr.id] = self.size(&fold.start),
            Kind::List(_) | Kind::Map(_) => {
                self.sizes[expr.id] = Some(turns);
                if let Some(entries) = self.entries_of(&fold.step) {
                    self.entries[expr.id] = Some(entries);
                }
            }
            _ => {}
        }
        sum
    }

    fn push_variables(&mut self, fold: &'a Fold) {
        let entries = self.entries_of(&fold.range);
        let list = entries.map_or_else(
            || matches!(self.checked.types[fold.range.id], Type::List(_)),
            |entries| entries.list,
        );
        let place = self.place(&fold.range);
        let local = |name: &'a str, part: &str, size: Option<Range>| {
            let mut place = place.clone();
            place.push(part.to_owned());
            Local {
                name,
                place,
                size,
                entries: None,
            }
        };
        let key = entries.map(|entries| entries.key);
        let value = entries.map(|entries| entries.value);
        let values = if list { "@items" } else { "@values" };
        match &fold.variable_second {
            Some(second) => {
                let keys = if list { "@indices" } else { "@keys" };
                self.locals.push(local(&fold.variable, keys, key));
                self.locals.push(local(second, values, value));
            }
            None if list => self.locals.push(local(&fold.variable, values, value)),
            None => self.locals.push(local(&fold.variable, "@keys", key)),
        }
    }

    fn place(&self, expr: &Expr) -> Place {
        if let Kind::Ident(name) = &expr.kind
            && let Some(local) = self.locals.iter().rev().find(|local| local.name == name)
        {
            return local.place.clone();
        }
        self.places[expr.id].clone()
    }

    fn size_or_unknown(&mut self, expr: &Expr) -> Range {
        self.size(expr).unwrap_or(Range::UNKNOWN)
    }

    fn size(&mut self, expr: &Expr) -> Option<Range> {
        if let Some(size) = self.sizes[expr.id] {
            return Some(size);
        }
        if let Some(size) = literal_size(expr) {
            return Some(Range::of(size));
        }
        if let Some(size) = self.size_at(&self.place(expr)) {
            self.sizes[expr.id] = Some(size);
            return Some(size);
        }
        if self.checked.types[expr.id].is_scalar() {
            return Some(ONE);
        }
        match &expr.kind {
            Kind::Ident(name) => {
                let local = self.locals.iter().rev().find(|local| local.name == name);
                local.and_then(|local| local.size)
            }
            _ => None,
        }
    }

    /// What the schema says of a place. The name that it begins with is a variable, and all are of the root.
    fn size_at(&self, place: &[String]) -> Option<Range> {
        let (_, steps) = place.split_first()?;
        let text = Declared::key();
        let mut at = self.root;
        for step in steps {
            at = match step.as_str() {
                "@items" | "@values" => at.items.as_deref()?,
                "@keys" if matches!(at.of, Type::Map(..)) => &text,
                "@keys" => return None,
                name => at.fields.get(name)?,
            };
        }
        Some(Range {
            min: 0,
            max: at.elements_max,
        })
    }

    fn entries_of(&self, expr: &Expr) -> Option<Entries> {
        if let Some(entries) = self.entries[expr.id] {
            return Some(entries);
        }
        match &expr.kind {
            Kind::Ident(name) => {
                let local = self.locals.iter().rev().find(|local| local.name == name);
                local.and_then(|local| local.entries)
            }
            _ => None,
        }
    }
}

fn literal_size(expr: &Expr) -> Option<u64> {
    match &expr.kind {
        Kind::Literal(Literal::String(text)) => Some(text.chars().count() as u64),
        Kind::Literal(Literal::Bytes(bytes)) => Some(bytes.len() as u64),
        Kind::Literal(_) => Some(1),
        Kind::List(elements) => Some(elements.len() as u64),
        Kind::Map(entries) => Some(entries.len() as u64),
        _ => None,
    }
}
