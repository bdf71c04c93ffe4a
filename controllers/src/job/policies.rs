//! What a Job's podFailurePolicy says of a failed pod, and whether its successPolicy is met.

use k8s_openapi::api::batch::v1::{JobSpec, PodFailurePolicyOnExitCodesRequirement, SuccessPolicy};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodStatus};

use super::indexes::Indexes;

/// What becomes of a pod's failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Counted,
    Ignored,
    IndexFails,
    JobFails { message: String },
}

/// The first rule that matches decides; without one the failure counts.
pub(super) fn judge(spec: &JobSpec, pod: &Pod) -> Verdict {
    let rules = spec
        .pod_failure_policy
        .as_ref()
        .map(|policy| policy.rules.as_slice())
        .unwrap_or_default();
    let Some(status) = &pod.status else {
        return Verdict::Counted;
    };
    let meta = &pod.metadata;
    let (namespace, name) = (
        meta.namespace.as_deref().unwrap_or_default(),
        meta.name.as_deref().unwrap_or_default(),
    );
    for (at, rule) in rules.iter().enumerate() {
        let matched = if let Some(wanted) = &rule.on_exit_codes {
            exit_code(status, wanted).map(|(container, code)| {
                format!(
                    "Container {container} for pod {namespace}/{name} failed with exit code {code}"
                )
            })
        } else {
            let patterns = rule.on_pod_conditions.as_deref().unwrap_or_default();
            let found = status.conditions.iter().flatten().find(|condition| {
                patterns.iter().any(|pattern| {
                    pattern.type_ == condition.type_
                        && pattern.status.as_deref().unwrap_or("True") == condition.status
                })
            });
            found.map(|condition| {
                format!("Pod {namespace}/{name} has condition {}", condition.type_)
            })
        };
        let Some(matched) = matched else { continue };
        match rule.action.as_str() {
            "Ignore" => return Verdict::Ignored,
            "Count" => return Verdict::Counted,
            "FailIndex" => return Verdict::IndexFails,
            "FailJob" => {
                return Verdict::JobFails {
                    message: format!("{matched} matching FailJob rule at index {at}"),
                };
            }
            _ => {}
        }
    }
    Verdict::Counted
}

fn exit_code<'a>(
    status: &'a PodStatus,
    wanted: &PodFailurePolicyOnExitCodesRequirement,
) -> Option<(&'a str, i32)> {
    let containers = status.container_statuses.iter().flatten();
    let code = |container: &'a ContainerStatus| {
        let code = container.state.as_ref()?.terminated.as_ref()?.exit_code;
        let named = wanted
            .container_name
            .as_deref()
            .is_none_or(|name| name == container.name);
        let listed = wanted.values.contains(&code);
        let matches = match wanted.operator.as_str() {
            "In" => listed,
            "NotIn" => !listed,
            _ => false,
        };
        (code != 0 && named && matches).then_some((container.name.as_str(), code))
    };
    containers
        .chain(status.init_container_statuses.iter().flatten())
        .find_map(code)
}

