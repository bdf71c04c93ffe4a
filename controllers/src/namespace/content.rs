//! Deletes what is in a namespace, and counts what is left.

use std::collections::BTreeMap;

use client::{Client, DeleteOptions, Dynamic, Error, Propagation, Query, ServedResource};
use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::conditions::Outcome;
use crate::resources;

/// Seconds after which objects are looked at again that wait for finalizers.
const FINALIZERS_SECONDS: i64 = 15;
/// Resources that are dealt with at a time.
const AT_A_TIME: usize = 8;

/// One round: deletes, and tells what is left. What other objects depend on outlives the pods.
pub(super) async fn delete(client: &Client, namespace: &str, deleted: Timestamp) -> Outcome {
    let mut outcome = Outcome::default();
    let all = match client.discover().await {
        Ok(all) => all,
        Err(error) => {
            outcome.discovery = Some(error.to_string());
            return outcome;
        }
    };
    outcome.discovery = unknown(&all.unknown);
    let all = resources::that_can(&all.resources, &["delete"]);
    let namespaced = all.into_iter().filter(|served| served.resource.namespaced);
    let is_pods = |served: &ServedResource| {
        served.resource.group.is_empty() && served.resource.plural == "pods"
    };
    let (pods, others): (Vec<_>, Vec<_>) = namespaced.partition(is_pods);
    for served in pods {
        match grace_seconds(client, namespace, deleted).await {
            Ok(estimate) => {
                outcome.add(delete_all(client, &served, namespace, estimate).await);
            }
            Err(error) => outcome.failures.push(error.to_string()),
        }
    }
    if outcome.remaining.values().any(|count| *count > 0) {
        // Upstream tells what is left only once the pods are gone.
        outcome.remaining.clear();
        outcome.finalizers.clear();
        outcome.estimate_seconds = outcome.estimate_seconds.max(1);
        return outcome;
    }
    let rounds = others
        .into_iter()
        .map(|served| async move { delete_all(client, &served, namespace, 0).await });
    let mut rounds = futures::stream::iter(rounds).buffer_unordered(AT_A_TIME);
    while let Some(round) = rounds.next().await {
        outcome.add(round);
    }
    outcome
}

/// What is told of groups whose servers do not say what they serve.
fn unknown(groups: &[(String, String)]) -> Option<String> {
    if groups.is_empty() {
        return None;
    }
    let told = groups.iter().map(|(group, version)| {
        format!("{group}/{version}: stale GroupVersion discovery: {group}/{version}")
    });
    let told: Vec<String> = told.collect();
    Some(format!(
        "Discovery failed for some groups, {} failing: unable to retrieve the complete list of server APIs: {}",
        told.len(),
        told.join(", ")
    ))
}

/// Seconds that the pods may take from the deletion of the namespace on; 0 when they are over.
async fn grace_seconds(client: &Client, namespace: &str, deleted: Timestamp) -> Result<i64, Error> {
    let pods = client.list::<Pod>(&Query::namespace(namespace)).await?;
    let elapsed = Timestamp::now().duration_since(deleted).as_secs();
    let seconds = longest(&pods.items);
    Ok(if elapsed >= seconds { 0 } else { seconds })
}

/// The longest grace period of pods that have not ended.
fn longest(pods: &[Pod]) -> i64 {
    let runs = |pod: &&Pod| {
        let phase = pod
            .status
            .as_ref()
            .and_then(|status| status.phase.as_deref());
        !matches!(phase, Some("Succeeded" | "Failed"))
    };
    let grace = |pod: &Pod| pod.spec.as_ref()?.termination_grace_period_seconds;
    let graces = pods.iter().filter(runs).filter_map(grace);
    graces.max().unwrap_or_default().max(0)
}

/// Deletes all objects of a resource.
async fn delete_all(
    client: &Client,
    served: &ServedResource,
    namespace: &str,
    estimate: i64,
) -> Outcome {
    let objects = client.dynamic(served.resource.clone());
    let mut outcome = Outcome {
        estimate_seconds: estimate,
        ..Outcome::default()
    };
    let can = |verb| served.can(&[verb]);
    match try_delete(&objects, namespace, (can("list"), can("deletecollection"))).await {
        Ok(left) => outcome.add(count(served, namespace, &left, estimate)),
        Err(error) if error.is_not_found() || error.reason() == "MethodNotAllowed" => {}
        Err(error) => outcome.failures.push(error.to_string()),
    }
    outcome
}

