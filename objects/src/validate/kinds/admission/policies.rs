//! Admission policies and their bindings.

use std::collections::BTreeSet;

use super::{
    FAILURE_POLICIES, MATCH_POLICIES, OPERATIONS, REINVOCATIONS, expressions::Compiler,
    match_conditions, operations_rule,
};
use crate::{
    Value,
    cel::{admission::Returns, declared::RESERVED},
    invalid::{Faults, Invalid},
    meta,
    validate::{
        kinds::{
            rules,
            view::{View, same},
        },
        names,
    },
};

const AUDIT_ANNOTATIONS_MAX: usize = 20;
const AUDIT_EXPRESSION_LENGTH_MAX: usize = 5 * 1024;

pub(crate) fn validating(new: &Value, faults: &mut Faults) {
    validating_spec(new, false, faults);
}

pub(crate) fn validating_update(new: &Value, old: &Value, faults: &mut Faults) {
    validating_spec(new, same_conditions(new, old), faults);
}

/// Conditions that did not change are not checked again.
fn same_conditions(new: &Value, old: &Value) -> bool {
    let (new, old) = (View::root(new).at("spec"), View::root(old).at("spec"));
    ["paramKind", "matchConditions"]
        .iter()
        .all(|field| same(new.at(field).value, old.at(field).value))
}

/// What policies of both kinds begin with.
fn head(spec: &View<'_>, faults: &mut Faults) {
    let policy = spec.at("failurePolicy");
    if policy.is_set() {
        policy.one_of(FAILURE_POLICIES, faults);
    } else {
        faults.push(policy.required(""));
    }
    if spec.at("paramKind").is_set() {
        parameter_kind(&spec.at("paramKind"), faults);
    }
    let matched = spec.at("matchConstraints");
    if matched.is_set() {
        match_resources(&matched, faults);
        matched.at("resourceRules").require("", faults);
    } else {
        faults.push(matched.required(""));
    }
}

fn variables(spec: &View<'_>, compiler: &mut Compiler, faults: &mut Faults) {
    for variable in spec.at("variables").items() {
        let (name, expression) = (variable.at("name"), variable.at("expression"));
        if name.text().trim().is_empty() {
            faults.push(name.required("name is not specified"));
        } else if !is_identifier(name.text()) {
            faults.push(name.invalid("must be a valid CEL identifier"));
        }
        if expression.text().trim().is_empty() {
            faults.push(expression.required("expression is not specified"));
        } else {
            compiler.variable(name.text(), &expression, faults);
        }
    }
}

fn is_identifier(name: &str) -> bool {
    let first = name.bytes().next().unwrap_or(b'0');
    !first.is_ascii_digit()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !RESERVED.contains(&name)
}

fn validating_spec(new: &Value, known_conditions: bool, faults: &mut Faults) {
    let spec = View::root(new).at("spec");
    head(&spec, faults);
    if !known_conditions {
        let params = spec.at("paramKind").is_set();
        match_conditions(&spec.at("matchConditions"), params, faults);
    }
    let composes = !spec.at("variables").is_empty();
    let mut compiler = Compiler::of_policy(&spec, composes);
    variables(&spec, &mut compiler, faults);
    let (validations, annotations) = (spec.at("validations"), spec.at("auditAnnotations"));
    if validations.is_empty() && annotations.is_empty() {
        let detail = "validations or auditAnnotations must contain at least one item";
        faults.push(validations.required(detail));
        faults.push(annotations.required(detail));
        return;
    }
    for item in validations.items() {
        validation(&item, &compiler, faults);
    }
    if annotations.list().len() > AUDIT_ANNOTATIONS_MAX {
        faults.push(annotations.invalid(format!(
            "must not have more than {AUDIT_ANNOTATIONS_MAX} auditAnnotations"
        )));
    }
    let mut keys = BTreeSet::new();
    for annotation in annotations.items() {
        let (key, expression) = (annotation.at("key"), annotation.at("valueExpression"));
        let full = format!("{}/{}", meta::name(new), key.text());
        names::check(faults, &key.path, &full, names::qualified);
        let length = expression.text().trim().len();
        if length == 0 {
            faults.push(expression.required("valueExpression is not specified"));
        } else if length > AUDIT_EXPRESSION_LENGTH_MAX {
            faults.push(expression.required(&format!(
                "must not exceed {AUDIT_EXPRESSION_LENGTH_MAX} bytes in length"
            )));
        } else {
            compiler.check_annotation(&expression, faults);
        }
        if !keys.insert(key.text()) {
            faults.push(key.duplicate());
        }
    }
}

