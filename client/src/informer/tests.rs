//! Informers by what a server tells them.

use k8s_openapi::api::core::v1::ConfigMap;
use proptest::prelude::*;
use proto::api::{Event, EventType, Failure};
use serde_json::json;

use super::reflector::State;
use super::*;
use crate::kind::Kind;
use crate::request::decoded;

type Told = Arc<Mutex<Vec<String>>>;

fn informer() -> (Informer<ConfigMap>, State<ConfigMap>, Told) {
    let informer = Informer::<ConfigMap>::new(ConfigMap::resource(), Query::default());
    informer.index("color", |map: &ConfigMap| {
        let data = map.data.clone().unwrap_or_default();
        data.get("color").cloned().into_iter().collect()
    });
    let told = listen(&informer);
    (informer.clone(), State::new(informer, decoded), told)
}

fn listen(informer: &Informer<ConfigMap>) -> Told {
    let told = Told::default();
    let heard = told.clone();
    informer.on_change(move |change| {
        let what = match change {
            Change::Added(_) => "+",
            Change::Modified { old, new } => {
                assert_ne!(old.resource_version(), new.resource_version());
                "~"
            }
            Change::Deleted(_) => "-",
        };
        let object = change.object();
        let line = format!("{what}{}:{}", object.key(), object.resource_version());
        heard.lock().push(line);
    });
    told
}

fn event(r#type: EventType, name: &str, version: u64, color: &str) -> Event {
    let object = json!({
        "metadata": {"name": name, "namespace": "s", "uid": format!("u-{name}"),
            "resourceVersion": version.to_string(), "managedFields": [{"manager": "m"}]},
        "data": {"color": color},
    });
    Event {
        r#type: r#type.into(),
        object: object.to_string().into(),
        resource_version: version.to_string(),
        ..Event::default()
    }
}

fn bookmark(version: u64, initial_events_end: bool) -> Event {
    Event {
        r#type: EventType::Bookmark.into(),
        resource_version: version.to_string(),
        initial_events_end,
        ..Event::default()
    }
}

fn taken(told: &Told) -> Vec<String> {
    std::mem::take(&mut told.lock())
}

#[test]
fn changes_are_told_in_order_once_the_beginning_is_whole() {
    let (informer, mut state, told) = informer();
    assert_eq!(state.begin().initial_events, Some(true));
    state.take(event(EventType::Added, "a", 3, "red")).unwrap();
    state.take(event(EventType::Added, "b", 2, "red")).unwrap();
    assert!(taken(&told).is_empty() && !informer.is_synced());
    state.take(bookmark(5, true)).unwrap();
    assert!(informer.is_synced());
    assert_eq!(taken(&told), ["+s/a:3", "+s/b:2"]);
    state
        .take(event(EventType::Modified, "a", 6, "blue"))
        .unwrap();
    state
        .take(event(EventType::Deleted, "b", 7, "red"))
        .unwrap();
    assert_eq!(taken(&told), ["~s/a:6", "-s/b:7"]);
    let store = informer.store();
    assert_eq!((store.len(), store.in_namespace("s").len()), (1, 1));
    assert!(store.by_index("color", "red").is_empty() && store.in_namespace("t").is_empty());
    assert_eq!(store.by_index("color", "blue").len(), 1);
    let object = store.get(&Key::new("s", "a")).unwrap();
    assert!(object.metadata.managed_fields.is_none());
    assert_eq!(taken(&listen(&informer)), ["+s/a:6"]);
}

#[test]
fn a_watch_that_is_cut_goes_on_behind_the_last_change() {
    let (_, mut state, told) = informer();
    state.begin();
    state.take(event(EventType::Added, "a", 3, "red")).unwrap();
    let again = state.begin();
    assert_eq!(
        (again.initial_events, again.resource_version.as_str()),
        (Some(true), "")
    );
    state.take(bookmark(5, true)).unwrap();
    assert!(
        taken(&told).is_empty(),
        "what was told of a beginning that broke off is forgotten"
    );
    state.take(bookmark(8, false)).unwrap();
    let again = state.begin();
    assert_eq!(
        (again.initial_events, again.resource_version.as_str()),
        (Some(false), "8")
    );
    state.take(event(EventType::Added, "a", 9, "red")).unwrap();
    assert_eq!(taken(&told), ["+s/a:9"]);
    assert_eq!(state.begin().resource_version, "9");
}

#[test]
fn what_vanished_while_nothing_was_heard_is_told_as_deleted() {
    let (informer, mut state, told) = informer();
    state.begin();
    for (name, version) in [("a", 1), ("b", 2), ("c", 3)] {
        state
            .take(event(EventType::Added, name, version, "red"))
            .unwrap();
    }
    state.take(bookmark(3, true)).unwrap();
    taken(&told);
    let failed = Event {
        r#type: EventType::Error.into(),
        failure: Some(Failure {
            code: 410,
            reason: "Expired".to_owned(),
            ..Failure::default()
        }),
        ..Event::default()
    };
    assert!(state.take(failed).unwrap_err().is_expired());
    let mut state = State::new(informer.clone(), decoded);
    state.begin();
    state.take(event(EventType::Added, "a", 1, "red")).unwrap();
    state.take(event(EventType::Added, "c", 9, "blue")).unwrap();
    let mut another = event(EventType::Added, "d", 10, "red");
    another.object = String::from_utf8(another.object.to_vec())
        .unwrap()
        .replace("u-d", "x")
        .into();
    state.take(another.clone()).unwrap();
    state.take(bookmark(10, true)).unwrap();
    assert_eq!(taken(&told), ["-s/b:2", "~s/c:9", "+s/d:10"]);
    state
        .take(event(EventType::Modified, "d", 11, "red"))
        .unwrap();
    assert_eq!(
        taken(&told),
        ["-s/d:10", "+s/d:11"],
        "another object of the same name"
    );
}

