//! Role-based access control: roles, and bindings that give them to subjects.

mod bindings;
mod tables;

use std::{ops::ControlFlow, sync::Arc};

use objects::{Value, meta, status::Status};
use parking_lot::RwLock;

use self::{
    bindings::{Binding, Subject},
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
    rule: Result<&'a Rule, &'a str>,
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

    /// The rules of the role that a binding refers to.
    ///
    /// # Errors
    /// 404 if there is no such role.
    pub fn rules_of_reference(
        &self,
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
            .ok_or_else(|| Status::not_found(GROUP, plural, name))
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
                Err(why) => errors.push(why.to_owned()),
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
        let mut rules = Rules::default();
        let _ = self.tables().visit(user, namespace, |found| {
            match found.rule {
                Ok(rule) => rules.rules.push(rule.clone()),
                Err(why) => rules.errors.push(why.to_owned()),
            }
            ControlFlow::<()>::Continue(())
        });
        rules
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
