//! What is wrong with the rules of a CRD: rules that are no expressions, and rules that may cost too much.

use std::collections::BTreeMap;

use super::{DEPTH_MAX, RULE_COST_MAX, Rule, SCHEMA_COST_MAX, field_path, rules_of};
use crate::{
    cel::{
        Environment, Program, Type,
        declared::{Declared, REQUEST_SIZE_MAX, is_embedded},
    },
    invalid::{Fault, Faults, Invalid},
    path::Path,
    schema::{At, List, ListKind, Shape},
};

/// The reasons that a rule may give.
const REASONS: [&str; 4] = [
    "FieldValueDuplicate",
    "FieldValueForbidden",
    "FieldValueInvalid",
    "FieldValueRequired",
];

/// How many of the most costly rules are told when all together are too costly.
const COSTLIEST_MAX: usize = 4;

/// A rule that was read: its programs, or why there are none.
pub(super) struct Compiled {
    /// Nothing for a rule that is empty.
    pub(super) program: Result<Option<Program>, String>,
    pub(super) message: Result<Option<Program>, String>,
    pub(super) cost_max: u64,
    pub(super) message_cost_max: u64,
    pub(super) uses_old: bool,
}

/// Reads one rule of a place.
pub(super) fn read(rule: &Rule, declared: &Declared) -> Compiled {
    let mut compiled = Compiled {
        program: Ok(None),
        message: Ok(None),
        cost_max: 0,
        message_cost_max: 0,
        uses_old: false,
    };
    if rule.rule.trim().is_empty() {
        return compiled;
    }
    let environment = environment(rule, declared);
    compiled.program = program(&rule.rule, &environment, "").and_then(|program| {
        if *program.output() == Type::Bool {
            instantiated(program, "program")
        } else {
            Err("cel expression must evaluate to a bool".to_owned())
        }
    });
    let Ok(Some(program)) = &compiled.program else {
        return compiled;
    };
    compiled.uses_old = program.reads("oldSelf");
    compiled.cost_max = program.cost_max(declared);
    if !rule.message_expression.is_empty() {
        compiled.message =
            self::program(&rule.message_expression, &environment, "messageExpression ").and_then(
                |program| {
                    if *program.output() == Type::String {
                        instantiated(program, "messageExpression")
                    } else {
                        Err("messageExpression must evaluate to a string".to_owned())
                    }
                },
            );
        if let Ok(Some(program)) = &compiled.message {
            compiled.message_cost_max = program.cost_max(declared);
        }
    }
    compiled
}

fn environment(rule: &Rule, declared: &Declared) -> Environment {
    let old = if rule.optional_old_self == Some(true) {
        Type::optional(declared.of.clone())
    } else {
        declared.of.clone()
    };
    Environment {
        variables: BTreeMap::from([
            ("self".to_owned(), declared.of.clone()),
            ("oldSelf".to_owned(), old),
        ]),
        patches: false,
    }
}

fn program(source: &str, environment: &Environment, what: &str) -> Result<Program, String> {
    Program::compile(source, environment)
        .map_err(|error| format!("{what}compilation failed: {error}"))
}

fn instantiated(program: Program, what: &str) -> Result<Option<Program>, String> {
    match program.constant_failure() {
        Some(failure) => Err(format!("{what} instantiation failed: {failure}")),
        None => Ok(Some(program)),
    }
}

/// Checks all rules of a schema. The path is that of the schema in its CRD.
#[must_use]
pub fn compile(at: At<'_>, path: &Path) -> Faults {
    let mut checker = Checker::default();
    let place = Place {
        at,
        path: path.clone(),
        cardinality: Some(1),
        uncorrelated: None,
        depth: 0,
    };
    checker.check(&place);
    let Checker {
        mut schema,
        rules,
        mut costliest,
        total,
    } = checker;
    schema.extend(rules);
    if total > SCHEMA_COST_MAX {
        costliest.sort_by_key(|(_, cost)| std::cmp::Reverse(*cost));
        for (path, _) in costliest.iter().take(COSTLIEST_MAX) {
            schema.push(Invalid::forbidden(path, "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema"));
        }
        let name = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema";
        schema.push(Invalid::forbidden(
            path,
            too_costly(name, total, SCHEMA_COST_MAX),
        ));
    }
    schema
}

