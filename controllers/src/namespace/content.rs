//! Deletes what is in a namespace, and counts what is left.

use std::collections::{BTreeMap, BTreeSet};

use client::{
    Client, DeleteOptions, Discovered, Dynamic, DynamicObject, Error, Propagation, Query, Resource,
    ServedResource,
};
use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use objects::{Value, crd, meta};

use super::conditions::Outcome;
use crate::resources;

/// Seconds after which objects are looked at again that wait for finalizers.
const FINALIZERS_SECONDS: i64 = 15;
/// Resources that are dealt with at a time.
const AT_A_TIME: usize = 8;

/// One round: deletes, and tells what is left. What other objects depend on outlives the pods.
pub(super) async fn delete(client: &Client, namespace: &str, deleted: Timestamp) -> Outcome {
    let mut outcome = Outcome::default();
    let all = match discover(client).await {
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

/// What is served. A server that has just started may not tell yet what definitions bring, though there are objects of it.
async fn discover(client: &Client) -> Result<Discovered, Error> {
    let definitions = Resource {
        group: crd::GROUP.to_owned(),
        version: "v1".to_owned(),
        plural: crd::PLURAL.to_owned(),
        namespaced: false,
    };
    let mut all = client.discover().await?;
    let found = client.dynamic(definitions).list(&Query::default()).await?;
    let definitions = found.items.iter().map(DynamicObject::value);
    let untold = definitions.flat_map(|definition| untold(definition, &all.resources));
    let untold: BTreeSet<_> = untold.collect();
    all.unknown.extend(untold);
    Ok(all)
}

/// Groups and versions of a definition of objects in namespaces that should be told and are not.
fn untold(definition: &Value, told: &[ServedResource]) -> Vec<(String, String)> {
    let is_meant = crd::is_established(definition)
        && !meta::is_deleting(definition)
        && meta::text(definition, &["spec", "scope"]) == "Namespaced";
    if !is_meant {
        return Vec::new();
    }
    let group = meta::text(definition, &["spec", "group"]);
    let plural = meta::text(definition, &["status", "acceptedNames", "plural"]);
    let versions = meta::list(definition, &["spec", "versions"]).iter();
    let versions = versions.filter(|version| version["served"] == true);
    let versions = versions.map(|version| meta::text(version, &["name"]));
    let is_told = |version: &str| {
        told.iter().any(|served| {
            let Resource {
                group: of,
                version: at,
                plural: name,
                ..
            } = &served.resource;
            (&**of, &**at, &**name) == (group, version, plural)
        })
    };
    versions
        .filter(|version| !is_told(version))
        .map(|version| (group.to_owned(), version.to_owned()))
        .collect()
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
    fn kinds_of_definitions_that_a_server_does_not_tell_are_unknown() {
        let mut definition = json!({
            "metadata": {"name": "jobs.batch"},
            "spec": {"group": "batch", "scope": "Namespaced", "versions": [
                {"name": "v1", "served": true}, {"name": "v2", "served": true}, {"name": "v3", "served": false},
            ]},
            "status": {
                "acceptedNames": {"plural": "jobs"},
                "conditions": [{"type": "Established", "status": "True"}],
            },
        });
        let of = |version: &str| ("batch".to_owned(), version.to_owned());
        assert_eq!(untold(&definition, &[]), [of("v1"), of("v2")]);
        assert_eq!(untold(&definition, &[served()]), [of("v2")]);
        let mut other = served();
        other.resource.plural = "others".to_owned();
        assert_eq!(untold(&definition, &[other]), [of("v1"), of("v2")]);
        for (path, value) in [
            ("/spec/scope", json!("Cluster")),
            ("/status/conditions/0/status", json!("False")),
            (
                "/metadata",
                json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}),
            ),
        ] {
            let whole = definition.clone();
            *definition.pointer_mut(path).unwrap() = value;
            assert!(untold(&definition, &[]).is_empty(), "{path}");
            definition = whole;
        }
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
