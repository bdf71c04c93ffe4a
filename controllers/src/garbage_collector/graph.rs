//! Who owns whom, by uid: what is told of objects goes in, and which of them have to be looked at comes out.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::facts::{Facts, Identity, Uid};

/// How many owners are remembered that do not exist.
const ABSENT_MAX: usize = 500;

/// What follows from a change of the graph.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Effect {
    /// Look whether this object is still wanted.
    Check(Uid),
    /// The same, but not at once: its name may have to be tried again.
    CheckLater(Uid),
    /// Take this owner from its dependents.
    Orphan(Uid),
    /// Tell that an object names an owner that is in another namespace.
    Report(Identity, OwnerReference),
}

/// An object, or an owner that was named and not seen.
#[derive(Debug, Clone)]
struct Node {
    identity: Identity,
    owners: Vec<OwnerReference>,
    dependents: BTreeSet<Uid>,
    /// Nobody but its dependents has told of it.
    is_virtual: bool,
    is_deleting: bool,
    waits_for_dependents: bool,
    orphans_dependents: bool,
}

/// What has to be known of a node to decide about it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct View {
    pub(super) identity: Identity,
    pub(super) is_virtual: bool,
    pub(super) is_deleting: bool,
    pub(super) waits_for_dependents: bool,
    pub(super) has_dependents: bool,
    /// Whether one of its dependents waits for dependents of its own.
    pub(super) has_waiting_dependent: bool,
}

/// The graph, and the owners of which is known that they do not exist.
#[derive(Debug, Default)]
pub(super) struct Graph {
    nodes: HashMap<Uid, Node>,
    absent: Absent,
}

impl Graph {
    /// An object is there, or has changed.
    pub(super) fn observe(&mut self, facts: &Facts) -> Vec<Effect> {
        let mut effects = Vec::new();
        let uid = facts.identity.uid.clone();
        let (mut waited, mut orphaned) = (false, false);
        if let Some(node) = self.nodes.get(&uid) {
            (waited, orphaned) = (node.waits_for_dependents, node.orphans_dependents);
            if node.is_virtual {
                self.confirm(&facts.identity, &mut effects);
            }
            self.change_owners(&facts.identity, &facts.owners, &mut effects);
        } else {
            let node = Node {
                identity: facts.identity.clone(),
                owners: facts.owners.clone(),
                dependents: BTreeSet::new(),
                is_virtual: false,
                is_deleting: false,
                waits_for_dependents: false,
                orphans_dependents: false,
            };
            self.nodes.insert(uid.clone(), node);
            self.add_dependent(&facts.identity, &facts.owners, &mut effects);
        }
        let Some(node) = self.nodes.get_mut(&uid) else {
            return effects;
        };
        node.is_deleting |= facts.is_deleting;
        node.waits_for_dependents = facts.waits_for_dependents();
        node.orphans_dependents = facts.orphans_dependents();
        if node.orphans_dependents && !orphaned {
            effects.push(Effect::Orphan(uid));
        } else if node.waits_for_dependents && !waited {
            effects.extend(node.dependents.iter().cloned().map(Effect::Check));
            effects.push(Effect::Check(uid));
        }
        effects
    }

    /// An owner that only its dependents had told of is there, under its real name.
    fn confirm(&mut self, identity: &Identity, effects: &mut Vec<Effect>) {
        let (_, others) = self.split_dependents(identity);
        let Some(node) = self.nodes.get_mut(&identity.uid) else {
            return;
        };
        node.is_virtual = false;
        if node.identity == *identity {
            return;
        }
        node.identity = identity.clone();
        for uid in others {
            if let Some(dependent) = self.nodes.get(&uid)
                && !identity.namespace.is_empty()
                && dependent.identity.namespace != identity.namespace
            {
                effects.extend(report(
                    &dependent.identity,
                    &dependent.owners,
                    &identity.uid,
                ));
            }
            effects.push(Effect::Check(uid));
        }
    }