/// A place of the schema in its CRD.
struct Place<'a> {
    at: At<'a>,
    path: Path,
    /// How many values of this place one object may have at most, if the schema bounds it.
    cardinality: Option<u64>,
    /// The list or map whose elements have no old ones to be compared with.
    uncorrelated: Option<Path>,
    depth: usize,
}

#[derive(Default)]
struct Checker {
    /// Faults of the form of rules.
    schema: Faults,
    /// Faults of the expressions.
    rules: Faults,
    costliest: Vec<(Path, u64)>,
    total: u64,
}

impl Checker {
    fn check(&mut self, place: &Place<'_>) {
        if place.depth > DEPTH_MAX {
            return;
        }
        let before = self.schema.len();
        for child in children(place) {
            self.check(&child);
        }
        let Some(constraints) = place.at.node().constraints.as_deref() else {
            return;
        };
        let rules = rules_of(constraints);
        if rules.is_empty() {
            return;
        }
        let base = place.path.child("x-kubernetes-validations");
        for (index, rule) in rules.iter().enumerate() {
            self.check_form(rule, place.at, &base.index(index));
        }
        // Rules are not read where the schema itself is at fault, here or deeper.
        if self.schema.len() > before {
            return;
        }
        let whole = place.depth == 0 || is_embedded(place.at);
        let Some(declared) = Declared::at(place.at, whole) else {
            self.rules.push(Invalid::internal(&base, "internal error: failed to construct type information for x-kubernetes-validations rules: unable to convert structural schema to CEL declarations"));
            return;
        };
        for (index, rule) in rules.iter().enumerate() {
            self.check_rule(rule, &declared, place, &base.index(index));
        }
    }

    fn check_form(&mut self, rule: &Rule, at: At<'_>, path: &Path) {
        let broken = |text: &str| text.contains(['\n', '\r']);
        let (text, message) = (rule.rule.trim(), rule.message.trim());
        let faults = &mut self.schema;
        if text.is_empty() {
            faults.push(Invalid::required(
                &path.child("rule"),
                "rule is not specified",
            ));
        } else if !rule.message.is_empty() && message.is_empty() {
            faults.push(Invalid::value(
                &path.child("message"),
                rule.message.as_str(),
                "must be non-empty if specified",
            ));
        } else if broken(message) {
            faults.push(Invalid::value(
                &path.child("message"),
                rule.message.as_str(),
                "must not contain line breaks",
            ));
        } else if broken(text) && message.is_empty() {
            faults.push(Invalid::required(
                &path.child("message"),
                "message must be specified if rule contains line breaks",
            ));
        }
        if !rule.message_expression.is_empty() && rule.message_expression.trim().is_empty() {
            faults.push(Invalid::required(
                &path.child("messageExpression"),
                "messageExpression must be non-empty if specified",
            ));
        }
        if let Some(reason) = rule
            .reason
            .as_deref()
            .filter(|reason| !REASONS.contains(reason))
        {
            faults.push(Invalid::not_supported(
                &path.child("reason"),
                reason,
                &REASONS,
            ));
        }
        if rule.field_path.is_empty() {
            return;
        }
        let path = path.child("fieldPath");
        let mut complain =
            |detail: &str| faults.push(Invalid::value(&path, rule.field_path.as_str(), detail));
        if rule.field_path.trim().is_empty() {
            complain("must be non-empty if specified");
        }
        if broken(&rule.field_path) {
            complain("must not contain line breaks");
        }
        if field_path::parse(&rule.field_path, at).is_none() {
            complain("must be a valid path");
        }
    }

