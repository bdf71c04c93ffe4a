//! Whether containers may be privileged, which is the server's to say and no rule of their kind.

use objects::invalid::{Faults, Invalid};
use objects::path::Path;
use objects::{Value, meta};

use super::{Registry, Request};

/// Where the kinds that are or make pods have their specification.
const PODS: [(&str, &str, &[&str]); 9] = [
    ("", "Pod", &["spec"]),
    ("", "PodTemplate", &["template", "spec"]),
    ("", "ReplicationController", &["spec", "template", "spec"]),
    ("apps", "Deployment", &["spec", "template", "spec"]),
    ("apps", "ReplicaSet", &["spec", "template", "spec"]),
    ("apps", "StatefulSet", &["spec", "template", "spec"]),
    ("apps", "DaemonSet", &["spec", "template", "spec"]),
    ("batch", "Job", &["spec", "template", "spec"]),
    (
        "batch",
        "CronJob",
        &["spec", "jobTemplate", "spec", "template", "spec"],
    ),
];
const LISTS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];

impl Registry {
    /// Adds to the faults of an object that its containers may not be privileged, where that is so.
    pub(super) fn check_privileged(&self, request: &Request, object: &Value, faults: &mut Faults) {
        let resource = &request.served.resource;
        // A status is written by those who run what is there.
        if !self.allow_privileged && !matches!(request.subresource.as_str(), "status" | "binding") {
            check(&resource.group, &resource.kind, object, faults);
        }
    }
}

fn check(group: &str, kind: &str, object: &Value, faults: &mut Faults) {
    let found = PODS
        .iter()
        .find(|(of, name, _)| *of == group && *name == kind);
    let Some((_, _, fields)) = found else {
        return;
    };
    let Some(spec) = meta::at(object, fields) else {
        return;
    };
    let at = fields
        .iter()
        .fold(Path::root(), |path, field| path.child(field));
    for list in LISTS {
        for (index, container) in meta::list(spec, &[list]).iter().enumerate() {
            if container["securityContext"]["privileged"] == true {
                let path = at
                    .child(list)
                    .index(index)
                    .child("securityContext.privileged");
                faults.push(Invalid::forbidden(&path, "disallowed by cluster policy"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use objects::invalid::Faults;
    use serde_json::json;

    use super::check;

    #[test]
    fn privileged_containers_are_found_where_pods_are_made() {
        let container = json!([{"securityContext": {"privileged": false}}, {"securityContext": {"privileged": true}}]);
        let job = json!({"spec": {"template": {"spec": {"initContainers": container}}}});
        let cron = json!({"spec": {"jobTemplate": job}});
        for (group, kind, object, path) in [
            (
                "batch",
                "Job",
                &job,
                "spec.template.spec.initContainers[1].securityContext.privileged",
            ),
            (
                "batch",
                "CronJob",
                &cron,
                "spec.jobTemplate.spec.template.spec.initContainers[1].securityContext.privileged",
            ),
        ] {
            let mut faults = Faults::new();
            check(group, kind, object, &mut faults);
            assert_eq!(faults.len(), 1, "{kind}");
            assert_eq!(
                faults[0].to_string(),
                format!("{path}: Forbidden: disallowed by cluster policy")
            );
        }
        let mut faults = Faults::new();
        check("", "ConfigMap", &job, &mut faults);
        assert!(faults.is_empty());
    }
}
