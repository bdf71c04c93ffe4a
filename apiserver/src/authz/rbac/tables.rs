//! What is derived from all roles and bindings: for each user and group its bindings.

use std::{collections::HashMap, ops::ControlFlow, sync::Arc};

use objects::{Value, meta};

use super::{
    Found, GROUP,
    bindings::{Binding, Matches, Missing, Subject},
};
use crate::{authz::Rule, objects_view::ObjectsView, user::User};

const RESOURCES: [&str; 4] = [
    "clusterroles",
    "clusterrolebindings",
    "roles",
    "rolebindings",
];

/// Roles by kind, namespace and name.
type Roles = HashMap<(&'static str, String, String), Arc<[Rule]>>;

/// The bindings of the cluster and of each namespace, as of certain generations of the four resources.
pub(super) struct Tables {
    generations: [u64; 4],
    cluster: Scope,
    namespaces: HashMap<String, Scope>,
}

impl Tables {
    pub(super) fn of(view: &dyn ObjectsView) -> Tables {
        // The generations are read first: a change in between makes the tables newer than they say, and they are made again.
        let generations = generations(view);
        let mut roles = Roles::new();
        for (kind, plural) in [("ClusterRole", "clusterroles"), ("Role", "roles")] {
            for role in view.list(GROUP, plural, None) {
                let key = (
                    kind,
                    meta::namespace(&role).to_owned(),
                    meta::name(&role).to_owned(),
                );
                roles.insert(key, Rule::list_of(&role).into());
            }
        }
        let mut namespaces: HashMap<String, Vec<Arc<Value>>> = HashMap::new();
        for binding in view.list(GROUP, "rolebindings", None) {
            let namespace = meta::namespace(&binding).to_owned();
            namespaces.entry(namespace).or_default().push(binding);
        }
        Tables {
            generations,
            cluster: Scope::of(view.list(GROUP, "clusterrolebindings", None), &roles),
            namespaces: namespaces
                .into_iter()
                .map(|(namespace, bindings)| (namespace, Scope::of(bindings, &roles)))
                .collect(),
        }
    }

    /// Whether nothing has changed since.
    pub(super) fn is_of(&self, view: &dyn ObjectsView) -> bool {
        self.generations == generations(view)
    }

    /// Shows every rule that applies to somebody, those of the whole cluster first, until `visit` has seen enough.
    pub(super) fn visit<T>(
        &self,
        user: &User,
        namespace: &str,
        mut visit: impl FnMut(Found<'_>) -> ControlFlow<T>,
    ) -> ControlFlow<T> {
        self.cluster.visit(user, &mut visit)?;
        match self.namespaces.get(namespace) {
            Some(scope) if !namespace.is_empty() => scope.visit(user, &mut visit),
            _ => ControlFlow::Continue(()),
        }
    }
}

fn generations(view: &dyn ObjectsView) -> [u64; 4] {
    RESOURCES.map(|plural| view.generation(GROUP, plural))
}

/// The bindings of the cluster or of one namespace, in the order of their names.
struct Scope {
    bindings: Vec<Binding>,
    by_user: HashMap<String, Vec<usize>>,
    by_group: HashMap<String, Vec<usize>>,
}

impl Scope {
    fn of(mut values: Vec<Arc<Value>>, roles: &Roles) -> Scope {
        values.sort_by(|a, b| meta::name(a).cmp(meta::name(b)));
        let mut scope = Scope {
            bindings: Vec::with_capacity(values.len()),
            by_user: HashMap::new(),
            by_group: HashMap::new(),
        };
        for (index, value) in values.iter().enumerate() {
            let binding = Binding::read(value, |kind, namespace, name| {
                find(roles, kind, namespace, name)
            });
            for subject in &binding.subjects {
                let list = match &subject.matches {
                    Matches::User(name) => scope.by_user.entry(name.clone()),
                    Matches::Group(name) => scope.by_group.entry(name.clone()),
                    Matches::Nobody => continue,
                };
                list.or_default().push(index);
            }
            scope.bindings.push(binding);
        }
        scope
    }

    fn visit<T>(
        &self,
        user: &User,
        visit: &mut impl FnMut(Found<'_>) -> ControlFlow<T>,
    ) -> ControlFlow<T> {
        let groups = user
            .groups
            .iter()
            .filter_map(|group| self.by_group.get(group));
        let mut indices: Vec<usize> = groups
            .chain(self.by_user.get(&user.name))
            .flatten()
            .copied()
            .collect();
        indices.sort_unstable();
        indices.dedup();
        for index in indices {
            let binding = &self.bindings[index];
            let Some(subject) = binding.subjects.iter().find(|own| is(user, own)) else {
                continue;
            };
            let found = |rule| Found {
                binding,
                subject,
                rule,
            };
            match &binding.rules {
                Ok(rules) => {
                    for rule in rules.iter() {
                        visit(found(Ok(rule)))?;
                    }
                }
                Err(why) => visit(found(Err(why)))?,
            }
        }
        ControlFlow::Continue(())
    }
}

fn is(user: &User, subject: &Subject) -> bool {
    match &subject.matches {
        Matches::User(name) => *name == user.name,
        Matches::Group(name) => user.is_in(name),
        Matches::Nobody => false,
    }
}

fn find(roles: &Roles, kind: &str, namespace: &str, name: &str) -> Result<Arc<[Rule]>, Missing> {
    let key = match kind {
        "ClusterRole" => ("ClusterRole", String::new(), name.to_owned()),
        "Role" => ("Role", namespace.to_owned(), name.to_owned()),
        other => return Err(Missing::Kind(other.to_owned())),
    };
    let missing = || Missing::Role {
        kind: kind.to_owned(),
        name: name.to_owned(),
    };
    roles.get(&key).cloned().ok_or_else(missing)
}
