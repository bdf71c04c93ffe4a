//! What an agent says that is used on its node (`/stats/summary`), of which processors and memory are kept.

use std::collections::HashMap;

use objects::{Value, meta};

use crate::clock;

/// The last second of the year 9999, behind which a time has no text.
const SECONDS_MAX: i64 = 253_402_300_799;

/// What is used on a node.
#[derive(Debug, Default)]
pub(super) struct Summary {
    pub(super) node: Option<Usage>,
    /// Containers by the namespace and name of their pod.
    pods: HashMap<(String, String), Vec<(String, Usage)>>,
}

/// What somebody used at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Usage {
    /// Seconds since 1970.
    pub(super) at_seconds: i64,
    /// Billionths of a processor.
    pub(super) nano_cores: u64,
    pub(super) memory_bytes: u64,
}

/// What an agent says of a node or a container.
enum Said {
    Whole(Usage),
    /// Something is missing.
    Part,
    /// Neither processors nor memory: it does not run.
    Nothing,
}

impl Summary {
    /// # Errors
    ///
    /// If it is no JSON.
    pub(super) fn read(bytes: &[u8]) -> Result<Summary, String> {
        let said: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let node = match said.get("node").map(usage) {
            Some(Said::Whole(usage)) => Some(usage),
            _ => None,
        };
        let pods = meta::list(&said, &["pods"]).iter().filter_map(|pod| {
            let text = |field| meta::text(pod, &["podRef", field]).to_owned();
            Some(((text("namespace"), text("name")), containers(pod)?))
        });
        Ok(Summary {
            node,
            pods: pods.collect(),
        })
    }

    /// The containers of a pod.
    pub(super) fn pod(&self, namespace: &str, name: &str) -> Option<&[(String, Usage)]> {
        let key = (namespace.to_owned(), name.to_owned());
        self.pods.get(&key).map(Vec::as_slice)
    }
}

/// The containers of a pod that run, by name; none if of one of them something is missing, for a part is not what the pod uses.
fn containers(pod: &Value) -> Option<Vec<(String, Usage)>> {
    let mut all = Vec::new();
    for container in meta::list(pod, &["containers"]) {
        match usage(container) {
            Said::Whole(usage) => all.push((meta::text(container, &["name"]).to_owned(), usage)),
            Said::Part => return None,
            Said::Nothing => {}
        }
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    (!all.is_empty()).then_some(all)
}

fn usage(said: &Value) -> Said {
    let number = |path: &[&str]| meta::at(said, path).and_then(Value::as_u64);
    let nano_cores = number(&["cpu", "usageNanoCores"]);
    let memory_bytes = number(&["memory", "workingSetBytes"]).filter(|bytes| *bytes > 0);
    let at_seconds = clock::seconds(meta::text(said, &["cpu", "time"]))
        .filter(|seconds| (0..=SECONDS_MAX).contains(seconds));
    match (at_seconds, nano_cores, memory_bytes) {
        (Some(at_seconds), Some(nano_cores), Some(memory_bytes)) => Said::Whole(Usage {
            at_seconds,
            nano_cores,
            memory_bytes,
        }),
        (_, None, None) => Said::Nothing,
        _ => Said::Part,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn used(time: &str, nano_cores: u64, bytes: u64) -> Value {
        json!({"name": "a", "cpu": {"time": time, "usageNanoCores": nano_cores}, "memory": {"workingSetBytes": bytes}})
    }

    #[test]
    fn a_pod_is_told_if_each_container_that_runs_is_told_whole() {
        let now = "2026-01-01T00:00:00Z";
        let one = used(now, 5, 7);
        for (containers, told) in [
            (json!([one]), Some(1)),
            (json!([one, {"name": "ended"}]), Some(1)),
            (json!([one, used(now, 0, 7)]), Some(2)),
            (json!([one, used(now, 5, 0)]), None),
            (json!([one, used("", 5, 7)]), None),
            (json!([one, used("9999-12-31T23:59:59-01:00", 5, 7)]), None),
            (
                json!([one, {"cpu": {"time": now, "usageNanoCores": -1}, "memory": {"workingSetBytes": 7}}]),
                None,
            ),
            (json!([{"name": "ended"}]), None),
            (json!([]), None),
            (json!(null), None),
        ] {
            let said = json!({"node": one, "pods": [{"podRef": {"name": "p", "namespace": "n"}, "containers": containers}]});
            let summary = Summary::read(said.to_string().as_bytes()).unwrap();
            let found = summary.pod("n", "p").map(<[_]>::len);
            assert_eq!(found, told, "{containers}");
            assert!(summary.pod("p", "n").is_none());
            let node = Usage {
                at_seconds: 1_767_225_600,
                nano_cores: 5,
                memory_bytes: 7,
            };
            assert_eq!(summary.node, Some(node));
        }
    }

    proptest! {
        #[test]
        fn nothing_that_an_agent_says_ends_the_server(bytes in proptest::collection::vec(any::<u8>(), 0..64), word in "[\\[\\]{}:,\"a-z0-9]{0,64}") {
            let _ = Summary::read(&bytes);
            let _ = Summary::read(word.as_bytes());
            let _ = Summary::read(format!("{{\"node\":{{\"cpu\":{word}}},\"pods\":{word}}}").as_bytes());
        }
    }
}