    fn change_owners(
        &mut self,
        identity: &Identity,
        owners: &[OwnerReference],
        effects: &mut Vec<Effect>,
    ) {
        let Some(node) = self.nodes.get_mut(&identity.uid) else {
            return;
        };
        if node.owners == owners {
            return;
        }
        let before = std::mem::replace(&mut node.owners, owners.to_vec());
        let identity = node.identity.clone();
        let of = |owners: &[OwnerReference], uid: &str| {
            owners.iter().rfind(|owner| owner.uid == uid).cloned()
        };
        for old in &before {
            let now = of(owners, &old.uid);
            let was_blocked = blocks(old) && !now.as_ref().is_some_and(blocks);
            let Some(owner) = self.nodes.get_mut(old.uid.as_str()) else {
                continue;
            };
            if now.is_none() {
                owner.dependents.remove(&identity.uid);
            }
            if was_blocked {
                effects.push(Effect::Check(old.uid.as_str().into()));
            }
        }
        let added: Vec<OwnerReference> = owners
            .iter()
            .filter(|owner| of(&before, &owner.uid).is_none())
            .cloned()
            .collect();
        self.add_dependent(&identity, &added, effects);
    }

    /// Puts a dependent under its owners. Owners that nobody has told of become virtual nodes, which are looked for.
    fn add_dependent(
        &mut self,
        dependent: &Identity,
        owners: &[OwnerReference],
        effects: &mut Vec<Effect>,
    ) {
        let mut is_doubtful = false;
        for reference in owners {
            let uid: Uid = reference.uid.as_str().into();
            let Some(owner) = self.nodes.get_mut(&uid) else {
                let owner = Node {
                    identity: Identity::of_owner(reference, &dependent.namespace),
                    owners: Vec::new(),
                    dependents: BTreeSet::from([dependent.uid.clone()]),
                    is_virtual: true,
                    is_deleting: false,
                    waits_for_dependents: false,
                    orphans_dependents: false,
                };
                self.nodes.insert(uid.clone(), owner);
                effects.push(Effect::Check(uid));
                continue;
            };
            owner.dependents.insert(dependent.uid.clone());
            if is_doubtful {
                continue;
            }
            let elsewhere = owner.identity.namespace != dependent.namespace;
            let is_namespaced = !owner.identity.namespace.is_empty();
            if elsewhere && is_namespaced {
                if !owner.is_virtual {
                    effects.push(Effect::Report(dependent.clone(), reference.clone()));
                }
                is_doubtful = true;
            } else {
                // A virtual owner without a namespace may be of a kind that has namespaces.
                is_doubtful =
                    !owner.identity.is_called(reference) || (elsewhere && owner.is_virtual);
            }
        }
        if is_doubtful {
            effects.push(Effect::Check(dependent.uid.clone()));
        }
    }

    /// An object is gone.
    pub(super) fn forget(&mut self, identity: &Identity) -> Vec<Effect> {
        let Some(node) = self.nodes.remove(&identity.uid) else {
            return Vec::new();
        };
        self.remove(node, identity)
    }

    fn remove(&mut self, node: Node, identity: &Identity) -> Vec<Effect> {
        if !node.dependents.is_empty() {
            self.absent.add(identity.clone());
        }
        let mut effects: Vec<Effect> = node.dependents.into_iter().map(Effect::Check).collect();
        for owner in &node.owners {
            let Some(owner) = self.nodes.get_mut(owner.uid.as_str()) else {
                continue;
            };
            owner.dependents.remove(&identity.uid);
            if owner.waits_for_dependents {
                effects.push(Effect::Check(owner.identity.uid.clone()));
            }
        }
        effects
    }

    /// The server has nothing under this name with this uid.
    pub(super) fn absent(&mut self, identity: &Identity) -> Vec<Effect> {
        let Some(node) = self.nodes.get(&identity.uid) else {
            return Vec::new();
        };
        let (matching, others) = self.split_dependents(identity);
        let is_other_name = node.identity != *identity;
        let stays = if node.is_virtual {
            !others.is_empty()
        } else {
            is_other_name
        };
        if !stays {
            return self.forget(identity);
        }
        let mut effects: Vec<Effect> = matching.into_iter().map(Effect::Check).collect();
        if !effects.is_empty() {
            self.absent.add(identity.clone());
        }
        if !is_other_name
            && let Some(other) = self.alternative(&others, identity)
            && let Some(node) = self.nodes.get_mut(&identity.uid)
        {
            node.identity = other;
            effects.push(Effect::CheckLater(identity.uid.clone()));
        }
        effects
    }

