//! Whether a change of an object changes what quotas count of it. Admission counts what is taken alone.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, ResourceRequirements, Service};

/// Whether a pod has ended, or has another deadline, or its containers or it as a whole ask for something else.
pub(super) fn of_pod(old: &Pod, new: &Pod) -> bool {
    let ended = |pod: &Pod| {
        let phase = pod
            .status
            .as_ref()
            .and_then(|status| status.phase.as_deref());
        matches!(phase, Some("Succeeded" | "Failed"))
    };
    let deadline = |pod: &Pod| pod.spec.as_ref()?.active_deadline_seconds;
    ended(old) != ended(new) || deadline(old) != deadline(new) || !asked(old).eq(asked(new))
}

/// What the containers of a pod ask for, each, and what it asks for as a whole.
fn asked(pod: &Pod) -> impl Iterator<Item = Option<&ResourceRequirements>> {
    pod.spec.iter().flat_map(|spec| {
        let containers = spec
            .containers
            .iter()
            .chain(spec.init_containers.iter().flatten());
        let each = containers.map(|container| container.resources.as_ref());
        each.chain([spec.resources.as_ref()])
    })
}

/// Whether a service is of another type, or has other ports.
pub(super) fn of_service(old: &Service, new: &Service) -> bool {
    counted(old) != counted(new)
}

/// What quotas count of a service.
fn counted(service: &Service) -> Option<impl PartialEq> {
    let spec = service.spec.as_ref()?;
    Some((
        &spec.type_,
        &spec.ports,
        spec.allocate_load_balancer_node_ports,
    ))
}

/// Whether a claim asks for something else, or was given something else.
pub(super) fn of_claim(old: &PersistentVolumeClaim, new: &PersistentVolumeClaim) -> bool {
    let asks_otherwise = match (&old.spec, &new.spec) {
        (Some(old), Some(new)) => {
            old.resources != new.resources
                || old.volume_attributes_class_name != new.volume_attributes_class_name
        }
        (old, new) => old != new,
    };
    asks_otherwise || old.status != new.status
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::*;

    /// Whether it counts that an object with one of these specs and statuses comes to have the other.
    fn counts<K: DeserializeOwned>(counts: fn(&K, &K) -> bool, old: &Value, new: &Value) -> bool {
        let of = |object: &Value| serde_json::from_value(object.clone()).unwrap();
        counts(&of(old), &of(new))
    }

    fn asking(cpu: &str) -> Value {
        json!({"name": "c", "resources": {"requests": {"cpu": cpu}}})
    }

    #[test]
    fn a_pod_counts_otherwise_when_it_ends_or_asks_for_something_else() {
        let old = json!({"spec": {"containers": [asking("1")], "initContainers": [asking("1")]}});
        let with = |path: &str, value: Value| {
            let mut new = old.clone();
            let (parent, field) = path.rsplit_once('/').unwrap();
            new.pointer_mut(parent).unwrap()[field] = value;
            new
        };
        for (new, expected) in [
            (with("/spec/containers", json!([asking("2")])), true),
            (with("/spec/initContainers", json!([asking("2")])), true),
            (
                with("/spec/resources", json!({"limits": {"cpu": "4"}})),
                true,
            ),
            (with("/spec/activeDeadlineSeconds", json!(5)), true),
            (with("/status", json!({"phase": "Failed"})), true),
            (with("/status", json!({"phase": "Running"})), false),
            (with("/spec/nodeName", json!("n")), false),
            (with("/metadata", json!({"labels": {"a": "b"}})), false),
        ] {
            assert_eq!(counts::<Pod>(of_pod, &old, &new), expected, "{new}");
        }
    }

    #[test]
    fn a_service_counts_otherwise_with_another_type_or_other_ports() {
        let old = json!({"spec": {"type": "NodePort", "ports": [{"port": 80}], "sessionAffinity": "None"}});
        for (spec, expected) in [
            (json!({"type": "ClusterIP", "ports": [{"port": 80}]}), true),
            (
                json!({"type": "NodePort", "ports": [{"port": 80}, {"port": 81}]}),
                true,
            ),
            (json!({"type": "NodePort", "ports": [{"port": 80}]}), false),
        ] {
            let new = json!({"spec": spec});
            assert_eq!(counts::<Service>(of_service, &old, &new), expected, "{new}");
        }
    }

    #[test]
    fn a_claim_counts_otherwise_when_it_asks_for_or_is_given_something_else() {
        let asking = |size: &str| json!({"resources": {"requests": {"storage": size}}});
        let old = json!({"spec": asking("1Gi"), "status": {"phase": "Bound"}});
        let mut class = asking("1Gi");
        class["volumeAttributesClassName"] = json!("fast");
        let mut bound = asking("1Gi");
        bound["volumeName"] = json!("v");
        let given = json!({"phase": "Bound", "allocatedResources": {"storage": "2Gi"}});
        for (new, expected) in [
            (
                json!({"spec": asking("2Gi"), "status": old["status"]}),
                true,
            ),
            (json!({"spec": class, "status": old["status"]}), true),
            (json!({"spec": old["spec"], "status": given}), true),
            (json!({"spec": bound, "status": old["status"]}), false),
        ] {
            let counted = counts::<PersistentVolumeClaim>(of_claim, &old, &new);
            assert_eq!(counted, expected, "{new}");
        }
    }
}
