//! What a quota of CPU or memory wants every container of a pod to say.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Value, amounts, meta};

/// The names that containers have to say something about once a quota limits them.
const SAID: [&str; 6] = [
    "cpu",
    "memory",
    "requests.cpu",
    "requests.memory",
    "limits.cpu",
    "limits.memory",
];

/// What a pod does not say though a quota limits these names, as text; none if it says everything. A pod with resources of its own
/// speaks for its containers.
#[must_use]
pub fn unsaid<'a>(pod: &Value, limited: impl Iterator<Item = &'a str>) -> Option<String> {
    if speaks_for_all(pod) {
        return None;
    }
    let limited: BTreeSet<&str> = limited.filter(|name| SAID.contains(name)).collect();
    let mut missing = BTreeMap::new();
    for list in ["containers", "initContainers"] {
        for container in meta::list(pod, &["spec", list]) {
            for name in limited.iter().filter(|name| !says(container, name)) {
                let of_name: &mut BTreeSet<&str> = missing.entry(*name).or_default();
                of_name.insert(meta::text(container, &["name"]));
            }
        }
    }
    let texts: Vec<String> = missing
        .into_iter()
        .map(|(name, containers)| {
            let containers: Vec<&str> = containers.into_iter().collect();
            format!("{name} for: {}", containers.join(","))
        })
        .collect();
    (!texts.is_empty()).then(|| format!("must specify {}", texts.join("; ")))
}

fn speaks_for_all(pod: &Value) -> bool {
    ["requests", "limits"].iter().any(|part| {
        let own = meta::map(pod, &["spec", "resources", part]);
        own.into_iter()
            .flatten()
            .any(|(name, _)| amounts::is_of_pods(name))
    })
}

/// Whether a container says something under the name that a quota has for it.
fn says(container: &Value, name: &str) -> bool {
    let (part, resource) = name.split_once('.').unwrap_or(("requests", name));
    meta::at(container, &["resources", part, resource]).is_some()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn containers_say_what_a_quota_limits() {
        let says_all = json!({"name": "b", "resources": {"requests": {"cpu": "1", "memory": "1"}, "limits": {"cpu": "1"}}});
        let mut pod = json!({"spec": {"containers": [{"name": "c"}, says_all], "initContainers": [{"name": "a"}]}});
        let told = |pod: &Value, names: &[&str]| unsaid(pod, names.iter().copied());
        assert_eq!(
            told(&pod, &["requests.memory", "limits.cpu", "cpu"]).unwrap(),
            "must specify cpu for: a,c; limits.cpu for: a,c; requests.memory for: a,c"
        );
        assert_eq!(
            told(&pod, &["limits.memory"]).unwrap(),
            "must specify limits.memory for: a,b,c"
        );
        assert_eq!(told(&pod, &["pods", "requests.ephemeral-storage"]), None);
        pod["spec"]["resources"] = json!({"requests": {"memory": "1"}});
        assert_eq!(told(&pod, &["cpu"]), None);
    }
}
