use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::garbage_collector::facts::{FOREGROUND, ORPHAN};
use crate::garbage_collector::verdict::{Propagation, Standing, Verdict, decide};

/// A server with objects of two kinds, `Thing` in namespaces and `Wide` in none, and a collector that sees to them.
#[derive(Default)]
struct World {
    objects: BTreeMap<String, Value>,
    graph: Graph,
    effects: VecDeque<Effect>,
    reports: Vec<String>,
    order: Vec<String>,
}

/// How many effects a story may have.
const STEPS_MAX: usize = 1_000;

fn facts(object: &Value) -> Facts {
    let kind = Arc::from(object["kind"].as_str().unwrap());
    Facts::of(&Arc::from("v1"), &kind, object)
}

/// `uid` or `uid!`, which keeps its owner from going.
fn reference(text: &str, kind: &str) -> Value {
    let uid = text.trim_end_matches('!');
    json!({
        "apiVersion": "v1", "kind": kind, "name": uid, "uid": uid, "blockOwnerDeletion": text.ends_with('!'),
    })
}

fn thing(uid: &str, owners: &[&str]) -> Value {
    let owners: Vec<Value> = owners
        .iter()
        .map(|owner| reference(owner, "Thing"))
        .collect();
    json!({"kind": "Thing", "metadata": {"name": uid, "uid": uid, "namespace": "n", "ownerReferences": owners}})
}

impl World {
    fn with(objects: &[Value]) -> World {
        let mut world = World::default();
        for object in objects {
            world.put(object.clone());
        }
        world.settle();
        world
    }

    /// Writes an object as the server would, and tells the graph.
    fn put(&mut self, object: Value) {
        let facts = facts(&object);
        let uid = facts.identity.uid.to_string();
        if facts.is_deleting && facts.finalizers.is_empty() {
            self.objects.remove(&uid);
            self.order.push(uid);
            let effects = self.graph.forget(&facts.identity);
            self.effects.extend(effects);
            return;
        }
        self.objects.insert(uid, object);
        let effects = self.graph.observe(&facts);
        self.effects.extend(effects);
    }

    fn delete(&mut self, uid: &str, propagation: Propagation) {
        self.change(uid, |metadata| {
            metadata["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            let wanted = match propagation {
                Propagation::Orphan => Some(ORPHAN),
                Propagation::Foreground => Some(FOREGROUND),
                Propagation::Background => None,
            };
            set_finalizer(metadata, wanted);
        });
    }

    fn change(&mut self, uid: &str, change: impl FnOnce(&mut Value)) {
        if let Some(mut object) = self.objects.get(uid).cloned() {
            change(&mut object["metadata"]);
            self.put(object);
        }
    }

    /// The object under a name, if the name leads to one.
    fn find(&self, identity: &Identity) -> Option<Facts> {
        let mut all = self.objects.values().map(facts);
        all.find(|facts| {
            let found = &facts.identity;
            let is_wide = *found.kind == *"Wide";
            found.kind == identity.kind
                && found.name == identity.name
                && (is_wide || found.namespace == identity.namespace)
        })
    }

    fn settle(&mut self) {
        for _ in 0..STEPS_MAX {
            let Some(effect) = self.effects.pop_front() else {
                return;
            };
            match effect {
                Effect::Check(uid) | Effect::CheckLater(uid) => self.check(&uid),
                Effect::Orphan(uid) => self.orphan(&uid),
                Effect::Report(dependent, owner) => {
                    self.reports
                        .push(format!("{} {}", dependent.uid, owner.uid));
                }
            }
        }
        panic!("the collector does not come to an end");
    }

    fn check(&mut self, uid: &str) {
        let Some(view) = self.graph.view(uid) else {
            return;
        };
        if view.is_deleting && !view.waits_for_dependents {
            return;
        }
        let found = self.find(&view.identity);
        let Some(found) = found.filter(|found| found.identity.uid == view.identity.uid) else {
            let effects = self.graph.absent(&view.identity);
            self.effects.extend(effects);
            return;
        };
        if view.waits_for_dependents {
            let blocking = self.graph.blocking(uid);
            if blocking.is_empty() {
                self.change(uid, |metadata| set_finalizer(metadata, None));
            }
            let waiting = blocking.into_iter().filter(|(_, waits)| !waits);
            self.effects
                .extend(waiting.map(|(uid, _)| Effect::Check(uid)));
            return;
        }
        let namespace = &found.identity.namespace;
        let standings: Vec<Standing> = found
            .owners
            .iter()
            .map(|owner| {
                let name = Identity::of_owner(owner, namespace);
                let owner = self
                    .find(&name)
                    .filter(|found| found.identity.uid == name.uid);
                match owner {
                    None => Standing::Dangling,
                    Some(owner) if owner.waits_for_dependents() => Standing::Waiting,
                    Some(_) => Standing::Solid,
                }
            })
            .collect();
        match decide(&found, &standings, &view) {
            Verdict::Keep => {}
            Verdict::SetOwners(owners) => self.set_owners(uid, &owners),
            Verdict::Delete(propagation, owners) => {
                if let Some(owners) = owners {
                    self.set_owners(uid, &owners);
                }
                self.delete(uid, propagation);
            }
        }
    }

