//! What pods ask for as a whole and by container: how that is filled in, judged, counted and changed in place.

use objects::{Value, defaults, meta, quota, strategy, validate};
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

fn faults_of(pod: &Value) -> Vec<String> {
    let faults = validate::create("", "Pod", pod);
    faults.iter().map(ToString::to_string).collect()
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

#[test]
fn what_containers_are_told_to_ask_for_later_is_asked_for_by_the_pod() {
    let own = json!({"limits": {"cpu": "1"}});
    let mut later = pod(&json!({}), &own);
    later["apiVersion"] = json!("v1");
    later["kind"] = json!("Pod");
    let memory = json!({"limits": {"memory": "1Gi"}, "requests": {"memory": "1Gi"}});
    later["spec"]["containers"][0]["resources"] = memory.clone();
    defaults::complete(&mut later);
    let requests = json!({"cpu": "1", "memory": "1Gi"});
    assert_eq!(later["spec"]["resources"]["requests"], requests);
    let mut plain =
        json!({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"resources": memory}]}});
    let before = plain.clone();
    defaults::complete(&mut plain);
    assert_eq!(plain, before);
}

#[test]
fn the_containers_of_a_pod_ask_for_no_more_than_it_does() {
    let fits = pod(&asked("1"), &asked("1"));
    assert_eq!(faults_of(&fits), Vec::<String>::new());
    let more = pod(&asked("1500m"), &asked("1"));
    assert_eq!(
        faults_of(&more),
        [
            "spec.resources.requests[cpu]: Invalid value: \"1\": must be greater than or equal to aggregate container requests of 1500m"
        ]
    );
    let pages = |size: &str| json!({"limits": {"cpu": "1", "hugepages-2Mi": size}});
    let too_many = pod(&pages("8Mi"), &pages("4Mi"));
    assert_eq!(
        faults_of(&too_many),
        [
            "spec.resources.requests[hugepages-2Mi]: Invalid value: \"4Mi\": must be greater than or equal to aggregate container requests of 8Mi",
            "spec.resources.limits[hugepages-2Mi]: Invalid value: \"4Mi\": must be greater than or equal to aggregate container limits of 8Mi",
            "spec.resources.containers[0][hugepages-2Mi].limits: Invalid value: \"8Mi\": must be less than or equal to pod limits of 4Mi",
        ]
    );
}

/// A stored pod, and what is told of its resizing to another.
fn resized(old: &Value, change: impl FnOnce(&mut Value)) -> Vec<String> {
    let mut old = old.clone();
    strategy::prepare_create("", "Pod", &mut old);
    meta::metadata_mut(&mut old).insert("resourceVersion".to_owned(), json!("1"));
    let mut new = old.clone();
    change(&mut new);
    if let Some(status) = new.get("status").filter(|status| status["told"] == true) {
        old["status"] = status.clone();
    }
    defaults::apply("", "Pod", &mut new);
    strategy::prepare_update("", "Pod", Some("resize"), &mut new, &old);
    let faults = validate::subresource_update("", "Pod", "resize", &new, &old);
    faults.iter().map(ToString::to_string).collect()
}

#[test]
fn a_pod_is_resized_as_a_whole() {
    let limits = |cpu: &str| json!({"limits": {"cpu": cpu}, "requests": {"cpu": "1"}});
    let own = pod(&asked("500m"), &limits("1"));
    let none = Vec::<String>::new();
    assert_eq!(
        resized(&own, |pod| pod["spec"]["resources"] = limits("2")),
        none
    );
    assert_eq!(
        resized(&own, |pod| {
            pod["spec"]["containers"][0]["resources"] = asked("700m");
        }),
        none
    );
    assert_eq!(
        resized(&own, |pod| pod["spec"]["resources"] = asked("1")),
        ["spec.resources.limits: Forbidden: pod-level resource limits cannot be removed"]
    );
    assert_eq!(
        resized(&own, |pod| {
            meta::spec_mut(pod)
                .as_object_mut()
                .unwrap()
                .remove("resources");
        }),
        ["spec.resources: Forbidden: pod-level resources cannot be removed"]
    );
    let pages = json!({"limits": {"cpu": "1", "hugepages-2Mi": "4Mi"}});
    let own = pod(&asked("500m"), &pages);
    assert_eq!(
        resized(&own, |pod| {
            for part in ["limits", "requests"] {
                pod["spec"]["resources"][part]["hugepages-2Mi"] = json!("6Mi");
            }
        }),
        ["spec: Forbidden: only cpu and memory resources are mutable at pod-level"]
    );
}

