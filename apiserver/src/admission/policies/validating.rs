//! `ValidatingAdmissionPolicy`: what a policy and each of its bindings say of a request, and what is told of it.

use std::collections::BTreeMap;

use objects::cel::admission::Returns;
use objects::status::{Cause, Reason, Status};
use objects::{Value, meta};
use serde_json::json;

use super::decide::{Annotation, Compiled, Decision, decide};
use super::hooks::{Hook, Hooks, parameter_resource, parameters};
use super::{Head, Seen, matching, namespace};
use crate::admission::chain::Parts;
use crate::admission::expressions::{Expression, Inputs};
use crate::admission::{Review, rules};

/// The longest value of an audit annotation, in bytes.
const ANNOTATION_LENGTH_MAX: usize = 10 * 1024;

/// The annotation that tells of what a binding only audits.
const FAILURE_ANNOTATION: &str = "validation.policy.admission.k8s.io/validation_failure";

/// The plugin.
#[derive(Debug)]
pub(in crate::admission) struct Validating {
    hooks: Hooks<Compiled>,
}

/// What all policies say of a request.
#[derive(Debug, Default)]
pub(super) struct Judgement {
    /// Those who refuse, as they are told.
    refusals: Vec<(Reason, String)>,
    /// What is to be noted of the request where requests are audited.
    pub(super) annotations: BTreeMap<String, String>,
}

/// What one policy is asked with.
struct Case<'a> {
    parts: &'a Parts,
    review: &'a Review<'a>,
    hook: &'a Hook<Compiled>,
    seen: &'a Seen,
    namespace: Option<&'a Value>,
}

impl Default for Validating {
    fn default() -> Validating {
        Validating {
            hooks: Hooks::new(
                "validatingadmissionpolicies",
                "validatingadmissionpolicybindings",
            ),
        }
    }
}

impl Validating {
    /// Asks all policies.
    pub(in crate::admission) async fn validate(
        &self,
        parts: &Parts,
        review: &Review<'_>,
        object: Option<&Value>,
    ) -> Result<(), Status> {
        if rules::is_exempt(review) {
            return Ok(());
        }
        let hooks = self.hooks.now(parts.view.as_ref(), compile);
        let mut judgement = Judgement::default();
        for hook in hooks.iter() {
            ask(parts, review, object, hook, &mut judgement).await?;
        }
        for (name, text) in judgement.annotations {
            review.warnings.annotate(name, text);
        }
        match judgement.refusals.into_iter().next() {
            None => Ok(()),
            Some((reason, why)) => Err(refusal(review, object, reason, why)),
        }
    }
}

/// A refusal is worded as one that forbids, whatever its reason is.
fn refusal(review: &Review<'_>, object: Option<&Value>, reason: Reason, message: String) -> Status {
    let mut status = review.forbidden(object, &message);
    status.reason = reason;
    status.code = reason.code();
    status.causes.push(Cause {
        reason: String::new(),
        message,
        field: String::new(),
    });
    status
}

fn compile(policy: &Value) -> Compiled {
    let head = Head::compile(policy);
    let environment = head.environment(head.scope);
    let mut unauthorized = head.scope;
    unauthorized.authorizer = false;
    let messages = head.environment(unauthorized);
    let validations = meta::list(policy, &["spec", "validations"]).iter();
    let validations = validations.map(|validation| {
        let text = |field| meta::text(validation, &[field]);
        let message = text("messageExpression");
        super::decide::Validation {
            expression: Expression::compile(text("expression"), &environment, Returns::Bool),
            message: text("message").to_owned(),
            message_expression: (!message.is_empty())
                .then(|| Expression::compile(message, &messages, Returns::Text)),
            reason: reason(text("reason")),
        }
    });
    let annotations = meta::list(policy, &["spec", "auditAnnotations"]).iter();
    let annotations = annotations.map(|annotation| {
        let text = meta::text(annotation, &["valueExpression"]);
        let expression = Expression::compile(text, &environment, Returns::TextOrNull);
        (meta::text(annotation, &["key"]).to_owned(), expression)
    });
    Compiled {
        validations: validations.collect(),
        annotations: annotations.collect(),
        head,
    }
}

fn reason(name: &str) -> Reason {
    match name {
        "Unauthorized" => Reason::Unauthorized,
        "Forbidden" => Reason::Forbidden,
        "RequestEntityTooLarge" => Reason::RequestEntityTooLarge,
        _ => Reason::Invalid,
    }
}