/// Deletes objects, all at once if that can be, and tells the finalizers of each that is left.
async fn try_delete(
    objects: &Dynamic,
    namespace: &str,
    (can_list, can_delete_all): (bool, bool),
) -> Result<Vec<Vec<String>>, Error> {
    let query = Query::namespace(namespace);
    let options = DeleteOptions {
        propagation: Propagation::Background,
        ..DeleteOptions::default()
    };
    if can_list {
        let found = objects.list(&query).await?.items;
        if found.is_empty() {
            return Ok(Vec::new());
        }
        if !can_delete_all {
            for object in found {
                let key = client::Object::key(&object);
                match objects.delete(&key, &options).await {
                    Err(error) if !error.is_not_found() => return Err(error),
                    _ => {}
                }
            }
        }
    }
    if can_delete_all {
        objects.delete_all(&query, &options).await?;
    }
    if !can_list {
        return Ok(Vec::new());
    }
    let left = objects.list(&query).await?.items;
    let finalizers = left.iter().map(|object| {
        let finalizers = object.finalizers().into_iter();
        finalizers.map(str::to_owned).collect()
    });
    Ok(finalizers.collect())
}

/// What is left of a resource. What waits for nothing should not be there any more.
fn count(served: &ServedResource, namespace: &str, left: &[Vec<String>], estimate: i64) -> Outcome {
    let mut outcome = Outcome::default();
    if left.is_empty() {
        return outcome;
    }
    let (group, plural) = (&served.resource.group, &served.resource.plural);
    outcome
        .remaining
        .insert(format!("{plural}.{group}"), left.len());
    let mut finalizers: BTreeMap<String, usize> = BTreeMap::new();
    for name in left.iter().flatten() {
        *finalizers.entry(name.clone()).or_default() += 1;
    }
    if estimate == 0 && finalizers.is_empty() {
        let version = &served.resource.version;
        outcome.failures.push(format!(
            "unexpected items still remain in namespace: {namespace} for gvr: {group}/{version}, Resource={plural}"
        ));
    } else if estimate == 0 {
        outcome.estimate_seconds = FINALIZERS_SECONDS;
    }
    outcome.finalizers = finalizers;
    outcome
}

#[cfg(test)]
mod tests {
    use client::Resource;
    use serde_json::json;

    use super::*;

    fn served() -> ServedResource {
        ServedResource {
            resource: Resource {
                group: "batch".to_owned(),
                version: "v1".to_owned(),
                plural: "jobs".to_owned(),
                namespaced: true,
            },
            kind: "Job".to_owned(),
            singular: String::new(),
            short_names: Vec::new(),
            verbs: Vec::new(),
            subresources: Vec::new(),
            preferred: true,
        }
    }

    #[test]
    fn what_is_left_is_waited_for_or_is_a_fault() {
        let of = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let left: Vec<Vec<String>> = vec![of(&["a/b"]), of(&["a/b", "c"])];
        let outcome = count(&served(), "n", &left, 0);
        assert_eq!(outcome.remaining["jobs.batch"], 2);
        assert_eq!((outcome.finalizers["a/b"], outcome.finalizers["c"]), (2, 1));
        assert_eq!(outcome.estimate_seconds, FINALIZERS_SECONDS);
        assert!(outcome.failures.is_empty());
        let outcome = count(&served(), "n", &[of(&[])], 0);
        assert_eq!(
            outcome.failures,
            ["unexpected items still remain in namespace: n for gvr: batch/v1, Resource=jobs"]
        );
        let outcome = count(&served(), "n", &[of(&[])], 30);
        assert!(outcome.failures.is_empty() && outcome.estimate_seconds == 0);
        assert_eq!(count(&served(), "n", &[], 0), Outcome::default());
    }

    #[test]
    fn groups_that_nobody_knows_are_told() {
        assert_eq!(unknown(&[]), None);
        let told = unknown(&[("a.b".to_owned(), "v1".to_owned())]).unwrap();
        assert_eq!(
            told,
            "Discovery failed for some groups, 1 failing: unable to retrieve the complete list of server APIs: \
             a.b/v1: stale GroupVersion discovery: a.b/v1"
        );
    }

    #[test]
    fn pods_that_run_are_given_their_grace_period() {
        let pod = |grace: i64, phase: &str| -> Pod {
            let pod = json!({
                "metadata": {},
                "spec": {"containers": [], "terminationGracePeriodSeconds": grace},
                "status": {"phase": phase},
            });
            serde_json::from_value(pod).unwrap()
        };
        let pods = [pod(5, "Running"), pod(90, "Failed"), pod(7, "Pending")];
        assert_eq!(longest(&pods), 7);
        assert_eq!(longest(&[]), 0);
    }
}
