//! Holds objects to the rules of their schema, with what changed since the object was last written.

use std::collections::BTreeMap;

use super::{
    DEPTH_MAX, MESSAGE_LENGTH_MAX, Rule,
    compile::{self, Compiled},
    field_path, is_container, read, rules_of, type_name,
};
use crate::{
    Value,
    cel::{
        self, Bindings, Budget, EvalError,
        declared::{Declared, is_embedded, to_value},
    },
    invalid::{Fault, Faults, Invalid},
    path::Path,
    schema::{At, ListKind, Shape},
};

/// The rules of a schema, ready to run; only places that have rules, or have them below, are in it.
#[derive(Default)]
pub struct Validator {
    rules: Vec<Ready>,
    /// Rules within `allOf`, each list judged apart from the others.
    all_of: Vec<Vec<Ready>>,
    fields: BTreeMap<String, Validator>,
    /// Of lists their elements, of maps their values.
    items: Option<Box<Validator>>,
    root: bool,
}

struct Ready {
    rule: Rule,
    compiled: Compiled,
    /// The path below the place that faults are told at.
    path: Option<String>,
}

/// A value beside the one that stood in its place before, as far as they can be told to belong together.
#[derive(Clone, Copy)]
struct Pair<'a> {
    at: At<'a>,
    new: &'a Value,
    old: &'a Value,
}

/// What decides whether a fault was there before: the pair here, or that of the nearest place above that has one.
#[derive(Clone, Copy, Default)]
struct Correlation<'a> {
    here: Option<Pair<'a>>,
    above: Option<Pair<'a>>,
}

/// A value to judge.
struct Subject<'a> {
    at: At<'a>,
    path: Path,
    new: &'a Value,
    old: Option<&'a Value>,
    correlation: Correlation<'a>,
}

impl Validator {
    /// Reads the rules of a schema; none, and there is nothing to run.
    #[must_use]
    pub fn new(at: At<'_>) -> Option<Validator> {
        Validator::at(at, true, 0)
    }

    fn at(at: At<'_>, root: bool, depth: usize) -> Option<Validator> {
        if depth > DEPTH_MAX {
            return None;
        }
        let mut validator = Validator {
            root,
            ..Validator::default()
        };
        if let Some(constraints) = at.node().constraints.as_deref() {
            let nested = constraints.all_of.iter().filter_map(|nested| {
                let rules = nested.get("x-kubernetes-validations")?;
                rules.as_array().map(|rules| read(rules))
            });
            validator.rules = ready(rules_of(constraints), at, root);
            validator.all_of = nested.map(|rules| ready(rules, at, root)).collect();
        }
        let below = |id| {
            let at = At {
                schema: at.schema,
                id,
            };
            Validator::at(at, is_embedded(at), depth + 1)
        };
        match at.shape() {
            Shape::Object(object) => {
                validator.items = object.others.and_then(below).map(Box::new);
                let fields = object
                    .fields
                    .iter()
                    .filter_map(|(name, field)| Some((name.to_string(), below(field.node)?)));
                validator.fields = fields.collect();
            }
            Shape::Map { values, .. } => validator.items = below(*values).map(Box::new),
            Shape::List(list) => validator.items = below(list.items).map(Box::new),
            _ => {}
        }
        let empty = validator.rules.is_empty()
            && validator.all_of.is_empty()
            && validator.fields.is_empty()
            && validator.items.is_none();
        (!empty).then_some(validator)
    }

    /// Judges an object; old is what it was before an update.
    #[must_use]
    pub fn validate(
        &self,
        at: At<'_>,
        new: &Value,
        old: Option<&Value>,
        budget: &mut Budget,
    ) -> Faults {
        let here = old.map(|old| Pair { at, new, old });
        let subject = Subject {
            at,
            path: Path::root(),
            new,
            old,
            correlation: Correlation { here, above: None },
        };
        let mut judge = Judge {
            budget,
            faults: Faults::new(),
        };
        self.judge(&subject, &mut judge);
        judge.faults
    }

    fn judge(&self, subject: &Subject<'_>, judge: &mut Judge<'_>) {
        if subject.new.is_null() {
            return;
        }
        judge.rules(&self.rules, subject, self.root);
        for rules in &self.all_of {
            if judge.budget.exhausted {
                return;
            }
            judge.rules(rules, subject, self.root);
        }
        match subject.new {
            Value::Array(items) => self.judge_items(subject, items, judge),
            Value::Object(fields) => self.judge_fields(subject, fields, judge),
            _ => {}
        }
    }

