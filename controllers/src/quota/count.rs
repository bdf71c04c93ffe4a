//! The status of a quota, by the objects that it counts.

use objects::amounts::{self, Amounts};
use objects::quantity::Quantity;
use objects::{Map, Value, meta, quota};
use serde_json::json;

/// All objects of a resource in the quota's namespace.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) group: String,
    pub(super) plural: String,
    pub(super) objects: Vec<Value>,
}

/// Whether a quota has a limit that objects of a resource are counted for.
pub(super) fn is_counted(found: &Value, group: &str, plural: &str) -> bool {
    let hard = meta::map(found, &["spec", "hard"]).into_iter().flatten();
    let mut names = hard.map(|(name, _)| name);
    names.any(|name| quota::counts(group, plural, name))
}

/// The status that a quota should have; nothing if it has it. What is counted nowhere stays as it was.
pub(super) fn status(found: &Value, counted: &[Counted], now_seconds: i64) -> Option<Value> {
    let hard = amounts::at(found, &["spec", "hard"]);
    let before = amounts::at(found, &["status", "used"]);
    let mut used = before.clone();
    for resource in counted {
        used.extend(used_by(found, &hard, resource, now_seconds));
    }
    used.retain(|name, _| hard.contains_key(name));
    let has = |field| meta::at(found, &["status", field]).is_some_and(Value::is_object);
    let is_current = has("hard")
        && has("used")
        && amounts::at(found, &["status", "hard"]) == hard
        && before == used;
    (!is_current).then(|| json!({"hard": written(&hard), "used": written(&used)}))
}

/// What the objects of a resource use, by the names of the quota.
fn used_by(found: &Value, hard: &Amounts, resource: &Counted, now_seconds: i64) -> Amounts {
    let (group, plural) = (&*resource.group, &*resource.plural);
    let names = hard
        .keys()
        .filter(|name| quota::counts(group, plural, name));
    let mut used: Amounts = names.map(|name| (name.clone(), Quantity::zero())).collect();
    for object in &resource.objects {
        if !quota::in_scope(found, group, plural, object) {
            continue;
        }
        let mut usage = quota::usage(group, plural, object, now_seconds);
        usage.retain(|name, _| used.contains_key(name));
        amounts::add(&mut used, &usage);
    }
    used
}

fn written(amounts: &Amounts) -> Map {
    amounts
        .iter()
        .map(|(name, amount)| (name.clone(), json!(amount.to_string())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pods(pods: Vec<Value>) -> Counted {
        Counted {
            group: String::new(),
            plural: "pods".to_owned(),
            objects: pods,
        }
    }

    fn pod(cpu: &str, phase: &str) -> Value {
        json!({
            "spec": {"containers": [{"resources": {"requests": {"cpu": cpu}}}]},
            "status": {"phase": phase},
        })
    }

    #[test]
    fn objects_are_counted_and_what_ended_is_not() {
        let hard =
            json!({"pods": "4", "requests.cpu": "2", "count/pods": "9", "count/unheard.of": "1"});
        let mut quota = json!({"spec": {"hard": hard}});
        let counted = [pods(vec![
            pod("300m", "Running"),
            pod("700m", "Pending"),
            pod("5", "Succeeded"),
        ])];
        let found = status(&quota, &counted, 0).unwrap();
        assert_eq!(found["hard"], hard);
        let used = json!({"pods": "2", "requests.cpu": "1", "count/pods": "3"});
        assert_eq!(found["used"], used);
        quota["status"] = found;
        assert_eq!(status(&quota, &counted, 0), None);
        // The same amount in other words is no change.
        quota["status"]["used"]["requests.cpu"] = json!("1000m");
        assert_eq!(status(&quota, &counted, 0), None);
        let none = status(&quota, &[pods(Vec::new())], 0).unwrap();
        assert_eq!(none["used"]["pods"], "0");
    }

    #[test]
    fn a_quota_with_scopes_counts_what_is_in_them() {
        let quota =
            json!({"spec": {"hard": {"pods": "4", "configmaps": "1"}, "scopes": ["BestEffort"]}});
        let maps = Counted {
            group: String::new(),
            plural: "configmaps".to_owned(),
            objects: vec![json!({})],
        };
        let plain = json!({"spec": {"containers": [{}]}});
        let counted = [pods(vec![plain, pod("1", "Running")]), maps];
        let found = status(&quota, &counted, 0).unwrap();
        assert_eq!(found["used"], json!({"pods": "1", "configmaps": "0"}));
    }

    #[test]
    fn what_cannot_be_counted_stays_and_what_is_not_limited_any_more_goes() {
        let quota = json!({
            "spec": {"hard": {"count/as.b": "3"}},
            "status": {"hard": {"count/as.b": "2"}, "used": {"count/as.b": "1", "pods": "1"}},
        });
        let found = status(&quota, &[], 0).unwrap();
        assert_eq!(found["used"], json!({"count/as.b": "1"}));
        assert!(is_counted(&quota, "b", "as") && !is_counted(&quota, "", "pods"));
    }
}
