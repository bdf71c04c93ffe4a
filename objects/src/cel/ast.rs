//! The tree of an expression: what the parser makes, and the checker, the estimator and the evaluator read.

/// A node's number: side tables are indexed by it.
pub(super) type Id = usize;

/// One node, and where in the source it began, in characters.
#[derive(Debug, Clone)]
pub(super) struct Expr {
    pub(super) id: Id,
    pub(super) at: usize,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    Literal(Literal),
    Ident(String),
    Select {
        operand: Box<Expr>,
        field: String,
        /// `has(a.b)` asks whether the field is there.
        test: bool,
    },
    Call {
        function: String,
        target: Option<Box<Expr>>,
        args: Vec<Expr>,
    },
    List(Vec<Element>),
    Map(Vec<Entry>),
    Struct {
        name: String,
        /// Each with the place of its colon.
        fields: Vec<(String, usize, Element)>,
    },
    Fold(Box<Fold>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(String),
    Bytes(Vec<u8>),
}

/// An element of a list, or the value of a field; `[?x]` is optional.
#[derive(Debug, Clone)]
pub(super) struct Element {
    pub(super) value: Expr,
    pub(super) optional: bool,
}

/// An entry of a map; `{?k: v}` is optional.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: Expr,
    pub(super) value: Expr,
    pub(super) optional: bool,
}

/// What macros over ranges become: a loop with an accumulator.
#[derive(Debug, Clone)]
pub(super) struct Fold {
    pub(super) range: Expr,
    pub(super) variable: String,
    /// Of macros with two variables, the value beside the key or index.
    pub(super) variable_second: Option<String>,
    pub(super) accumulator: String,
    pub(super) start: Expr,
    pub(super) condition: Expr,
    pub(super) step: Expr,
    pub(super) result: Expr,
}

/// The accumulator of every macro but `optMap`, a name that no source can say.
pub(super) const ACCUMULATOR: &str = "@result";

impl Expr {
    /// `a.b.c` as one name, where the node is nothing but identifiers.
    pub(super) fn qualified_name(&self) -> Option<String> {
        match &self.kind {
            Kind::Ident(name) => Some(name.clone()),
            Kind::Select {
                operand,
                field,
                test: false,
            } => Some(format!("{}.{field}", operand.qualified_name()?)),
            _ => None,
        }
    }

    /// Whether it is the loop that binds one variable, as `optMap` makes it.
    pub(super) fn binds(&self) -> Option<&Fold> {
        match &self.kind {
            Kind::Fold(fold) if fold.accumulator != ACCUMULATOR => Some(fold),
            _ => None,
        }
    }
}

impl Expr {
    /// Its parts, in the order in which they are written.
    pub(super) fn parts_mut(&mut self) -> Vec<&mut Expr> {
        match &mut self.kind {
            Kind::Literal(_) | Kind::Ident(_) => Vec::new(),
            Kind::Select { operand, .. } => vec![operand],
            Kind::Call { target, args, .. } => {
                target.as_deref_mut().into_iter().chain(args).collect()
            }
            Kind::List(elements) => elements
                .iter_mut()
                .map(|element| &mut element.value)
                .collect(),
            Kind::Map(entries) => entries
                .iter_mut()
                .flat_map(|entry| [&mut entry.key, &mut entry.value])
                .collect(),
            Kind::Struct { fields, .. } => fields
                .iter_mut()
                .map(|(.., element)| &mut element.value)
                .collect(),
            Kind::Fold(fold) => vec![
                &mut fold.range,
                &mut fold.start,
                &mut fold.condition,
                &mut fold.step,
                &mut fold.result,
            ],
        }
    }

    /// Its parts, to be read.
    pub(super) fn parts(&self) -> Vec<&Expr> {
        match &self.kind {
            Kind::Literal(_) | Kind::Ident(_) => Vec::new(),
            Kind::Select { operand, .. } => vec![operand],
            Kind::Call { target, args, .. } => target.as_deref().into_iter().chain(args).collect(),
            Kind::List(elements) => elements.iter().map(|element| &element.value).collect(),
            Kind::Map(entries) => entries
                .iter()
                .flat_map(|entry| [&entry.key, &entry.value])
                .collect(),
            Kind::Struct { fields, .. } => {
                fields.iter().map(|(.., element)| &element.value).collect()
            }
            Kind::Fold(fold) => vec![
                &fold.range,
                &fold.start,
                &fold.condition,
                &fold.step,
                &fold.result,
            ],
        }
    }

    /// Gives every node of the tree a number of its own.
    pub(super) fn renumber(&mut self, next: &mut Id) {
        self.id = *next;
        *next += 1;
        for part in self.parts_mut() {
            part.renumber(next);
        }
    }

    /// Whether the parser or the planner of upstream sees a constant here: literals, and lists and maps of nothing else.
    pub(super) fn is_constant(&self) -> bool {
        match &self.kind {
            Kind::Literal(_) => true,
            Kind::List(elements) => elements
                .iter()
                .all(|element| !element.optional && element.value.is_constant()),
            Kind::Map(entries) => entries.iter().all(|entry| {
                !entry.optional && entry.key.is_constant() && entry.value.is_constant()
            }),
            Kind::Call {
                function,
                target: None,
                args,
            } => {
                CONVERSIONS.contains(&function.as_str()) && args.len() == 1 && args[0].is_constant()
            }
            _ => false,
        }
    }
}

/// Functions that are taken before the evaluation if their argument is a constant.
const CONVERSIONS: [&str; 10] = [
    "bool",
    "bytes",
    "double",
    "duration",
    "dyn",
    "int",
    "string",
    "timestamp",
    "type",
    "uint",
];
