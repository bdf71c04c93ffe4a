//! What pods ask for as a whole and by container: how that is filled in, judged, counted and changed in place.

use objects::{Value, defaults, quota, strategy};
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

fn asked(cpu: &str) -> Value {
    json!({"requests": {"cpu": cpu}})
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

#[test]
fn a_pod_that_limits_itself_asks_for_what_its_containers_do_or_else_for_its_limits() {
    for (container, own, expected) in [
        (json!({}), json!({}), json!({})),
        (json!({}), asked("1"), asked("1")),
        (
            json!({}),
            json!({"limits": {"cpu": "1", "memory": "1Gi"}}),
            json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}}),
        ),
        (
            asked("500m"),
            json!({"limits": {"cpu": "1", "memory": "1Gi"}}),
            json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m", "memory": "1Gi"}}),
        ),
        (
            json!({"requests": {"memory": "1Mi"}}),
            json!({"limits": {"cpu": "1"}, "requests": {"cpu": "100m"}}),
            json!({"limits": {"cpu": "1"}, "requests": {"cpu": "100m", "memory": "1Mi"}}),
        ),
        (
            json!({"limits": {"hugepages-2Mi": "4Mi", "cpu": "1"}}),
            asked("2"),
            json!({"limits": {"hugepages-2Mi": "4Mi"}, "requests": {"cpu": "2", "hugepages-2Mi": "4Mi"}}),
        ),
    ] {
        let mut pod = pod(&container, &own);
        assert_eq!(pod["spec"]["resources"], expected, "{container} {own}");
        let once = pod.clone();
        defaults::apply("", "Pod", &mut pod);
        assert_eq!(pod, once, "what is filled in stays");
    }
    let mut limited = pod(
        &json!({}),
        &json!({"limits": {"cpu": "1", "memory": "1Gi"}}),
    );
    strategy::prepare_create("", "Pod", &mut limited);
    assert_eq!(limited["status"]["qosClass"], "Guaranteed");
}
