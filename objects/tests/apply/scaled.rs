//! Steps of stories that write an object through its `scale`.

use objects::catalog::Catalog;
use objects::patch::apply::scale::{to_parent, to_scale};
use objects::patch::apply::{Context, Element, Ignored, OnlyVersion, apply, empty, update};
use objects::{Value, meta};
use serde_json::json;

/// Tells one step, and says what is not as upstream had it.
pub(crate) fn tell(api_version: &str, live: &Value, step: &Value) -> Vec<String> {
    let at = Catalog::builtin()
        .kind("autoscaling", "v1", "Scale")
        .expect("a built-in kind");
    let context = Context {
        at,
        built_in: true,
        api_version: "autoscaling/v1",
        kind: "Scale",
        subresource: "scale",
        ignored: &Ignored::nothing(),
        empty: &empty(at),
        versions: &OnlyVersion,
        now: meta::text(step, &["now"]),
    };
    let replicas = Some(vec![Element::field("spec"), Element::field("replicas")]);
    let paths = [(api_version, replicas)];
    let parent = meta::list(live, &["metadata", "managedFields"]);
    let entries = to_scale(parent, &paths).expect("managed fields that can be read");
    let mut old = scale_of(live);
    old["metadata"]["managedFields"] = Value::Array(entries);
    let manager = meta::text(step, &["manager"]);
    let scale = if meta::text(step, &["verb"]) == "apply" {
        let force = step.get("force").is_some();
        apply(&context, Some(&old), &step["body"], manager, force)
    } else {
        let mut new = scale_of(&step["object"]);
        update(&context, Some(&old), &mut new, manager);
        Ok(new)
    };
    let scale = match (scale, step.get("error")) {
        (Ok(scale), None) => scale,
        (Err(status), Some(error)) => return super::differences(error, &status.to_value()),
        (Err(status), None) => return vec![format!("failed: {}", status.message)],
        (Ok(_), Some(error)) => return vec![format!("should have failed: {error}")],
    };
    let entries = meta::list(&scale, &["metadata", "managedFields"]);
    let entries =
        to_parent(parent, entries, api_version, &paths).expect("managed fields that can be read");
    let mut new = step["object"].clone();
    new["metadata"]["managedFields"] = Value::Array(entries);
    let new = super::unless_same(Some(live), new);
    super::differences(&super::managed(&step["object"]), &super::managed(&new))
}

fn scale_of(object: &Value) -> Value {
    json!({
        "apiVersion": "autoscaling/v1", "kind": "Scale",
        "metadata": {"name": meta::name(object)},
        "spec": {"replicas": object["spec"]["replicas"]}, "status": {"replicas": 0}
    })
}
