//! Owners of fields in several versions of a custom kind.

use objects::Value;
use objects::patch::apply::{Context, Ignored, InVersion, Managers, Versions, apply, update};
use objects::schema::{At, Schema};
use objects::status::Status;
use serde_json::json;

use super::types;

/// A kind of two versions, of which the second has a field more.
struct Kind<'a> {
    old: At<'a>,
    new: At<'a>,
    /// What is known of objects in the version `a`.
    other: InVersion<()>,
}

impl Versions for Kind<'_> {
    fn convert(&self, object: &Value, api_version: &str) -> InVersion<(Value, At<'_>)> {
        let mut object = object.clone();
        object["apiVersion"] = Value::from(api_version);
        match api_version {
            "x.example/b" => InVersion::Known((object, self.new)),
            _ => self.other.map(|()| (object, self.old)),
        }
    }
}

impl Kind<'_> {
    /// Does something with what a write in a version is made with.
    fn with<T>(&self, version: &str, run: impl FnOnce(&Context<'_>) -> T) -> T {
        run(&Context {
            at: if version == "a" { self.old } else { self.new },
            built_in: false,
            api_version: &format!("x.example/{version}"),
            kind: "Thing",
            subresource: "",
            ignored: &Ignored::nothing(),
            empty: &json!({}),
            versions: self,
            now: "2026-01-01T00:00:00Z",
        })
    }

    /// An object that a controller wrote in the version `a`, seen in the version `b`.
    fn written(&self) -> Value {
        let mut object = thing("a", json!({"title": "t", "size": 1}));
        self.with("a", |context| {
            update(context, None, &mut object, "controller");
        });
        object["apiVersion"] = json!("x.example/b");
        object
    }

    /// What somebody applies in the version `b`.
    fn applied(&self, live: &Value, spec: Value, force: bool) -> Result<Value, Status> {
        let configuration = thing("b", spec);
        self.with("b", |context| {
            apply(context, Some(live), &configuration, "me", force)
        })
    }
}

fn thing(version: &str, spec: Value) -> Value {
    json!({
        "apiVersion": format!("x.example/{version}"), "kind": "Thing", "metadata": {"name": "n"}, "spec": spec,
    })
}

/// The managers of an object, with what they own of its spec.
fn owners(object: &Value) -> Vec<String> {
    let managers = Managers::of(object).unwrap();
    let owners = managers.0.iter().map(|(manager, owned)| {
        let fields = &owned.set.encode()["f:spec"];
        let fields = fields.as_object().into_iter().flat_map(|f| f.keys());
        let fields: Vec<&String> = fields.filter(|name| *name != ".").collect();
        format!("{} {} {fields:?}", manager.name, owned.api_version)
    });
    owners.collect()
}

/// Runs a test of a kind of which this is known in the version `a`.
fn with_kind(other: InVersion<()>, test: impl FnOnce(&Kind<'_>)) {
    let mut schema = Schema::new();
    let text = json!({"type": "string"});
    let number = json!({"type": "integer"});
    let [old, new] = [
        json!({"title": text, "size": number}),
        json!({"title": text, "size": number, "color": {"type": "object", "properties": {"red": number}}}),
    ]
    .map(|fields| {
        let spec = json!({"type": "object", "properties": fields});
        let source = json!({"type": "object", "properties": {"spec": spec}});
        types::build(&mut schema, &source)
    });
    test(&Kind {
        old: schema.at(old),
        new: schema.at(new),
        other,
    });
}

const CONTROLLER: &str = r#"controller x.example/a ["f:size", "f:title"]"#;

#[test]
fn a_manager_keeps_its_fields_when_another_version_is_applied() {
    with_kind(InVersion::Known(()), |kind| {
        let color = json!({"color": {"red": 1}});
        let object = kind.applied(&kind.written(), color, false).unwrap();
        assert_eq!(
            owners(&object),
            [CONTROLLER, r#"me x.example/b ["f:color"]"#]
        );
        let spec = json!({"title": "t", "size": 1, "color": {"red": 1}});
        assert_eq!(object["spec"], spec);

        // What the applier alone had goes, though the manager's version does not know the field.
        let object = kind.applied(&object, json!({"title": "t"}), false).unwrap();
        assert_eq!(object["spec"], json!({"title": "t", "size": 1}));
        // What the manager has too stays.
        let object = kind.applied(&object, json!({}), false).unwrap();
        assert_eq!(object["spec"], json!({"title": "t", "size": 1}));
        assert!(owners(&object).contains(&CONTROLLER.to_owned()));
    });
}

#[test]
fn a_conflict_with_a_manager_of_another_version_names_that_version() {
    with_kind(InVersion::Known(()), |kind| {
        let other = json!({"title": "u"});
        let refused = kind
            .applied(&kind.written(), other.clone(), false)
            .unwrap_err();
        assert_eq!(
            refused.message,
            "Apply failed with 1 conflict: conflict with \"controller\" using x.example/a: .spec.title"
        );
        let object = kind.applied(&kind.written(), other, true).unwrap();
        assert_eq!(
            owners(&object),
            [
                r#"controller x.example/a ["f:size"]"#,
                r#"me x.example/b ["f:title"]"#
            ]
        );
    });
}

#[test]
fn a_manager_of_a_version_that_cannot_be_told_is_left_alone() {
    with_kind(InVersion::Untold, |kind| {
        let more = json!({"title": "t", "color": {"red": 1}});
        let object = kind.applied(&kind.written(), more, false).unwrap();
        assert_eq!(
            owners(&object),
            [CONTROLLER, r#"me x.example/b ["f:color", "f:title"]"#]
        );
        let object = kind.applied(&object, json!({}), false).unwrap();
        assert_eq!(object["spec"], json!({"title": "t", "size": 1}));
        assert!(owners(&object).contains(&CONTROLLER.to_owned()));
    });
}

#[test]
fn a_manager_of_a_version_that_is_gone_is_forgotten() {
    with_kind(InVersion::Absent, |kind| {
        let color = json!({"color": {"red": 1}});
        let object = kind.applied(&kind.written(), color, false).unwrap();
        assert_eq!(owners(&object), [r#"me x.example/b ["f:color"]"#]);
    });
}
