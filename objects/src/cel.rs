//! Kubernetes' dialect of the Common Expression Language: programs that are checked when they are made and bounded when they run.

pub mod admission;
mod ast;
pub mod authorizer;
mod check;
mod cost;

mod declare;
pub mod declared;
mod eval;
mod format;
mod functions;
mod lex;
mod macros;
mod network;
mod parse;
mod pattern;
mod price;
mod quantity;
pub mod rules;

mod semver;
mod time;
mod types;
mod unify;
mod url;
pub mod value;

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
};

pub use eval::Error as EvalError;
pub use types::{Struct, Type};
pub use value::Value;

/// What one evaluation may cost, in upstream's units.
pub const CALL_COST_MAX: u64 = 1_000_000;

/// What all rules of one object may cost together.
pub const OBJECT_COST_MAX: u64 = 10_000_000;

/// How many faults of one source are told.
const FAULTS_MAX: usize = 100;

/// The longest line that a message shows.
const SNIPPET_LENGTH_MAX: usize = 16_384;

/// The variables that an expression may read, and their types.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    pub variables: BTreeMap<String, Type>,
    /// Whether the types that patches are made of can be made.
    pub patches: bool,
}

/// The values of variables for one evaluation.
pub type Bindings = BTreeMap<String, Value>;

/// Values that are made when they are asked for, by their names.
pub trait Fields: std::fmt::Debug + Send + Sync {
    /// The value of a name; a failure is a value that tells it when it is read.
    fn get(&self, name: &str) -> Option<Value>;
}

/// What is left to spend. One call may not spend more than its own limit, whatever is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    pub left: u64,
    /// Ran out: no further rule may run.
    pub exhausted: bool,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget {
            left: OBJECT_COST_MAX,
            exhausted: false,
        }
    }
}

/// Why a source is no program, in upstream's words with the line and a caret below the place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CompileError(String);

/// A checked expression.
#[derive(Debug)]
pub struct Program {
    expr: ast::Expr,
    checked: check::Checked,
    patterns: HashMap<String, regex::Regex>,
}

impl Program {
    /// Reads and checks an expression.
    pub fn compile(source: &str, environment: &Environment) -> Result<Program, CompileError> {
        let told = |faults: Vec<lex::Fault>| CompileError(display(source, faults));
        let (mut expr, nodes) = parse::parse(source).map_err(told)?;
        let checked = check::check(&mut expr, nodes, environment).map_err(told)?;
        let mut program = Program {
            expr,
            checked,
            patterns: HashMap::new(),
        };
        let mut faults = Vec::new();
        program.check_constants(&mut faults);
        if faults.is_empty() {
            Ok(program)
        } else {
            Err(told(faults))
        }
    }

    /// The type of its values.
    #[must_use]
    pub fn output(&self) -> &Type {
        &self.checked.types[self.expr.id]
    }

    /// How deep its parts nest.
    #[must_use]
    pub fn height(&self) -> usize {
        let mut height = 0;
        let mut level = vec![&self.expr];
        while !level.is_empty() {
            height += 1;
            level = level.into_iter().flat_map(ast::Expr::parts).collect();
        }
        height
    }

    /// Whether it reads a variable.
    #[must_use]
    pub fn reads(&self, variable: &str) -> bool {
        self.checked.used.contains(variable)
    }

    /// What it may cost at most, when its variables are of this place of a schema.
    #[must_use]
    pub fn cost_max(&self, root: &declared::Declared) -> u64 {
        cost::estimate(&self.expr, &self.checked, root).max
    }

    /// Runs it. What it costs is taken from the budget, also if it fails.
    pub fn evaluate(&self, bindings: &Bindings, budget: &mut Budget) -> Result<Value, EvalError> {
        let mut run = self.run(bindings);
        let outcome = run.eval(&self.expr);
        budget.exhausted |= run.cost > budget.left;
        budget.left = budget.left.saturating_sub(run.cost);
        outcome
    }