#[test]
fn what_cannot_be_resized_is_refused() {
    let plain = pod(&asked("1"), &Value::Null);
    let bigger = |pod: &mut Value| pod["spec"]["containers"][0]["resources"] = asked("2");
    assert_eq!(resized(&plain, bigger), Vec::<String>::new());
    assert_eq!(
        resized(&plain, |pod| {
            pod["spec"]["containers"][0]["resizePolicy"] =
                json!([{"resourceName": "cpu", "restartPolicy": "RestartContainer"}]);
        }),
        ["spec: Forbidden: only cpu and memory resources are mutable"]
    );
    let mut windows = plain.clone();
    windows["spec"]["os"] = json!({"name": "windows"});
    assert_eq!(
        resized(&windows, bigger),
        ["[]: Forbidden: windows pods cannot be resized"]
    );
    let running = |resources: Value| {
        move |pod: &mut Value| {
            bigger(pod);
            let status = json!({"name": "c", "state": {"running": {}}, "resources": resources});
            pod["status"] =
                json!({"told": true, "qosClass": "Burstable", "containerStatuses": [status]});
        }
    };
    assert_eq!(resized(&plain, running(json!({}))), Vec::<String>::new());
    assert_eq!(
        resized(&plain, running(Value::Null)),
        ["spec: Forbidden: Pod running on node without support for resize"]
    );
}

#[test]
fn amounts_are_rounded_up_to_thousandths() {
    let fine = json!({"limits": {"cpu": "1500u", "memory": "1Gi"}, "requests": {"cpu": "0.0001"}});
    let pod = pod(&fine, &Value::Null);
    let expected = json!({"limits": {"cpu": "2m", "memory": "1Gi"}, "requests": {"cpu": "1m", "memory": "1Gi"}});
    assert_eq!(pod["spec"]["containers"][0]["resources"], expected);
    for (kind, given, rounded) in [
        (
            "ResourceQuota",
            json!({"spec": {"hard": {"cpu": "1n"}}}),
            json!({"spec": {"hard": {"cpu": "1m"}}}),
        ),
        (
            "Node",
            json!({"status": {"capacity": {"cpu": "3999999999n"}}}),
            json!({"status": {"capacity": {"cpu": "4"}, "allocatable": {"cpu": "4"}}}),
        ),
        (
            "LimitRange",
            json!({"spec": {"limits": [{"type": "Pod", "max": {"cpu": "1.0001"}}]}}),
            json!({"spec": {"limits": [{"type": "Pod", "max": {"cpu": "1001m"}}]}}),
        ),
    ] {
        let mut object = given;
        defaults::apply("", kind, &mut object);
        assert_eq!(object, rounded, "{kind}");
    }
}

#[test]
fn huge_pages_are_asked_for_by_whole_pages() {
    let pages = |size: &str| json!({"limits": {"cpu": "1", "hugepages-2Mi": size}});
    let whole = pod(&pages("4Mi"), &Value::Null);
    assert_eq!(faults_of(&whole), Vec::<String>::new());
    let uneven = pod(&pages("3Mi"), &Value::Null);
    let fault = |part: &str| {
        format!(
            "spec.containers[0].resources.{part}[hugepages-2Mi]: Invalid value: \"3Mi\": 3Mi is not positive integer multiple of hugepages-2Mi"
        )
    };
    assert_eq!(faults_of(&uneven), [fault("limits"), fault("requests")]);

    let template = |spec: &Value| {
        json!({"metadata": {"name": "x", "namespace": "default", "resourceVersion": "1"},
        "template": {"spec": spec}})
    };
    let told = |new: &Value, old: &Value| {
        let (new, old) = (template(&new["spec"]), template(&old["spec"]));
        let faults = validate::update("", "PodTemplate", &new, &old);
        faults.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let of_template = ["limits", "requests"].map(|part| format!("template.{}", fault(part)));
    assert_eq!(told(&uneven, &whole), of_template);
    assert_eq!(told(&uneven, &uneven), Vec::<String>::new());
    let sizeless = json!({"limits": {"cpu": "1", "hugepages-x": "4Mi"}});
    assert_eq!(faults_of(&pod(&sizeless, &Value::Null)).len(), 2);
}
