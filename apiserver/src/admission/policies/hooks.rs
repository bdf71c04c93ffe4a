//! The policies that have bindings, compiled, and the parameters that a binding gives to its policy.

use std::collections::BTreeMap;
use std::sync::Arc;

use objects::catalog::split_api_version;
use objects::selector::label::Selector;
use objects::{Value, meta};
use parking_lot::Mutex;

use crate::admission::chain::Parts;
use crate::admission::expressions::Kept;
use crate::objects_view::ObjectsView;
use crate::registry::as_served;
use crate::served::Served;

const GROUP: &str = "admissionregistration.k8s.io";

/// A policy, and those that put it to use.
#[derive(Debug)]
pub(super) struct Hook<T> {
    pub(super) policy: Arc<Value>,
    pub(super) compiled: Arc<T>,
    pub(super) bindings: Vec<Arc<Value>>,
}

impl<T> Hook<T> {
    pub(super) fn name(&self) -> &str {
        meta::name(&self.policy)
    }

    pub(super) fn ignores_failures(&self) -> bool {
        meta::text(&self.policy, &["spec", "failurePolicy"]) == "Ignore"
    }
}

type Round<T> = ((u64, u64), Arc<Vec<Hook<T>>>);

/// The hooks of policies of one kind.
#[derive(Debug)]
pub(super) struct Hooks<T> {
    policies: &'static str,
    bindings: &'static str,
    kept: Kept<T>,
    now: Mutex<Option<Round<T>>>,
}

impl<T> Hooks<T> {
    pub(super) fn new(policies: &'static str, bindings: &'static str) -> Hooks<T> {
        Hooks {
            policies,
            bindings,
            kept: Kept::default(),
            now: Mutex::new(None),
        }
    }

    /// The hooks as they are now, in the order of their names.
    pub(super) fn now(
        &self,
        view: &dyn ObjectsView,
        compile: fn(&Value) -> T,
    ) -> Arc<Vec<Hook<T>>> {
        let generation = (
            view.generation(GROUP, self.policies),
            view.generation(GROUP, self.bindings),
        );
        if let Some((known, hooks)) = &*self.now.lock()
            && *known == generation
        {
            return hooks.clone();
        }
        let mut bindings: BTreeMap<String, Vec<Arc<Value>>> = BTreeMap::new();
        for binding in view.list(GROUP, self.bindings, None) {
            let policy = meta::text(&binding, &["spec", "policyName"]).to_owned();
            bindings.entry(policy).or_default().push(binding);
        }
        let hooks = bindings.into_iter().filter_map(|(name, bindings)| {
            let policy = view.get(GROUP, self.policies, "", &name)?;
            let compiled = self.kept.get(&policy, || compile(&policy));
            Some(Hook {
                policy,
                compiled,
                bindings,
            })
        });
        let hooks = Arc::new(hooks.collect::<Vec<_>>());
        *self.now.lock() = Some((generation, hooks.clone()));
        hooks
    }
}

/// The resource that a policy's parameters are of; nothing for a policy without parameters.
///
/// # Errors
///
/// If no such kind is served.
pub(super) fn parameter_resource(
    parts: &Parts,
    policy: &Value,
) -> Result<Option<Arc<Served>>, String> {
    let Some(kind) = meta::at(policy, &["spec", "paramKind"]).filter(|kind| kind.is_object())
    else {
        return Ok(None);
    };
    let (group, version) = split_api_version(meta::text(kind, &["apiVersion"]));
    let kind = meta::text(kind, &["kind"]);
    let table = parts.resources.table();
    let found = table.kind(group, Some(version), kind).cloned();
    found.map(Some).ok_or_else(|| {
        format!("failed to find resource referenced by paramKind: '{group}/{version}, Kind={kind}'")
    })
}

/// The parameters of a binding: one that is nothing where none are asked for, and none at all where they may be missing.
///
/// # Errors
///
/// If they cannot be told, or are missing and must not be.
pub(super) async fn parameters(
    parts: &Parts,
    resource: Option<&Served>,
    binding: &Value,
    namespace: &str,
) -> Result<Vec<Option<Arc<Value>>>, String> {
    let reference = meta::at(binding, &["spec", "paramRef"]).filter(|found| found.is_object());
    let (Some(served), Some(reference)) = (resource, reference) else {
        return Ok(vec![None]);
    };
    let resource = &served.resource;
    let asked = meta::text(reference, &["namespace"]);
    let namespace = match (resource.namespaced, asked) {
        (false, "") => "",
        (false, _) => {
            return Err(
                "paramRef.namespace must not be provided for a cluster-scoped `paramKind`"
                    .to_owned(),
            );
        }
        (true, "") if namespace.is_empty() => {
            return Err("cannot use namespaced paramRef in policy binding that matches cluster-scoped resources".to_owned());
        }
        (true, "") => namespace,
        (true, asked) => asked,
    };
    let (group, plural, view) = (&resource.group, &resource.plural, parts.view.as_ref());
    let name = meta::text(reference, &["name"]);
    let found: Vec<Arc<Value>> = if name.is_empty() {
        let selector = Selector::from_object(&reference["selector"])?;
        let within = resource.namespaced.then_some(namespace);
        let mut all = view.list(group, plural, within);
        all.retain(|object| selector.selects(object));
        all
    } else {
        view.get(group, plural, namespace, name)
            .into_iter()
            .collect()
    };
    if found.is_empty() && meta::text(reference, &["parameterNotFoundAction"]) == "Deny" {
        return Err(
            "no params found for policy binding with `Deny` parameterNotFoundAction".to_owned(),
        );
    }
    let mut shown = Vec::with_capacity(found.len());
    for object in found {
        let object = as_served(served, (*object).clone()).await;
        shown.push(Some(Arc::new(object.map_err(|status| status.message)?)));
    }
    Ok(shown)
}