    /// The failure of a conversion of a constant, which upstream takes before anything runs.
    #[must_use]
    pub fn constant_failure(&self) -> Option<EvalError> {
        let mut waiting = vec![&self.expr];
        while let Some(expr) = waiting.pop() {
            if let Some(("find" | "findAll", source, _)) = constant_argument(expr)
                && let Err(error) = pattern::compile(source)
            {
                return Some(error);
            }
            if matches!(expr.kind, ast::Kind::Call { .. }) && expr.is_constant() {
                let nothing = Bindings::new();
                let failure = self.run(&nothing).eval(expr).err();
                if failure.is_some() {
                    return failure;
                }
            }
            waiting.extend(expr.parts());
        }
        None
    }

    fn run<'a>(&'a self, bindings: &'a Bindings) -> eval::Run<'a> {
        eval::Run {
            checked: &self.checked,
            variables: bindings,
            patterns: self.patterns.clone(),
            scopes: Vec::new(),
            cost: 0,
            cost_max: CALL_COST_MAX,
        }
    }

    /// Literals that a function will not take are told before anything runs.
    fn check_constants(&mut self, faults: &mut Vec<lex::Fault>) {
        let mut waiting = vec![&self.expr];
        while let Some(expr) = waiting.pop() {
            waiting.extend(expr.parts());
            let Some((function, text, at)) = constant_argument(expr) else {
                continue;
            };
            let valid = match function {
                "duration" => time::parse_duration(text).is_some(),
                "timestamp" => time::parse(text).is_some(),
                _ => match pattern::compile(text) {
                    Ok(compiled) => {
                        self.patterns.insert(text.to_owned(), compiled);
                        true
                    }
                    Err(_) => function != "matches",
                },
            };
            if !valid {
                let message = format!("invalid {function} argument");
                faults.push(lex::Fault { at, message });
            }
        }
    }
}

/// A call that is given its decisive text as a literal: the function, the text and its place.
fn constant_argument(expr: &ast::Expr) -> Option<(&str, &str, usize)> {
    let ast::Kind::Call { function, args, .. } = &expr.kind else {
        return None;
    };
    let arg = match function.as_str() {
        "duration" | "timestamp" => args.first()?,
        "matches" | "find" | "findAll" => args.get(args.len().checked_sub(1)?.min(1))?,
        _ => return None,
    };
    match &arg.kind {
        ast::Kind::Literal(ast::Literal::String(text)) => Some((function, text, arg.at)),
        _ => None,
    }
}

/// Faults as upstream shows them, in the order of their places.
fn display(source: &str, mut faults: Vec<lex::Fault>) -> String {
    let chars: Vec<char> = source.chars().collect();
    faults.sort_by_key(|fault| fault.at);
    let mut texts: Vec<String> = faults
        .iter()
        .take(FAULTS_MAX)
        .map(|fault| display_one(&chars, fault))
        .collect();
    if faults.len() > FAULTS_MAX {
        texts.push(format!(
            "{} more errors were truncated",
            faults.len() - FAULTS_MAX
        ));
    }
    texts.join("\n")
}

fn display_one(source: &[char], fault: &lex::Fault) -> String {
    let at = fault.at.min(source.len());
    let start = source[..at]
        .iter()
        .rposition(|next| *next == '\n')
        .map_or(0, |found| found + 1);
    let line = source[..start].iter().filter(|next| **next == '\n').count() + 1;
    let column = at - start;
    let end = source[start..]
        .iter()
        .position(|next| *next == '\n')
        .map_or(source.len(), |found| start + found);
    let mut text = format!("ERROR: <input>:{line}:{}: {}", column + 1, fault.message);
    let snippet: String = source[start..end]
        .iter()
        .map(|next| if *next == '\t' { ' ' } else { *next })
        .collect();
    if snippet.len() <= SNIPPET_LENGTH_MAX {
        // Characters of more than one byte are as wide as two.
        let mark = |next: Option<&char>, narrow: char, wide: char| match next {
            Some(next) if !next.is_ascii() => wide,
            _ => narrow,
        };
        let mut marks: String = source[start..at]
            .iter()
            .map(|next| mark(Some(next), '.', '．'))
            .collect();
        marks.push(mark(source.get(at).filter(|_| at < end), '^', '＾'));
        let _ = write!(text, "\n | {snippet}\n | {marks}");
    }
    text
}
