//! Bindings and their subjects, read once.

use std::sync::Arc;

use objects::{Value, meta};

use super::GROUP;
use crate::{
    authn::service_account_name,
    authz::{Rule, text::quoted},
};

/// Who a binding gives its role to.
#[derive(Debug)]
pub(super) struct Subject {
    kind: String,
    /// The name that messages have: that of a service account with its namespace.
    shown: String,
    pub(super) matches: Matches,
}

/// By what somebody is recognized as a subject.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Matches {
    User(String),
    Group(String),
    Nobody,
}

impl Subject {
    /// A subject of a binding in a namespace, which is empty for a cluster role binding.
    fn read(value: &Value, namespace: &str) -> Subject {
        let (kind, name) = (meta::text(value, &["kind"]), meta::text(value, &["name"]));
        let mut shown = name.to_owned();
        let matches = match kind {
            "User" => Matches::User(name.to_owned()),
            "Group" => Matches::Group(name.to_owned()),
            "ServiceAccount" => {
                let own = meta::text(value, &["namespace"]);
                let namespace = if own.is_empty() { namespace } else { own };
                shown = format!("{name}/{namespace}");
                if namespace.is_empty() {
                    Matches::Nobody
                } else {
                    Matches::User(service_account_name(namespace, name))
                }
            }
            _ => Matches::Nobody,
        };
        Subject {
            kind: kind.to_owned(),
            shown,
            matches,
        }
    }

    pub(super) fn describe(&self) -> String {
        format!("{} {}", self.kind, quoted(&self.shown))
    }
}

/// Why a binding gives nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Missing {
    Role { kind: String, name: String },
    Kind(String),
}

impl Missing {
    /// The text with a resource's name of the reader's choice: upstream names what was looked for, or what is being written.
    pub(super) fn describe(&self, resource: &str) -> String {
        match self {
            Missing::Role { name, .. } => format!("{resource}.{GROUP} {} not found", quoted(name)),
            Missing::Kind(kind) => format!("unsupported role reference kind: {}", quoted(kind)),
        }
    }

    /// The text that names what was looked for.
    pub(super) fn describe_role(&self) -> String {
        match self {
            Missing::Role { kind, .. } => self.describe(&kind.to_lowercase()),
            Missing::Kind(_) => self.describe(""),
        }
    }
}

/// A role that is given to subjects, in a namespace or everywhere.
#[derive(Debug)]
pub(super) struct Binding {
    name: String,
    namespace: String,
    role_kind: String,
    role_name: String,
    pub(super) subjects: Vec<Subject>,
    /// The rules of the role, or why there are none.
    pub(super) rules: Result<Arc<[Rule]>, Missing>,
}

impl Binding {
    /// A binding, with the rules that `find` knows of its role by kind, namespace and name.
    pub(super) fn read(
        value: &Value,
        find: impl FnOnce(&str, &str, &str) -> Result<Arc<[Rule]>, Missing>,
    ) -> Binding {
        let namespace = meta::namespace(value);
        let role_kind = meta::text(value, &["roleRef", "kind"]);
        let role_name = meta::text(value, &["roleRef", "name"]);
        Binding {
            name: meta::name(value).to_owned(),
            namespace: namespace.to_owned(),
            role_kind: role_kind.to_owned(),
            role_name: role_name.to_owned(),
            subjects: meta::list(value, &["subjects"])
                .iter()
                .map(|subject| Subject::read(subject, namespace))
                .collect(),
            rules: find(role_kind, namespace, role_name),
        }
    }

    pub(super) fn describe(&self) -> String {
        let (kind, shown) = if self.namespace.is_empty() {
            ("ClusterRoleBinding", self.name.clone())
        } else {
            ("RoleBinding", format!("{}/{}", self.name, self.namespace))
        };
        let (role_kind, role) = (&self.role_kind, quoted(&self.role_name));
        format!("{kind} {} of {role_kind} {role}", quoted(&shown))
    }
}