    /// The dependents of a node that call it so, and those that call it otherwise. One with two references may be in both.
    fn split_dependents(&self, owner: &Identity) -> (Vec<Uid>, Vec<Uid>) {
        let (mut matching, mut others) = (Vec::new(), Vec::new());
        let dependents = self.nodes.get(&owner.uid).into_iter();
        for uid in dependents.flat_map(|node| &node.dependents) {
            let Some(dependent) = self.nodes.get(uid) else {
                continue;
            };
            let elsewhere =
                !owner.namespace.is_empty() && owner.namespace != dependent.identity.namespace;
            let mut of_it = dependent
                .owners
                .iter()
                .filter(|reference| *reference.uid == *owner.uid);
            if !elsewhere && of_it.clone().any(|reference| owner.is_called(reference)) {
                matching.push(uid.clone());
            }
            if elsewhere || of_it.any(|reference| !owner.is_called(reference)) {
                others.push(uid.clone());
            }
        }
        (matching, others)
    }

    /// Another name that dependents have for an owner: the one behind the name that was tried, or else the first.
    fn alternative(&self, dependents: &[Uid], tried: &Identity) -> Option<Identity> {
        let mut names = BTreeSet::new();
        for dependent in dependents.iter().filter_map(|uid| self.nodes.get(uid)) {
            for reference in &dependent.owners {
                if *reference.uid != *tried.uid {
                    continue;
                }
                let mut name = Identity::of_owner(reference, &dependent.identity.namespace);
                let same_kind = name.kind == tried.kind && name.api_version == tried.api_version;
                if tried.namespace.is_empty() && same_kind {
                    name.namespace = tried.namespace.clone();
                }
                names.insert(name);
            }
        }
        names.remove(tried);
        let behind = names.iter().find(|name| *name > tried);
        behind.or_else(|| names.first()).cloned()
    }

    /// What is known of a node.
    pub(super) fn view(&self, uid: &str) -> Option<View> {
        let node = self.nodes.get(uid)?;
        let mut dependents = node.dependents.iter().filter_map(|uid| self.nodes.get(uid));
        Some(View {
            identity: node.identity.clone(),
            is_virtual: node.is_virtual,
            is_deleting: node.is_deleting,
            waits_for_dependents: node.waits_for_dependents,
            has_dependents: !node.dependents.is_empty(),
            has_waiting_dependent: dependents.any(|dependent| dependent.waits_for_dependents),
        })
    }

    /// The dependents of a node.
    pub(super) fn dependents(&self, uid: &str) -> Vec<Identity> {
        let node = self.nodes.get(uid).into_iter();
        node.flat_map(|node| &node.dependents)
            .filter_map(|uid| Some(self.nodes.get(uid)?.identity.clone()))
            .collect()
    }

    /// The dependents that keep an owner from going, each with whether it waits for its own.
    pub(super) fn blocking(&self, uid: &str) -> Vec<(Uid, bool)> {
        let node = self.nodes.get(uid).into_iter();
        node.flat_map(|node| &node.dependents)
            .filter_map(|dependent| self.nodes.get(dependent))
            .filter(|dependent| {
                let mut owners = dependent.owners.iter();
                owners.any(|owner| owner.uid == uid && blocks(owner))
            })
            .map(|dependent| {
                let uid = dependent.identity.uid.clone();
                (uid, dependent.waits_for_dependents)
            })
            .collect()
    }

    /// Whether an owner is known not to exist, as a dependent in this namespace calls it.
    pub(super) fn is_absent(&self, owner: &OwnerReference, namespace: &str) -> bool {
        ["", namespace].iter().any(|namespace| {
            let name = Identity::of_owner(owner, &(*namespace).into());
            self.absent.names.contains(&name)
        })
    }

    /// Remembers that an owner does not exist.
    pub(super) fn remember_absent(&mut self, owner: Identity) {
        self.absent.add(owner);
    }
}

fn blocks(owner: &OwnerReference) -> bool {
    owner.block_owner_deletion == Some(true)
}

fn report(dependent: &Identity, owners: &[OwnerReference], uid: &str) -> Option<Effect> {
    let owner = owners.iter().find(|owner| owner.uid == uid)?;
    Some(Effect::Report(dependent.clone(), owner.clone()))
}

/// Owners that do not exist; the oldest is forgotten first.
#[derive(Debug, Default)]
struct Absent {
    names: HashSet<Identity>,
    order: VecDeque<Identity>,
}

impl Absent {
    fn add(&mut self, name: Identity) {
        if !self.names.insert(name.clone()) {
            return;
        }
        self.order.push_back(name);
        if self.order.len() > ABSENT_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.names.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests;