    fn judge_items(&self, subject: &Subject<'_>, items: &[Value], judge: &mut Judge<'_>) {
        let (Some(validator), Some(at)) = (&self.items, subject.at.items()) else {
            return;
        };
        for (index, new) in items.iter().enumerate() {
            if judge.budget.exhausted {
                return;
            }
            let inner = Subject {
                at,
                path: subject.path.index(index),
                new,
                old: subject
                    .old
                    .and_then(|old| counterpart(subject.at, old, new)),
                correlation: subject.correlation.below(|pair| pair.item(new)),
            };
            validator.judge(&inner, judge);
        }
    }

    fn judge_fields(&self, subject: &Subject<'_>, fields: &crate::Map, judge: &mut Judge<'_>) {
        let named = |name: &str| {
            subject
                .at
                .declared(name)
                .is_some()
                .then(|| self.fields.get(name))
                .flatten()
        };
        for (name, new) in fields {
            if judge.budget.exhausted {
                return;
            }
            let declared = subject.at.declared(name).is_some();
            let (validator, path) = match (named(name), &self.items) {
                (Some(validator), _) => (validator, subject.path.child(name)),
                (None, Some(validator)) if !declared => (&**validator, subject.path.key(name)),
                _ => continue,
            };
            let Some(at) = subject.at.field(name) else {
                continue;
            };
            let inner = Subject {
                at,
                path,
                new,
                old: subject.old.and_then(|old| old.get(name)),
                correlation: subject.correlation.below(|pair| pair.field(name)),
            };
            validator.judge(&inner, judge);
        }
    }
}

fn ready(rules: Vec<Rule>, at: At<'_>, root: bool) -> Vec<Ready> {
    if rules.is_empty() {
        return Vec::new();
    }
    let declared = Declared::at(at, root);
    rules
        .into_iter()
        .filter_map(|rule| {
            Some(Ready {
                compiled: compile::read(&rule, declared.as_ref()?),
                path: field_path::parse(&rule.field_path, at).filter(|path| !path.is_empty()),
                rule,
            })
        })
        .collect()
}

/// The element of the old list that a new one stands for: only lists with keys tell.
fn counterpart<'a>(at: At<'_>, old: &'a Value, new: &Value) -> Option<&'a Value> {
    let Shape::List(list) = at.shape() else {
        return None;
    };
    if list.kind != ListKind::Map {
        return None;
    }
    old.as_array()?.iter().find(|old| {
        list.keys
            .iter()
            .all(|key| old.get(&**key) == new.get(&**key))
    })
}

impl<'a> Pair<'a> {
    fn field(self, name: &str) -> Option<Pair<'a>> {
        Some(Pair {
            at: self.at.field(name)?,
            new: self.new.get(name)?,
            old: self.old.get(name)?,
        })
    }

    fn item(self, new: &'a Value) -> Option<Pair<'a>> {
        Some(Pair {
            at: self.at.items()?,
            new,
            old: counterpart(self.at, self.old, new)?,
        })
    }

    /// Whether nothing changed, wherever elements with keys may have gone to.
    fn is_unchanged(self) -> bool {
        match (self.new, self.old) {
            (Value::Array(new), Value::Array(old)) => {
                let keyed =
                    matches!(self.at.shape(), Shape::List(list) if list.kind == ListKind::Map);
                if !keyed {
                    return new == old;
                }
                new.len() == old.len()
                    && new
                        .iter()
                        .all(|item| self.item(item).is_some_and(Pair::is_unchanged))
            }
            (Value::Object(new), Value::Object(old)) => {
                new.len() == old.len()
                    && new
                        .keys()
                        .all(|name| self.field(name).is_some_and(Pair::is_unchanged))
            }
            (new, old) => new == old,
        }
    }
}

impl<'a> Correlation<'a> {
    fn below(self, step: impl FnOnce(Pair<'a>) -> Option<Pair<'a>>) -> Correlation<'a> {
        match self.here {
            None => self,
            Some(here) => Correlation {
                here: step(here),
                above: Some(here),
            },
        }
    }

    fn is_unchanged(self) -> bool {
        self.here.or(self.above).is_some_and(Pair::is_unchanged)
    }
}

/// Gathers faults and spends the budget.
struct Judge<'a> {
    budget: &'a mut Budget,
    faults: Faults,
}

const OUT_OF_BUDGET: &str =
    "validation failed due to running out of cost budget, no further validation rules will be run";

