//! `MutatingAdmissionPolicy`: patches that policies make of a request, and their second turn after others changed the object.

use std::collections::HashSet;

use objects::cel::admission::Returns;
use objects::status::{Cause, Reason, Status};
use objects::{Value, meta};

use super::hooks::{Hook, Hooks, parameter_resource, parameters};
use super::patching::{Patch, PatchKind};
use super::{Head, Seen, matching, namespace};
use crate::admission::chain::Parts;
use crate::admission::expressions::{Expression, Inputs, Matched};
use crate::admission::{Review, rules};

/// The plugin.
#[derive(Debug)]
pub(in crate::admission) struct Mutating {
    hooks: Hooks<Compiled>,
}

/// A mutating policy, compiled.
#[derive(Debug)]
pub(super) struct Compiled {
    head: Head,
    patches: Vec<Patch>,
    again: bool,
}

/// What is known in one request of the policies that ran.
#[derive(Debug, Default)]
pub(in crate::admission) struct Round {
    is_second: bool,
    /// Policies, bindings and parameters that want a second turn.
    repeatable: HashSet<String>,
    changed: bool,
}

impl Round {
    /// Begins the second turn, if there is to be one.
    pub(in crate::admission) fn begins_again(&mut self) -> bool {
        self.is_second = true;
        self.changed
    }
}

impl Default for Mutating {
    fn default() -> Mutating {
        Mutating {
            hooks: Hooks::new(
                "mutatingadmissionpolicies",
                "mutatingadmissionpolicybindings",
            ),
        }
    }
}

/// One policy with one binding and one set of parameters.
struct Invocation<'a> {
    hook: &'a Hook<Compiled>,
    binding: &'a Value,
    params: Option<std::sync::Arc<Value>>,
    served: std::sync::Arc<crate::served::Served>,
}

/// A fault, told by whom it is of.
struct Refusal {
    message: String,
    reason: Reason,
}

impl Mutating {
    /// Lets all policies change an object.
    pub(in crate::admission) async fn mutate(
        &self,
        parts: &Parts,
        review: &Review<'_>,
        object: &mut Value,
        round: &mut Round,
    ) -> Result<(), Status> {
        if rules::is_exempt(review) {
            return Ok(());
        }
        let hooks = self.hooks.now(parts.view.as_ref(), compile);
        let mut refusals = Vec::new();
        let mut invocations = Vec::new();
        for hook in hooks.iter() {
            collect(
                parts,
                review,
                object,
                hook,
                (&mut invocations, &mut refusals),
            )
            .await;
        }
        let namespace = match invocations.is_empty() {
            true => None,
            false => namespace(parts, review).await?,
        };
        for invocation in &invocations {
            let run = invocation.run(
                (parts, review),
                namespace.as_deref(),
                object,
                (round, &mut refusals),
            );
            run.await?;
        }
        refused(review, object, refusals)
    }
}

fn refused(review: &Review<'_>, object: &Value, refusals: Vec<Refusal>) -> Result<(), Status> {
    let Some(first) = refusals.first() else {
        return Ok(());
    };
    let mut status = review.forbidden(Some(object), "");
    status.message.clone_from(&first.message);
    // The code stays that of what forbids, as upstream leaves it.
    status.reason = first.reason;
    status.causes = refusals
        .into_iter()
        .map(|refusal| Cause {
            reason: String::new(),
            message: refusal.message,
            field: String::new(),
        })
        .collect();
    Err(status)
}

fn compile(policy: &Value) -> Compiled {
    let head = Head::compile(policy);
    let mut scope = head.scope;
    scope.patches = true;
    let environment = head.environment(scope);
    let mutations = meta::list(policy, &["spec", "mutations"]).iter();
    let patches = mutations.map(|mutation| {
        let (field, kind, returns) = match meta::text(mutation, &["patchType"]) {
            "JSONPatch" => ("jsonPatch", PatchKind::Steps, Returns::Patches),
            _ => ("applyConfiguration", PatchKind::Applied, Returns::Object),
        };
        let text = meta::text(mutation, &[field, "expression"]);
        Patch {
            kind,
            expression: Expression::compile(text, &environment, returns),
        }
    });
    Compiled {
        patches: patches.collect(),
        again: meta::text(policy, &["spec", "reinvocationPolicy"]) == "IfNeeded",
        head,
    }
}

