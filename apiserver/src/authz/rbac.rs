//! Role-based access control: roles, and bindings that give them to subjects.

mod bindings;
mod tables;

use std::{ops::ControlFlow, sync::Arc};

use objects::{Value, meta, status::Status};
use parking_lot::RwLock;

use self::{
    bindings::{Binding, Missing, Subject},
    tables::Tables,
};
use super::{Authorizer, Decision, Rule, Rules};
use crate::{attributes::Attributes, objects_view::ObjectsView, user::User};

/// The API group of roles and bindings.
pub const GROUP: &str = "rbac.authorization.k8s.io";

/// The authorizer. What it derives from the objects is kept until one of them changes.
pub struct Rbac {
    view: Arc<dyn ObjectsView>,
    tables: RwLock<Arc<Tables>>,
}

/// A rule that applies to somebody, or why the rules of a binding are missing.
struct Found<'a> {
    binding: &'a Binding,
    subject: &'a Subject,
    rule: Result<&'a Rule, &'a Missing>,
}

impl Rbac {
    #[must_use]
    pub fn new(view: Arc<dyn ObjectsView>) -> Rbac {
        let tables = RwLock::new(Arc::new(Tables::of(view.as_ref())));
        Rbac { view, tables }
    }

    fn tables(&self) -> Arc<Tables> {
        let current = self.tables.read().clone();
        if current.is_of(self.view.as_ref()) {
            return current;
        }
        let mut slot = self.tables.write();
        // Another request may have made them while this one waited.
        if !slot.is_of(self.view.as_ref()) {
            *slot = Arc::new(Tables::of(self.view.as_ref()));
        }
        slot.clone()
    }

    /// The rules of the role that a binding of a resource refers to.
    ///
    /// # Errors
    /// 404 if there is no such role; the resource is that of the binding, as upstream has it.
    pub(super) fn rules_of_reference(
        &self,
        resource: &str,
        reference: &Value,
        namespace: &str,
    ) -> Result<Vec<Rule>, Status> {
        let name = meta::text(reference, &["name"]);
        let (plural, namespace) = match meta::text(reference, &["kind"]) {
            "Role" => ("roles", namespace),
            "ClusterRole" => ("clusterroles", ""),
            other => {
                return Err(Status::internal(format!(
                    "unsupported role reference kind: {other:?}"
                )));
            }
        };
        self.view
            .get(GROUP, plural, namespace, name)
            .map(|role| Rule::list_of(&role))
            .ok_or_else(|| Status::not_found(GROUP, resource, name))
    }

    /// What somebody who writes an object of a resource holds.
    pub(super) fn held(&self, user: &User, namespace: &str, resource: &str) -> Rules {
        self.rules(user, namespace, |why| why.describe(resource))
    }

    fn rules(&self, user: &User, namespace: &str, describe: impl Fn(&Missing) -> String) -> Rules {
        let mut rules = Rules::default();
        let _ = self.tables().visit(user, namespace, |found| {
            match found.rule {
                Ok(rule) => rules.rules.push(rule.clone()),
                Err(why) => rules.errors.push(describe(why)),
            }
            ControlFlow::<()>::Continue(())
        });
        rules
    }
}

impl Authorizer for Rbac {
    fn authorize(&self, attributes: &Attributes) -> Decision {
        let mut errors = Vec::new();
        let tables = self.tables();
        let allowed = tables.visit(&attributes.user, &attributes.namespace, |found| {
            match found.rule {
                Ok(rule) if rule.allows(attributes) => {
                    let reason = format!(
                        "RBAC: allowed by {} to {}",
                        found.binding.describe(),
                        found.subject.describe()
                    );
                    return ControlFlow::Break(reason);
                }
                Ok(_) => {}
                Err(why) => errors.push(why.describe_role()),
            }
            ControlFlow::Continue(())
        });
        match allowed {
            ControlFlow::Break(reason) => Decision::Allow { reason },
            ControlFlow::Continue(()) if errors.is_empty() => Decision::no_opinion(""),
            ControlFlow::Continue(()) => {
                let told = objects::invalid::aggregate(&once(errors));
                Decision::no_opinion(format!("RBAC: {told}"))
            }
        }
    }

    fn rules_for(&self, user: &User, namespace: &str) -> Rules {
        self.rules(user, namespace, Missing::describe_role)
    }
}

/// Each text once, where it stands first.
fn once(texts: Vec<String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for text in texts {
        if !kept.contains(&text) {
            kept.push(text);
        }
    }
    kept
}
