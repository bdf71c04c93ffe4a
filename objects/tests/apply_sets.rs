//! Sets of fields and applied objects under any input: what is read is bounded, never panics and obeys the laws of sets.

use objects::catalog::Catalog;
use objects::patch::apply::{
    Context, DEPTH_MAX, Element, Ignored, Managers, OnlyVersion, Set, apply, empty,
    is_same_but_times, name_of_user_agent, update,
};
use objects::schema::{At, Schema};
use objects::{Map, Value};
use proptest::prelude::*;
use serde_json::json;

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        (-999..999_i16).prop_map(|quarters| Value::from(f64::from(quarters) / 4.0)),
        "[a-d<&\"]{0,3}".prop_map(Value::from),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let key = prop_oneof![
        "[a-d]",
        Just("name".to_owned()),
        Just("spec".to_owned()),
        Just("metadata".to_owned()),
        Just("containers".to_owned()),
        Just("managedFields".to_owned()),
        Just("labels".to_owned()),
        Just("finalizers".to_owned()),
    ];
    scalar().prop_recursive(5, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            prop::collection::btree_map(key.clone(), inner, 0..5)
                .prop_map(|fields| Value::Object(Map::from_iter(fields))),
        ]
    })
}

fn element() -> impl Strategy<Value = Element> {
    prop_oneof![
        "[a-c.]{0,2}".prop_map(|name| Element::field(&name)),
        ("[a-c]", scalar()).prop_map(|(name, value)| Element::key(vec![(name.into(), value)])),
        scalar().prop_map(|value| Element::Item(value.into())),
        (-3..3_i64).prop_map(Element::Index),
    ]
}

fn set() -> impl Strategy<Value = Set> {
    let path = prop::collection::vec(element(), 1..4);
    prop::collection::vec(path, 0..12).prop_map(|paths| {
        let mut set = Set::default();
        for path in paths {
            set.insert(&path);
        }
        set
    })
}

fn context<'a>(at: At<'a>, empty: &'a Value, ignored: &'a Ignored) -> Context<'a> {
    Context {
        at,
        built_in: true,
        api_version: "v1",
        kind: "Pod",
        subresource: "",
        ignored,
        empty,
        versions: &OnlyVersion,
        now: "2026-01-01T00:00:00Z",
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_set_is_read_as_it_was_written(set in set()) {
        prop_assert_eq!(&Set::decode(&set.encode()).unwrap(), &set);
        let text: Value = serde_json::from_str(&set.to_json()).unwrap();
        prop_assert_eq!(text, set.encode());
    }

    #[test]
    fn sets_obey_the_laws_of_sets(left in set(), right in set()) {
        let union = left.union(&right);
        let both = left.intersection(&right);
        prop_assert_eq!(&union, &right.union(&left));
        prop_assert_eq!(&both, &right.intersection(&left));
        prop_assert!(left.is_subset(&union) && both.is_subset(&left));
        prop_assert_eq!(&left.difference(&right).union(&both), &left);
        prop_assert!(left.difference(&right).intersection(&right).is_empty());
        prop_assert!(left.without(&left).is_empty());
        prop_assert!(left.without(&right).is_subset(&left.difference(&right)));
        prop_assert!(left.leaves().is_subset(&left));
        for path in left.paths() {
            prop_assert!(left.has(&path) && union.has(&path));
            prop_assert_eq!(both.has(&path), right.has(&path));
        }
    }

    #[test]
    fn any_fields_are_read_or_refused(value in value(), text in ".{0,12}") {
        let _ = Set::decode(&value);
        let _ = Element::decode(&text);
        let entry = json!({"manager": text, "operation": "Update", "apiVersion": "v1", "time": text,
            "fieldsType": "FieldsV1", "fieldsV1": value});
        if let Ok(managers) = Managers::decode(&[entry]) {
            let _ = managers.encode();
        }
    }

    #[test]
    fn any_object_is_applied_or_refused(live in value(), applied in value(), built_in in any::<bool>(), force in any::<bool>()) {
        let untyped = Schema::new();
        let at = if built_in {
            Catalog::builtin().kind("", "v1", "Pod").unwrap()
        } else {
            untyped.at(objects::schema::NodeId::default())
        };
        let (nothing, ignored) = (empty(at), Ignored::nothing());
        let context = context(at, &nothing, &ignored);
        let mut applied = applied;
        if let Value::Object(fields) = &mut applied {
            fields.insert("apiVersion".to_owned(), json!("v1"));
            fields.insert("kind".to_owned(), json!("Pod"));
        }
        let _ = apply(&context, Some(&live), &applied, "one", force);
        if let Ok(object) = apply(&context, None, &applied, "one", force) {
            // What was applied once and is applied again changes nothing.
            let again = apply(&context, Some(&object), &applied, "one", false).unwrap();
            prop_assert!(is_same_but_times(&object, &again));
        }
        let mut new = applied;
        update(&context, Some(&live), &mut new, "two");
        update(&context, None, &mut new, "two");
    }

    #[test]
    fn a_name_from_a_user_agent_is_short_and_whole(agent in ".{0,300}") {
        let name = name_of_user_agent(&agent);
        prop_assert!(name.len() <= 128 && !name.contains('/'));
    }
}