fn validation(item: &View<'_>, compiler: &Compiler, faults: &mut Faults) {
    let (expression, message) = (item.at("expression"), item.at("message"));
    if expression.text().trim().is_empty() {
        faults.push(expression.required("expression is not specified"));
    } else {
        compiler.check(&expression, Returns::Bool, faults);
    }
    let made = item.at("messageExpression");
    if !made.text().trim().is_empty() {
        compiler.check_message(&made, faults);
    }
    for text in [made, message.clone()] {
        if !text.is_empty() && text.text().trim().is_empty() {
            faults.push(text.invalid("must be non-empty if specified"));
        }
    }
    if message.text().trim().contains(['\n', '\r']) {
        faults.push(message.invalid("must not contain line breaks"));
    }
    if item.at("reason").is_set() {
        item.at("reason")
            .one_of(&["Forbidden", "Invalid", "RequestEntityTooLarge"], faults);
    }
}

fn parameter_kind(kind: &View<'_>, faults: &mut Faults) {
    let (version, name) = (kind.at("apiVersion"), kind.at("kind"));
    if version.require("", faults) {
        let path = &version.path;
        if version.text().matches('/').count() > 1 {
            let detail = format!("unexpected GroupVersion string: {}", version.text());
            faults.push(version.invalid(detail));
        } else {
            let (group, number) = crate::catalog::split_api_version(version.text());
            let wrong = names::subdomain(group);
            if !group.is_empty() && !wrong.is_empty() {
                faults.push(Invalid::value(path, group, wrong.join(",")));
            }
            let wrong = names::letter_label(number);
            if number.is_empty() {
                faults.push(version.invalid("version must be specified"));
            } else if !wrong.is_empty() {
                faults.push(Invalid::value(path, number, wrong.join(",")));
            }
        }
    }
    if name.require("", faults) {
        let wrong = names::letter_label(&name.text().to_lowercase());
        if !wrong.is_empty() {
            faults.push(name.invalid(format!(
                "may have mixed case, but should otherwise match: {}",
                wrong.join(",")
            )));
        }
    }
}

fn match_resources(matched: &View<'_>, faults: &mut Faults) {
    let policy = matched.at("matchPolicy");
    if policy.is_set() {
        policy.one_of(MATCH_POLICIES, faults);
    } else {
        faults.push(policy.required(""));
    }
    for field in ["namespaceSelector", "objectSelector"] {
        let selector = matched.at(field);
        if selector.is_set() {
            rules::selector(&selector, faults);
        } else {
            faults.push(selector.required(""));
        }
    }
    for field in ["resourceRules", "excludeResourceRules"] {
        for rule in matched.at(field).items() {
            let mut seen = BTreeSet::new();
            for name in rule.at("resourceNames").items() {
                rules::named(&name, names::path_segment, faults);
                if !seen.insert(name.text()) {
                    faults.push(name.duplicate());
                }
            }
            operations_rule(&rule, faults);
        }
    }
}

pub(crate) fn mutating(new: &Value, faults: &mut Faults) {
    mutating_spec(new, false, faults);
}

pub(crate) fn mutating_update(new: &Value, old: &Value, faults: &mut Faults) {
    mutating_spec(new, same_conditions(new, old), faults);
}