async fn ask(
    parts: &Parts,
    review: &Review<'_>,
    object: Option<&Value>,
    hook: &Hook<Compiled>,
    judgement: &mut Judgement,
) -> Result<(), Status> {
    let misconfigured = |why: String| format!("failed to configure policy: {why}");
    let constraints = &hook.policy["spec"]["matchConstraints"];
    let served = match matching::matched(parts, review, object, constraints).await {
        Ok(Some(served)) => served,
        Ok(None) => return Ok(()),
        Err(why) => {
            judgement.refuse(hook, None, Reason::Invalid, &misconfigured(why));
            return Ok(());
        }
    };
    if let Err(why) = parameter_resource(parts, &hook.policy) {
        judgement.refuse(hook, None, Reason::Invalid, &misconfigured(why));
        return Ok(());
    }
    let seen = Seen::of(served, review, object).await?;
    let mut notes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for binding in &hook.bindings {
        if let Some(resources) = meta::at(binding, &["spec", "matchResources"])
            && resources.is_object()
        {
            match matching::matched(parts, review, object, resources).await {
                Ok(Some(_)) => {}
                Ok(None) => continue,
                Err(why) => {
                    judgement.misbound(hook, binding, &why);
                    continue;
                }
            }
        }
        let namespace = namespace(parts, review).await?;
        let case = Case {
            parts,
            review,
            hook,
            seen: &seen,
            namespace: namespace.as_deref(),
        };
        case.ask_for(binding, judgement, &mut notes).await;
    }
    for (key, values) in notes {
        let name = format!("{}/{key}", hook.name());
        judgement.annotations.insert(name, values.join(", "));
    }
    Ok(())
}

impl Case<'_> {
    async fn ask_for(
        &self,
        binding: &Value,
        judgement: &mut Judgement,
        notes: &mut BTreeMap<String, Vec<String>>,
    ) {
        let resource = parameter_resource(self.parts, &self.hook.policy);
        let seen = self.seen.object.as_ref().or(self.seen.old.as_ref());
        let namespace = self.review.namespace_of(seen);
        let found = match resource {
            Ok(resource) => parameters(self.parts, resource.as_deref(), binding, namespace).await,
            Err(why) => Err(why),
        };
        let all = match found {
            Ok(all) => all,
            Err(why) => return judgement.misbound(self.hook, binding, &why),
        };
        let ignores = self.hook.ignores_failures();
        for params in all {
            let mut inputs: Inputs = self.seen.inputs(self.review, self.parts);
            if let Some(params) = &params {
                inputs = inputs.with_params(params);
            }
            let (decisions, annotations) =
                decide(&self.hook.compiled, &inputs, self.namespace, ignores);
            for (index, decision) in decisions.iter().enumerate() {
                if let Decision::Refused { reason, message } = decision {
                    self.tell(binding, judgement, (index, *reason, message));
                }
            }
            for annotation in annotations {
                match annotation {
                    Annotation::Noted(key, value) => {
                        let values = notes.entry(key).or_default();
                        let value = cut(&value).to_owned();
                        if !values.contains(&value) {
                            values.push(value);
                        }
                    }
                    Annotation::Failed(why) => {
                        judgement.refuse(self.hook, Some(binding), Reason::Invalid, &why);
                    }
                }
            }
        }
    }

    /// Does with a refusal what the binding says.
    fn tell(
        &self,
        binding: &Value,
        judgement: &mut Judgement,
        (index, reason, message): (usize, Reason, &str),
    ) {
        let actions = meta::list(binding, &["spec", "validationActions"]);
        let (policy, binding_name) = (self.hook.name(), meta::name(binding));
        for action in actions.iter().filter_map(Value::as_str) {
            match action {
                "Deny" => judgement.refuse(self.hook, Some(binding), reason, message),
                "Warn" => self.review.warnings.add(format!(
                    "Validation failed for ValidatingAdmissionPolicy '{policy}' with binding '{binding_name}': {message}"
                )),
                "Audit" => {
                    let note = json!([{"message": message, "policy": policy, "binding": binding_name, "expressionIndex": index, "validationActions": actions}]);
                    judgement
                        .annotations
                        .insert(FAILURE_ANNOTATION.to_owned(), note.to_string());
                }
                _ => {}
            }
        }
    }
}

impl Judgement {
    fn misbound(&mut self, hook: &Hook<Compiled>, binding: &Value, why: &str) {
        if !hook.ignores_failures() {
            let why = format!("failed to configure binding: {why}");
            self.refuse(hook, Some(binding), Reason::Invalid, &why);
        }
    }

    /// A fault of the policy itself, told without a binding, counts only where failures do.
    fn refuse(
        &mut self,
        hook: &Hook<Compiled>,
        binding: Option<&Value>,
        reason: Reason,
        why: &str,
    ) {
        let policy = hook.name();
        match binding {
            None if hook.ignores_failures() => {}
            None => self.refusals.push((
                reason,
                format!("ValidatingAdmissionPolicy '{policy}' denied request: {why}"),
            )),
            Some(binding) => self.refusals.push((
                reason,
                format!(
                    "ValidatingAdmissionPolicy '{policy}' with binding '{}' denied request: {why}",
                    meta::name(binding)
                ),
            )),
        }
    }
}

fn cut(value: &str) -> &str {
    let mut end = value.len().min(ANNOTATION_LENGTH_MAX);
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    &value[..end]
}