    fn set_owners(&mut self, uid: &str, owners: &[OwnerReference]) {
        self.change(uid, |metadata| metadata["ownerReferences"] = json!(owners));
    }

    fn orphan(&mut self, uid: &str) {
        for dependent in self.graph.dependents(uid) {
            let Some(found) = self.find(&dependent) else {
                continue;
            };
            let owners = found.owners.into_iter().filter(|owner| owner.uid != uid);
            let owners: Vec<_> = owners.collect();
            self.set_owners(&dependent.uid, &owners);
        }
        self.change(uid, |metadata| set_finalizer(metadata, None));
    }

    fn left(&self) -> String {
        self.objects.keys().cloned().collect::<Vec<_>>().join(" ")
    }
}

/// Sets which of the collector's own finalizers an object has.
fn set_finalizer(metadata: &mut Value, wanted: Option<&str>) {
    let of_others = metadata["finalizers"].as_array().cloned();
    let mut all = of_others.unwrap_or_default();
    all.retain(|name| name != ORPHAN && name != FOREGROUND);
    all.extend(wanted.map(Value::from));
    metadata["finalizers"] = json!(all);
}

/// A deployment with two replica sets and three pods.
fn family() -> Vec<Value> {
    vec![
        thing("d", &[]),
        thing("r1", &["d!"]),
        thing("r2", &["d!"]),
        thing("p1", &["r1!"]),
        thing("p2", &["r1!"]),
        thing("p3", &["r2!"]),
    ]
}

#[test]
fn dependents_go_after_their_owner_in_the_background() {
    let mut world = World::with(&family());
    world.delete("d", Propagation::Background);
    world.settle();
    assert_eq!(world.left(), "");
    assert_eq!(world.order[0], "d");
    let at = |uid: &str| world.order.iter().position(|gone| gone == uid).unwrap();
    assert!(at("r1") < at("p1") && at("r2") < at("p3"));
}

#[test]
fn dependents_go_before_their_owner_in_the_foreground() {
    let mut world = World::with(&family());
    world.delete("d", Propagation::Foreground);
    assert!(world.objects.contains_key("d"));
    world.settle();
    assert_eq!(world.left(), "");
    let at = |uid: &str| world.order.iter().position(|gone| gone == uid).unwrap();
    assert!(at("p1") < at("r1") && at("p3") < at("r2"));
    assert!(at("r1") < at("d") && at("r2") < at("d"));
}

#[test]
fn dependents_that_block_nothing_do_not_hold_up_their_owner() {
    let mut world = World::with(&[thing("d", &[]), thing("free", &["d"])]);
    // Whoever sees to the dependent takes its time.
    world.change("free", |metadata| {
        metadata["finalizers"] = json!(["slow/one"])
    });
    world.delete("d", Propagation::Foreground);
    world.settle();
    assert_eq!(world.order, ["d"]);
    assert_eq!(world.left(), "free");
}

#[test]
fn orphans_stay_without_their_owner() {
    let mut world = World::with(&family());
    world.delete("d", Propagation::Orphan);
    world.settle();
    assert_eq!(world.left(), "p1 p2 p3 r1 r2");
    assert!(facts(&world.objects["r1"]).owners.is_empty());
    assert_eq!(facts(&world.objects["p1"]).owners.len(), 1);
}

#[test]
fn an_object_with_another_owner_stays_and_forgets_the_one_that_is_gone() {
    let objects = [thing("a", &[]), thing("b", &[]), thing("x", &["a!", "b!"])];
    for propagation in [Propagation::Background, Propagation::Foreground] {
        let mut world = World::with(&objects);
        world.delete("a", propagation);
        world.settle();
        assert_eq!(world.left(), "b x");
        assert_eq!(facts(&world.objects["x"]).owners[0].uid, "b");
        assert_eq!(facts(&world.objects["x"]).owners.len(), 1);
    }
}

#[test]
fn an_object_whose_owner_never_was_goes() {
    let world = World::with(&[thing("x", &["never"])]);
    assert_eq!(world.left(), "");
    assert!(world.graph.nodes.is_empty());
}