/// What is deleted is not changed by a policy.
fn mutating_operations(matched: &View<'_>, faults: &mut Faults) {
    let choices: Vec<&str> = OPERATIONS
        .iter()
        .copied()
        .filter(|operation| *operation != "DELETE")
        .collect();
    let path = matched.path.child("resourceRules").child("operations");
    for rule in matched.at("resourceRules").items() {
        for operation in rule.at("operations").items() {
            operation.told_as(path.clone()).one_of(&choices, faults);
        }
    }
}

fn mutating_spec(new: &Value, known_conditions: bool, faults: &mut Faults) {
    let spec = View::root(new).at("spec");
    head(&spec, faults);
    mutating_operations(&spec.at("matchConstraints"), faults);
    if !known_conditions {
        let params = spec.at("paramKind").is_set();
        match_conditions(&spec.at("matchConditions"), params, faults);
    }
    let mut compiler = Compiler::of_policy(&spec, true);
    variables(&spec, &mut compiler, faults);
    let mutations = spec.at("mutations");
    mutations.require("mutations must contain at least one item", faults);
    for mutation in mutations.items() {
        let kind = mutation.at("patchType");
        let (wanted, other, returns) = match kind.text() {
            "JSONPatch" => ("jsonPatch", "applyConfiguration", Returns::Patches),
            "ApplyConfiguration" => ("applyConfiguration", "jsonPatch", Returns::Object),
            _ => {
                kind.require_one_of(&["ApplyConfiguration", "JSONPatch"], faults);
                continue;
            }
        };
        let patch = mutation.at(wanted);
        if !patch.is_set() {
            let detail = format!("must be specified when patchType is {}", kind.text());
            faults.push(patch.required(&detail));
        } else if patch.at("expression").text().trim().is_empty() {
            faults.push(patch.at("expression").required(""));
        } else {
            compiler.check_trimmed(&patch.at("expression"), returns, faults);
        }
        if mutation.at(other).is_set() {
            let detail = format!("must not be specified when patchType is {}", kind.text());
            let path = mutation.path.child(other);
            faults.push(Invalid::value(&path, format!("{{{other}}}"), detail));
        }
    }
    spec.at("reinvocationPolicy")
        .require_one_of(REINVOCATIONS, faults);
}

/// What bindings of both kinds have.
fn binding(spec: &View<'_>, faults: &mut Faults) {
    let name = spec.at("policyName");
    if name.require("", faults) {
        rules::subdomain(&name, faults);
    }
    if spec.at("paramRef").is_set() {
        parameters(&spec.at("paramRef"), faults);
    }
    if spec.at("matchResources").is_set() {
        match_resources(&spec.at("matchResources"), faults);
    }
}

fn parameters(reference: &View<'_>, faults: &mut Faults) {
    let (name, selector) = (reference.at("name"), reference.at("selector"));
    let both = "name and selector are mutually exclusive";
    if !name.is_empty() {
        rules::named(&name, names::path_segment, faults);
        if selector.is_set() {
            faults.push(name.forbidden(both));
        }
    }
    if selector.is_set() {
        rules::selector(&selector, faults);
        if !name.is_empty() {
            faults.push(selector.forbidden(both));
        }
    } else if name.is_empty() {
        faults.push(reference.required("one of name or selector must be specified"));
    }
    reference
        .at("parameterNotFoundAction")
        .require_one_of(&["Deny", "Allow"], faults);
}

pub(crate) fn validating_binding(new: &Value, faults: &mut Faults) {
    let spec = View::root(new).at("spec");
    binding(&spec, faults);
    let actions = spec.at("validationActions");
    let mut seen = BTreeSet::new();
    for action in actions.items() {
        action.one_of(&["Audit", "Deny", "Warn"], faults);
        if !seen.insert(action.text()) {
            faults.push(action.duplicate());
        }
    }
    if seen.contains("Deny") && seen.contains("Warn") {
        faults.push(actions.invalid("must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)"));
    }
    actions.require("at least one validation action is required", faults);
}

pub(crate) fn mutating_binding(new: &Value, faults: &mut Faults) {
    let spec = View::root(new).at("spec");
    binding(&spec, faults);
    if spec.at("matchResources").is_set() {
        mutating_operations(&spec.at("matchResources"), faults);
    }
}
