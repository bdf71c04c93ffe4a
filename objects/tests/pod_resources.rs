//! What pods ask for as a whole and by container: how that is filled in, judged, counted and changed in place.

use objects::{Value, defaults, quota};
use serde_json::json;

/// A pod with one container, which has these resources, and resources of its own.
fn pod(container: &Value, own: &Value) -> Value {
    let mut pod = json!({
        "metadata": {"name": "x", "namespace": "default", "uid": "u"},
        "spec": {"containers": [{"name": "c", "image": "i", "resources": container}], "resources": own},
    });
    defaults::apply("", "Pod", &mut pod);
    pod
}

#[test]
fn a_quota_counts_the_huge_pages_of_a_whole_pod() {
    let container = json!({"requests": {"cpu": "1", "memory": "1Gi", "hugepages-2Mi": "4Mi"}});
    let own = json!({"requests": {"cpu": "2", "hugepages-2Mi": "8Mi"}});
    let usage = quota::usage("", "pods", &pod(&container, &own), 0);
    let shown = [
        "requests.cpu",
        "requests.memory",
        "hugepages-2Mi",
        "requests.hugepages-2Mi",
    ]
    .map(|name| usage[name].to_string());
    assert_eq!(shown, ["2", "1Gi", "8Mi", "8Mi"]);
}