#[test]
fn an_object_that_is_not_of_its_kind_stays_as_it_was() {
    let (informer, mut state, told) = informer();
    state.begin();
    state.take(event(EventType::Added, "a", 1, "red")).unwrap();
    state.take(bookmark(1, true)).unwrap();
    taken(&told);
    let mut bad = event(EventType::Modified, "a", 2, "red");
    bad.object = json!({"metadata": {"name": "a", "namespace": "s"}, "data": 7})
        .to_string()
        .into();
    state.take(bad.clone()).unwrap();
    bad.object = "nothing".into();
    state.take(bad).unwrap();
    assert!(taken(&told).is_empty());
    assert_eq!(informer.store().len(), 1);
    assert_eq!(state.begin().resource_version, "2");
}

#[derive(Debug, Clone)]
enum Step {
    Set(u8, u8),
    Remove(u8),
    Replace(Vec<(u8, u8)>),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..6_u8, 0..3_u8).prop_map(|(name, color)| Step::Set(name, color)),
        (0..6_u8).prop_map(Step::Remove),
        prop::collection::vec((0..6_u8, 0..3_u8), 0..6).prop_map(Step::Replace),
    ]
}

fn object(name: u8, version: usize, color: u8) -> Arc<ConfigMap> {
    let text = event(
        EventType::Added,
        &name.to_string(),
        version as u64,
        &color.to_string(),
    );
    Arc::new(decoded(&text.object).unwrap())
}

proptest! {
    #[test]
    fn the_store_its_index_and_what_is_told_agree(steps in prop::collection::vec(step(), 0..40)) {
        let (informer, _, _) = informer();
        let model: Arc<Mutex<BTreeMap<Key, Arc<ConfigMap>>>> = Arc::default();
        let heard = model.clone();
        informer.on_change(move |change| {
            let object = change.object();
            let mut model = heard.lock();
            match change {
                Change::Added(_) => assert!(model.insert(object.key(), object.clone()).is_none()),
                Change::Modified { old, .. } => {
                    let known = model.insert(object.key(), object.clone()).unwrap();
                    assert!(Arc::ptr_eq(&known, old));
                }
                Change::Deleted(_) => assert!(model.remove(&object.key()).is_some()),
            }
        });
        for (at, step) in steps.into_iter().enumerate() {
            match step {
                Step::Set(name, color) => informer.set(object(name, at, color)),
                Step::Remove(name) => informer.remove(object(name, at, 0)),
                Step::Replace(objects) => {
                    let objects = objects.into_iter().map(|(name, color)| object(name, at, color));
                    informer.replace(objects.map(|object| (object.key(), object)).collect());
                }
            }
            let (store, model) = (informer.store(), model.lock());
            let all = store.all();
            prop_assert_eq!(all.len(), store.len());
            prop_assert!(all.iter().zip(model.values()).all(|(a, b)| Arc::ptr_eq(a, b)));
            prop_assert_eq!(all.len(), model.len());
            let mut indexed = 0;
            for color in ["0", "1", "2"] {
                for object in store.by_index("color", color) {
                    prop_assert_eq!(&object.data.as_ref().unwrap()["color"], color);
                    prop_assert!(Arc::ptr_eq(&store.get(&object.key()).unwrap(), &object));
                    indexed += 1;
                }
            }
            prop_assert_eq!(indexed, all.len());
        }
    }
}

#[test]
fn what_no_server_can_go_on_from_is_told_anew() {
    let failed = |code: i32, reason: &str, status: &str| {
        let failure = Failure {
            code,
            reason: reason.to_owned(),
            status: status.to_owned().into(),
            ..Failure::default()
        };
        crate::Error::from(crate::Failure::of(failure))
    };
    let ahead = r#"{"details":{"causes":[{"reason":"ResourceVersionTooLarge"}]}}"#;
    for (error, is_anew) in [
        (failed(410, "Expired", ""), true),
        // The store was set back to a copy of it.
        (failed(504, "Timeout", ahead), true),
        (failed(504, "Timeout", ""), false),
        (crate::Error::Lost("cut".to_owned()), false),
    ] {
        let (_, mut state, _) = informer();
        state.begin();
        state.take(bookmark(5, true)).unwrap();
        assert_eq!(state.begins_anew_after(&error), is_anew, "{error:?}");
        assert_eq!(state.begin().initial_events, Some(is_anew), "{error:?}");
    }
}