#[test]
fn a_dependent_that_is_seen_before_its_owner_stays() {
    let (owner, dependent) = (thing("a", &[]), thing("x", &["a"]));
    let mut world = World::default();
    // Both are there, but the dependent is told of first.
    world.objects.insert("a".to_owned(), owner.clone());
    world.put(dependent);
    world.settle();
    assert!(world.graph.view("a").unwrap().is_virtual);
    world.put(owner);
    world.settle();
    assert_eq!(world.left(), "a x");
    assert!(!world.graph.view("a").unwrap().is_virtual);
}

#[test]
fn objects_that_own_one_another_go_in_the_foreground_too() {
    let mut world = World::with(&[]);
    world.put(thing("a", &[]));
    world.put(thing("b", &["a!"]));
    world.change("a", |metadata| {
        metadata["ownerReferences"] = json!([reference("b!", "Thing")]);
    });
    world.settle();
    world.delete("a", Propagation::Foreground);
    world.settle();
    assert_eq!(world.left(), "");
}

#[test]
fn an_owner_in_another_namespace_is_none_and_is_reported() {
    let mut elsewhere = thing("x", &["a"]);
    elsewhere["metadata"]["namespace"] = json!("other");
    for objects in [
        [thing("a", &[]), elsewhere.clone()],
        [elsewhere.clone(), thing("a", &[])],
    ] {
        let mut world = World::default();
        // As if the collector had not come to anything between the two.
        for object in &objects {
            world.put(object.clone());
        }
        world.settle();
        assert_eq!(world.left(), "a");
        assert_eq!(world.reports, ["x a"]);
    }
}

#[test]
fn a_reference_with_a_wrong_name_does_not_end_those_with_the_right_one() {
    let mut wrong = thing("bad", &["a"]);
    wrong["metadata"]["ownerReferences"][0]["name"] = json!("other");
    let right = thing("good", &["a"]);
    for objects in [
        vec![wrong.clone(), right.clone(), thing("a", &[])],
        vec![right.clone(), wrong.clone(), thing("a", &[])],
        vec![thing("a", &[]), wrong.clone(), right.clone()],
    ] {
        let mut world = World::default();
        for object in &objects {
            world.put(object.clone());
        }
        world.settle();
        assert_eq!(world.left(), "a good");
    }
}

#[test]
fn a_wide_owner_has_dependents_in_namespaces() {
    let wide = json!({"kind": "Wide", "metadata": {"name": "w", "uid": "w"}});
    let mut dependent = thing("x", &[]);
    dependent["metadata"]["ownerReferences"] = json!([reference("w!", "Wide")]);
    for objects in [
        [wide.clone(), dependent.clone()],
        [dependent.clone(), wide.clone()],
    ] {
        let mut world = World::default();
        for object in &objects {
            world.put(object.clone());
        }
        world.settle();
        assert_eq!(world.left(), "w x");
        assert!(world.reports.is_empty());
        world.delete("w", Propagation::Foreground);
        world.settle();
        assert_eq!(world.left(), "");
    }
}

#[test]
fn an_owner_goes_once_its_last_dependent_lets_it() {
    let mut world = World::with(&[thing("a", &[]), thing("x", &["a!"])]);
    world.change("x", |metadata| metadata["finalizers"] = json!(["slow/one"]));
    world.change("a", |metadata| {
        metadata["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        metadata["finalizers"] = json!([FOREGROUND]);
    });
    // The dependent is being deleted and waits for somebody else.
    world.effects.clear();
    world.change("x", |metadata| {
        metadata["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    });
    world.settle();
    assert_eq!(world.left(), "a x");
    world.change("x", |metadata| {
        metadata["ownerReferences"] = json!([reference("a", "Thing")]);
    });
    world.settle();
    assert_eq!(world.left(), "x");
}

#[test]
fn owners_that_do_not_exist_are_remembered_and_the_oldest_is_forgotten() {
    let mut graph = Graph::default();
    let owner = |index: usize| {
        let value = reference(&format!("o{index}"), "Thing");
        serde_json::from_value::<OwnerReference>(value).unwrap()
    };
    for index in 0..=ABSENT_MAX {
        graph.remember_absent(Identity::of_owner(&owner(index), &Arc::from("n")));
    }
    assert!(!graph.is_absent(&owner(0), "n") && graph.is_absent(&owner(1), "n"));
    assert!(!graph.is_absent(&owner(1), "other"));
    graph.remember_absent(Identity::of_owner(&owner(0), &Arc::from("")));
    assert!(graph.is_absent(&owner(0), "other"));
}