#[test]
fn a_set_deeper_than_the_most_is_refused() {
    let deep = |levels: usize| (0..levels).fold(json!({}), |inner, _| json!({"f:a": inner}));
    assert!(Set::decode(&deep(DEPTH_MAX - 1)).is_ok());
    assert!(Set::decode(&deep(DEPTH_MAX)).is_err());
}

#[test]
fn an_object_deeper_than_the_most_is_refused() {
    let deep = (0..200).fold(json!({}), |inner, _| json!({"a": inner}));
    let schema = Schema::new();
    let (nothing, ignored) = (json!({}), Ignored::nothing());
    let context = context(
        schema.at(objects::schema::NodeId::default()),
        &nothing,
        &ignored,
    );
    let applied = json!({"apiVersion": "v1", "kind": "Pod", "spec": deep});
    let status = apply(&context, None, &applied, "one", false).unwrap_err();
    assert!(status.message.contains("more than 128 levels"), "{status}");
}

#[test]
fn a_user_agent_names_the_program() {
    for (agent, name) in [
        ("kubectl/v1.36.3 (linux/amd64) kubernetes/abc", "kubectl"),
        ("OpenAPI-Generator/31.0.0/python", "OpenAPI-Generator"),
        ("my\tagent\u{7}", "myagent"),
        ("", ""),
    ] {
        assert_eq!(name_of_user_agent(agent), name);
    }
}

#[test]
fn a_subresource_may_own_only_what_is_below_some_fields() {
    let step = |name: &str| Some(name.into());
    let ignored = Ignored::AllBut(vec![vec![
        step("spec"),
        step("containers"),
        None,
        step("resources"),
    ]]);
    let set = Set::decode(&json!({
        "f:metadata": {"f:labels": {"f:a": {}}},
        "f:spec": {"f:nodeName": {}, "f:containers": {"k:{\"name\":\"c\"}": {".": {}, "f:image": {}, "f:resources": {"f:limits": {}}}}}
    }))
    .unwrap();
    let left = json!({"f:spec": {"f:containers": {"k:{\"name\":\"c\"}": {".": {}, "f:resources": {"f:limits": {}}}}}});
    assert_eq!(ignored.filter(&set).encode(), left);
}

#[test]
fn objects_are_the_same_but_for_the_times_of_their_managed_fields() {
    let object = |time: &str, manager: &str, value: i64| json!({"metadata": {"name": "a", "managedFields": [{"manager": manager, "time": time}]}, "data": value});
    let old = object("1", "m", 1);
    assert!(is_same_but_times(&old, &object("2", "m", 1)));
    assert!(!is_same_but_times(&old, &object("2", "n", 1)));
    assert!(!is_same_but_times(&old, &object("2", "m", 2)));
    assert!(!is_same_but_times(&old, &json!({"data": 1})));
}