async fn collect<'a>(
    parts: &Parts,
    review: &Review<'_>,
    object: &Value,
    hook: &'a Hook<Compiled>,
    (invocations, refusals): (&mut Vec<Invocation<'a>>, &mut Vec<Refusal>),
) {
    let mut refuse = |binding: Option<&Value>, what: &str, why: String| {
        if !hook.ignores_failures() {
            refusals.push(Refusal {
                message: told(hook, binding, &format!("failed to configure {what}: {why}")),
                reason: Reason::Forbidden,
            });
        }
    };
    let constraints = &hook.policy["spec"]["matchConstraints"];
    let served = match matching::matched(parts, review, Some(object), constraints).await {
        Ok(Some(served)) => served,
        Ok(None) => return,
        Err(why) => return refuse(None, "policy", why),
    };
    let resource = match parameter_resource(parts, &hook.policy) {
        Ok(resource) => resource,
        Err(why) => return refuse(None, "policy", why),
    };
    for binding in &hook.bindings {
        let resources = &binding["spec"]["matchResources"];
        if resources.is_object() {
            match matching::matched(parts, review, Some(object), resources).await {
                Ok(Some(_)) => {}
                Ok(None) => continue,
                Err(why) => {
                    refuse(Some(binding), "binding", why);
                    continue;
                }
            }
        }
        let namespace = review.namespace_of(Some(object));
        let found = parameters(parts, resource.as_deref(), binding, namespace).await;
        match found {
            Ok(all) => invocations.extend(all.into_iter().map(|params| Invocation {
                hook,
                binding,
                params,
                served: served.clone(),
            })),
            Err(why) => refuse(Some(binding), "binding", why),
        }
    }
}

fn told(hook: &Hook<Compiled>, binding: Option<&Value>, why: &str) -> String {
    let policy = hook.name();
    match binding {
        Some(binding) => format!(
            "policy '{policy}' with binding '{}' denied request: {why}",
            meta::name(binding)
        ),
        None => format!("policy {policy:?} denied request: {why}"),
    }
}

impl Invocation<'_> {
    fn key(&self) -> String {
        let params = self.params.as_deref().unwrap_or(&Value::Null);
        [
            self.hook.name(),
            meta::name(self.binding),
            meta::namespace(params),
            meta::name(params),
        ]
        .join("/")
    }

    /// The request as the policy sees it, and what its expressions read.
    async fn inputs(
        &self,
        (parts, review): (&Parts, &Review<'_>),
        object: &Value,
    ) -> Result<(Seen, Inputs), Status> {
        let seen = Seen::of(self.served.clone(), review, Some(object)).await?;
        let mut inputs = seen.inputs(review, parts);
        if let Some(params) = &self.params {
            inputs = inputs.with_params(params);
        }
        Ok((seen, inputs))
    }

    async fn run(
        &self,
        (parts, review): (&Parts, &Review<'_>),
        namespace: Option<&Value>,
        object: &mut Value,
        (round, refusals): (&mut Round, &mut Vec<Refusal>),
    ) -> Result<(), Status> {
        let policy = &self.hook.compiled;
        let mut refuse = |why: String| {
            if !self.hook.ignores_failures() {
                refusals.push(Refusal {
                    message: told(self.hook, Some(self.binding), &why),
                    reason: Reason::Invalid,
                });
            }
        };
        let (_, known) = self.inputs((parts, review), object).await?;
        match policy
            .head
            .conditions
            .hold(&known.with_composed(&policy.head.composed))
        {
            Ok(Matched::Yes) => {}
            Ok(Matched::No) => return Ok(()),
            Err(why) => {
                refuse(why);
                return Ok(());
            }
        }
        let key = self.key();
        if round.is_second && !round.repeatable.contains(&key) {
            return Ok(());
        }
        for patch in &policy.patches {
            let (seen, mut known) = self.inputs((parts, review), object).await?;
            if let Some(namespace) = namespace {
                known = known.with_namespace(namespace);
            }
            let known = known.with_composed(&policy.head.composed);
            match patch.apply(&seen, &known) {
                Ok(None) => {}
                Ok(Some(changed)) => {
                    round.changed = true;
                    *object = seen.taken(review, changed).await?;
                }
                Err(why) => refuse(why),
            }
        }
        if policy.again {
            round.repeatable.insert(key);
        }
        Ok(())
    }
}