/// The message of the first rule of the success policy that the succeeded indexes satisfy.
pub(super) fn success(
    policy: Option<&SuccessPolicy>,
    completions: u32,
    succeeded: &Indexes,
) -> Option<String> {
    if succeeded.total() == 0 {
        return None;
    }
    let met = policy?.rules.iter().position(|rule| {
        let enough = |found: u32| {
            rule.succeeded_count
                .is_some_and(|count| i64::from(found) >= i64::from(count))
        };
        match &rule.succeeded_indexes {
            Some(text) => {
                let required = Indexes::parse(text, completions);
                let found = required.shared(succeeded);
                required.total() > 0 && (found == required.total() || enough(found))
            }
            None => enough(succeeded.total()),
        }
    })?;
    Some(format!("Matched rules at index {met}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn judged(rules: Value, status: Value) -> Verdict {
        let spec = json!({"template": {}, "podFailurePolicy": {"rules": rules}});
        let pod = json!({"metadata": {"namespace": "ns", "name": "p"}, "status": status});
        judge(
            &serde_json::from_value(spec).unwrap(),
            &serde_json::from_value(pod).unwrap(),
        )
    }

    fn ended(name: &str, code: i32) -> Value {
        json!({"name": name, "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": {"terminated": {"exitCode": code}}})
    }

    #[test]
    fn the_first_rule_that_matches_the_exit_code_decides() {
        let rule = |action: &str, operator: &str, values: &[i32]| json!({"action": action, "onExitCodes": {"operator": operator, "values": values}});
        let fails = |text: &str| Verdict::JobFails {
            message: text.into(),
        };
        let cases = [
            (vec![rule("Ignore", "In", &[1, 2])], 2, Verdict::Ignored),
            (vec![rule("Ignore", "In", &[1, 2])], 3, Verdict::Counted),
            (vec![rule("Ignore", "NotIn", &[1, 2])], 3, Verdict::Ignored),
            (vec![rule("Ignore", "NotIn", &[1, 2])], 0, Verdict::Counted),
            (
                vec![rule("Count", "In", &[3]), rule("FailJob", "In", &[3])],
                3,
                Verdict::Counted,
            ),
            (vec![rule("FailIndex", "In", &[3])], 3, Verdict::IndexFails),
            (
                vec![rule("Ignore", "In", &[9]), rule("FailJob", "In", &[3])],
                3,
                fails(
                    "Container main for pod ns/p failed with exit code 3 matching FailJob rule at index 1",
                ),
            ),
            (vec![rule("Unheard", "In", &[3])], 3, Verdict::Counted),
        ];
        for (rules, code, verdict) in cases {
            let status = json!({"containerStatuses": [ended("main", code)]});
            assert_eq!(judged(json!(rules), status), verdict, "{rules:?} {code}");
        }
    }

    #[test]
    fn a_rule_for_a_named_container_looks_at_no_other_and_reaches_init_containers() {
        let rules = json!([{"action": "Ignore", "onExitCodes": {"containerName": "main", "operator": "In", "values": [5]}}]);
        assert_eq!(
            judged(
                rules.clone(),
                json!({"containerStatuses": [ended("side", 5)]})
            ),
            Verdict::Counted
        );
        assert_eq!(
            judged(rules, json!({"initContainerStatuses": [ended("main", 5)]})),
            Verdict::Ignored
        );
    }

    #[test]
    fn a_rule_for_conditions_matches_type_and_status() {
        let rules = json!([{"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]);
        let with =
            |status: &str| json!({"conditions": [{"type": "DisruptionTarget", "status": status}]});
        let message =
            "Pod ns/p has condition DisruptionTarget matching FailJob rule at index 0".to_owned();
        assert_eq!(
            judged(rules.clone(), with("True")),
            Verdict::JobFails { message }
        );
        assert_eq!(judged(rules, with("False")), Verdict::Counted);
    }

    #[test]
    fn a_success_policy_is_met_by_its_indexes_or_its_count() {
        let cases = [
            (json!([{"succeededIndexes": "0-2"}]), "0-2", Some(0)),
            (json!([{"succeededIndexes": "0-2"}]), "0,2", None),
            (
                json!([{"succeededIndexes": "0-2", "succeededCount": 2}]),
                "0,2,5",
                Some(0),
            ),
            (json!([{"succeededCount": 3}]), "1,4", None),
            (
                json!([{"succeededCount": 9}, {"succeededCount": 2}]),
                "1,4",
                Some(1),
            ),
            (json!([{"succeededIndexes": "20-30"}]), "0-9", None),
            (json!([{"succeededCount": 1}]), "", None),
        ];
        for (rules, succeeded, met) in cases {
            let policy: SuccessPolicy = serde_json::from_value(json!({"rules": rules})).unwrap();
            let found = success(Some(&policy), 10, &Indexes::parse(succeeded, 10));
            assert_eq!(
                found,
                met.map(|at| format!("Matched rules at index {at}")),
                "{rules} {succeeded}"
            );
        }
        assert_eq!(success(None, 10, &Indexes::parse("0-9", 10)), None);
    }
}