impl Judge<'_> {
    fn rules(&mut self, rules: &[Ready], subject: &Subject<'_>, root: bool) {
        if rules.is_empty() {
            return;
        }
        if self.budget.left == 0 {
            self.fault(subject, OUT_OF_BUDGET);
            self.budget.exhausted = true;
            return;
        }
        let new = to_value(subject.at, subject.new, root);
        let old = subject.old.map(|old| to_value(subject.at, old, root));
        for ready in rules {
            self.rule(ready, subject, &new, old.as_ref());
            if self.budget.exhausted {
                return;
            }
        }
    }

    /// A fault that shows the type of its place.
    fn fault(&mut self, subject: &Subject<'_>, detail: impl Into<String>) {
        self.faults
            .push(Invalid::value(&subject.path, type_name(subject.at), detail));
    }

    fn rule(
        &mut self,
        ready: &Ready,
        subject: &Subject<'_>,
        new: &cel::Value,
        old: Option<&cel::Value>,
    ) {
        let program = match &ready.compiled.program {
            Ok(Some(program)) => program,
            Ok(None) => return,
            Err(error) => return self.fault(subject, format!("rule compile error: {error}")),
        };
        let optional = ready.rule.optional_old_self == Some(true);
        if ready.compiled.uses_old && old.is_none() && !optional {
            return;
        }
        let mut bindings = Bindings::from([("self".to_owned(), new.clone())]);
        if optional {
            let old = old.map_or(cel::Value::Optional(None), |old| {
                cel::Value::some(old.clone())
            });
            bindings.insert("oldSelf".to_owned(), old);
        } else if let Some(old) = old {
            bindings.insert("oldSelf".to_owned(), old.clone());
        }
        let outcome = program.evaluate(&bindings, self.budget);
        if self.budget.exhausted {
            return self.fault(subject, OUT_OF_BUDGET);
        }
        let name = ready.rule.name();
        match outcome {
            Ok(cel::Value::Bool(true)) => {}
            Ok(_) => self.broken(ready, subject, &bindings),
            Err(error @ EvalError::TooCostly) => {
                self.fault(subject, format!("'{error}': no further validation rules will be run due to call cost exceeds limit for rule: {name}"));
                self.budget.exhausted = true;
            }
            Err(error) if error.to_string().starts_with("no such overload") => {
                self.fault(subject, format!("'{error}': call arguments did not match a supported operator, function or macro signature for rule: {name}"));
            }
            Err(error) => self.fault(subject, format!("{error} evaluating rule: {name}")),
        }
    }

    /// A rule that said no.
    fn broken(&mut self, ready: &Ready, subject: &Subject<'_>, bindings: &Bindings) {
        let rule = &ready.rule;
        let path = match &ready.path {
            Some(path) => subject.path.child(path),
            None => subject.path.clone(),
        };
        // Faults of what did not change are let pass, unless the rule is about the change.
        let passes = !ready.compiled.uses_old && subject.correlation.is_unchanged();
        let message = match self.message(ready, bindings) {
            Ok(message) => message,
            Err(detail) => {
                if !passes {
                    self.faults
                        .push(Invalid::value(&path, type_name(subject.at), detail));
                }
                self.budget.exhausted = true;
                return;
            }
        };
        if passes {
            return;
        }
        let detail = message.unwrap_or_else(|| {
            if rule.message.is_empty() {
                format!("failed rule: {}", rule.name())
            } else {
                rule.name().to_owned()
            }
        });
        let fault = match rule.reason.as_deref() {
            Some("FieldValueForbidden") => Fault::Forbidden,
            Some("FieldValueRequired") => Fault::Required,
            Some("FieldValueDuplicate") => Fault::Duplicate,
            _ => Fault::Invalid,
        };
        let value = (!is_container(subject.at)).then(|| subject.new.clone());
        // Upstream's fault of a duplicate has no detail.
        let detail = if fault == Fault::Duplicate {
            String::new()
        } else {
            detail
        };
        self.faults.push(Invalid {
            shown: None,
            fault,
            path,
            value,
            detail,
        });
    }

    /// What the rule's message expression says, if it says something of use; the error is of a budget that ran out.
    fn message(&mut self, ready: &Ready, bindings: &Bindings) -> Result<Option<String>, String> {
        let Ok(Some(program)) = &ready.compiled.message else {
            return Ok(None);
        };
        let outcome = program.evaluate(bindings, self.budget);
        if self.budget.exhausted {
            return Err("messageExpression evaluation failed due to running out of cost budget, no further validation rules will be run".to_owned());
        }
        match outcome {
            Err(EvalError::TooCostly) => Err(format!(
                "no further validation rules will be run due to call cost exceeds limit for messageExpression: {:?}",
                ready.rule.message_expression
            )),
            Ok(cel::Value::String(text)) => {
                let text = text.trim();
                let useful =
                    !text.is_empty() && text.len() <= MESSAGE_LENGTH_MAX && !text.contains('\n');
                Ok(useful.then(|| text.to_owned()))
            }
            _ => Ok(None),
        }
    }
}