    fn check_rule(&mut self, rule: &Rule, declared: &Declared, place: &Place<'_>, path: &Path) {
        let compiled = read(rule, declared);
        let rule_path = path.child("rule");
        let most = place
            .cardinality
            .unwrap_or(REQUEST_SIZE_MAX / (declared.serialized_min + 1));
        let cost = compiled.cost_max.saturating_mul(most);
        self.observe("estimated rule cost", &rule_path, cost);
        if let Err(error) = &compiled.program {
            self.rules.push(shown(&rule_path, rule, error));
        }
        let message_path = path.child("messageExpression");
        match &compiled.message {
            Err(error) => self.rules.push(shown(&message_path, rule, error)),
            Ok(Some(_)) => self.observe(
                "estimated messageExpression cost",
                &message_path,
                compiled.message_cost_max,
            ),
            Ok(None) => {}
        }
        if compiled.uses_old {
            if let Some(within) = &place.uncorrelated {
                let detail = format!(
                    "oldSelf cannot be used on the uncorrelatable portion of the schema within {within}"
                );
                self.rules
                    .push(Invalid::value(&rule_path, rule.rule.as_str(), detail));
            }
        } else if let Some(optional) = rule.optional_old_self {
            let detail = "may not be set if oldSelf is not used in rule";
            self.rules.push(Invalid::value(
                &path.child("optionalOldSelf"),
                optional,
                detail,
            ));
        }
    }

    fn observe(&mut self, name: &str, path: &Path, cost: u64) {
        if cost > RULE_COST_MAX {
            self.rules.push(Invalid::forbidden(
                path,
                too_costly(name, cost, RULE_COST_MAX),
            ));
        }
        self.total = self.total.saturating_add(cost);
        if cost >= SCHEMA_COST_MAX / 100 {
            self.costliest.push((path.clone(), cost));
        }
    }
}

/// The places below a place.
fn children<'a>(place: &Place<'a>) -> Vec<Place<'a>> {
    let at = place.at;
    let limits = at.node().constraints.as_deref();
    let child = |id, path, times: Option<u64>, uncorrelated: Option<Path>| Place {
        at: At {
            schema: at.schema,
            id,
        },
        path,
        cardinality: place
            .cardinality
            .and_then(|count| Some(count.saturating_mul(times?))),
        uncorrelated: place.uncorrelated.clone().or(uncorrelated),
        depth: place.depth + 1,
    };
    match at.shape() {
        Shape::Object(object) => {
            let properties = place.path.child("properties");
            let named = object
                .fields
                .iter()
                .map(|(name, field)| child(field.node, properties.key(name), Some(1), None));
            let others = object.others.map(|id| {
                let times = limits.and_then(|limits| limits.properties_max);
                child(id, place.path.child("additionalProperties"), times, None)
            });
            others.into_iter().chain(named).collect()
        }
        Shape::Map { values, .. } => {
            let times = limits.and_then(|limits| limits.properties_max);
            vec![child(
                *values,
                place.path.child("additionalProperties"),
                times,
                None,
            )]
        }
        Shape::List(List { items, kind, .. }) => {
            let times = limits.and_then(|limits| limits.items_max);
            let apart = (*kind != ListKind::Map).then(|| place.path.clone());
            vec![child(*items, place.path.child("items"), times, apart)]
        }
        _ => Vec::new(),
    }
}

/// A fault of a rule, which is shown with all its fields as upstream's program knows them.
fn shown(path: &Path, rule: &Rule, detail: &str) -> Invalid {
    let quoted = |text: &str| {
        let json = crate::Value::from(text).to_string();
        json.replace('<', "\\u003c")
            .replace('>', "\\u003e")
            .replace('&', "\\u0026")
    };
    let reason = rule.reason.as_deref().map_or("null".to_owned(), quoted);
    let optional = rule
        .optional_old_self
        .map_or("null".to_owned(), |flag| flag.to_string());
    let value = format!(
        "{{\"Rule\":{},\"Message\":{},\"MessageExpression\":{},\"Reason\":{reason},\"FieldPath\":{},\"OptionalOldSelf\":{optional}}}",
        quoted(&rule.rule),
        quoted(&rule.message),
        quoted(&rule.message_expression),
        quoted(&rule.field_path),
    );
    Invalid {
        shown: None,
        fault: Fault::Invalid,
        path: path.clone(),
        value: None,
        detail: format!("{value}: {detail}"),
    }
}

fn too_costly(name: &str, cost: u64, cost_max: u64) -> String {
    let exceeds = cost as f64 / cost_max as f64;
    let factor = if exceeds > 100.0 {
        "more than 100x".to_owned()
    } else if exceeds < 1.5 {
        format!("{exceeds:.6}x")
    } else {
        format!("{exceeds:.1}x")
    };
    format!(
        "{name} exceeds budget by factor of {factor} (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)"
    )
}
