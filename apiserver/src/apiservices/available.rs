//! Looks whether the servers of others' APIs are there, and writes it into the status of those.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use http::Request;
use http::header::{ACCEPT, HOST, HeaderValue};
use http_body_util::{BodyExt, Limited};
use objects::status::{Reason, Status};
use objects::{Value, meta};
use serde_json::json;
use tokio::time::Instant;

use super::{ApiServices, GROUP, PLURAL, introduce, port};
use crate::clock;
use crate::registry::{Registry, WriteOptions};
use crate::relay::{Relay, Target, nothing};
use crate::user::{MASTERS, User};

/// Pause between looks at servers that are there, or that are not for reasons which no object tells.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);
/// Pause after every round, whatever changes in it.
const ROUND_PAUSE: Duration = Duration::from_secs(1);
/// Servers that are looked at at a time.
const LOOKS_AT_A_TIME: usize = 16;
/// Pauses in which a server is left alone after its status has changed: the first one, which doubles, and the longest.
const REST_MIN: Duration = Duration::from_millis(500);
const REST_MAX: Duration = Duration::from_secs(30);
/// Time for a server to say what it serves.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of what a server says that it serves.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// Who is said to ask.
const ASKER: &str = "system:kube-aggregator";

/// What was found: the status, reason and message of a condition.
struct Found {
    status: &'static str,
    reason: &'static str,
    message: String,
}

/// How long a server is left alone: the longer, the more often its status changes. Where servers do not agree on one, they
/// write it ever more seldom.
#[derive(Debug, Clone, Copy)]
struct Rest {
    until: Instant,
    pause: Duration,
}

impl Rest {
    /// The rest after a change.
    fn after(last: Option<Rest>, now: Instant) -> Rest {
        let pause = match last {
            Some(last) if now < last.until + REST_MAX => (last.pause * 2).min(REST_MAX),
            _ => REST_MIN,
        };
        Rest {
            until: now + pause,
            pause,
        }
    }
}

type Rests = BTreeMap<String, Rest>;

fn missing(reason: &'static str, message: String) -> Found {
    Found {
        status: "False",
        reason,
        message,
    }
}

/// Looks at every change, and from time to time, until it is dropped.
pub(crate) async fn run(registry: Arc<Registry>, services: Arc<ApiServices>, relay: &Relay) {
    let table = registry.resources.table();
    let cache = |(group, plural): (&str, &str)| {
        let served = table.any_version(group, plural)?;
        registry.feed.cache(&served.resource.storage)
    };
    let wanted = [
        (GROUP, PLURAL),
        ("", "services"),
        ("discovery.k8s.io", "endpointslices"),
    ];
    let [Some(own), Some(others), Some(slices)] = wanted.map(cache) else {
        return;
    };
    let (mut own, mut others, mut slices) = (own.changes(), others.changes(), slices.changes());
    let mut rests = Rests::new();
    loop {
        own.mark_unchanged();
        others.mark_unchanged();
        slices.mark_unchanged();
        round(&registry, &services, relay, &mut rests).await;
        tokio::time::sleep(ROUND_PAUSE).await;
        let next = next_look(&rests, Instant::now());
        tokio::select! {
            Ok(()) = own.changed() => {}
            Ok(()) = others.changed(), if !services.all().is_empty() => {}
            Ok(()) = slices.changed(), if !services.all().is_empty() => {}
            () = tokio::time::sleep_until(next) => {}
        }
    }
}

/// When servers are looked at again if nothing changes: soon, if one rests until then.
fn next_look(rests: &Rests, now: Instant) -> Instant {
    let ends = rests.values().map(|rest| rest.until);
    let next = ends.filter(|until| *until > now).min();
    let latest = now + LOOK_INTERVAL;
    next.map_or(latest, |next| next.min(latest))
}

async fn round(registry: &Registry, services: &ApiServices, relay: &Relay, rests: &mut Rests) {
    let all = services.all();
    let names: Vec<String> = all
        .iter()
        .map(|service| meta::name(service).to_owned())
        .collect();
    services.forget_all_but(&names);
    rests.retain(|name, _| names.contains(name));
    let now = Instant::now();
    let due = all.iter().filter(|service| {
        let rest = rests.get(meta::name(service));
        rest.is_none_or(|rest| rest.until <= now)
    });
    let looks: Vec<_> = due
        .map(|service| async move {
            let found = look(services, relay, service).await;
            let told = tell(registry, service, &found).await;
            if let Err(status) = &told {
                tracing::debug!(error = %status, "cannot write whether an API service is available");
            }
            matches!(told, Ok(true)).then(|| meta::name(service).to_owned())
        })
        .collect();
    let mut looks = stream::iter(looks).buffer_unordered(LOOKS_AT_A_TIME);
    while let Some(changed) = looks.next().await {
        if let Some(name) = changed {
            let rest = Rest::after(rests.get(&name).copied(), Instant::now());
            rests.insert(name, rest);
        }
    }
}

async fn look(services: &ApiServices, relay: &Relay, service: &Value) -> Found {
    if let Some(found) = look_at_objects(services, service) {
        return found;
    }
    let text = |field| meta::text(service, &["spec", field]);
    let path = format!("/apis/{}/{}", text("group"), text("version"));
    let name = meta::name(service);
    let failed = |why: String| missing("FailedDiscoveryCheck", why);
    let target = match services.target(service, &path) {
        Ok(target) => target,
        Err(why) => return failed(why),
    };
    let (own, place) = (own_name(service), target.place.to_string());
    let url = target.url().replace(&place, &own);
    match tokio::time::timeout(ANSWER_TIMEOUT, ask(relay, &target)).await {
        Ok(Ok(resources)) => {
            services.learn(name, Some(resources));
            Found {
                status: "True",
                reason: "Passed",
                message: "all checks passed".to_owned(),
            }
        }
        Ok(Err(why)) => {
            services.learn(name, None);
            // Which of its endpoints was asked is different every time, and at every server.
            let why = why.replace(&place, &own);
            failed(format!("failing or missing response from {url}: {why}"))
        }
        Err(_elapsed) => {
            services.learn(name, None);
            failed(format!(
                "failing or missing response from {url}: Get {url:?}: context deadline exceeded"
            ))
        }
    }
}

/// The name and port of the service behind an API.
fn own_name(service: &Value) -> String {
    let text = |field| meta::text(service, &["spec", "service", field]);
    format!(
        "{}.{}.svc:{}",
        text("name"),
        text("namespace"),
        port(service)
    )
}

/// What the objects of the service say against it.
fn look_at_objects(services: &ApiServices, service: &Value) -> Option<Found> {
    let text = |field| meta::text(service, &["spec", "service", field]);
    let (namespace, name, port) = (text("namespace"), text("name"), port(service));
    let told = format!("service/{name} in {namespace:?}");
    let Some(found) = services.view.get("", "services", namespace, name) else {
        return Some(missing("ServiceNotFound", format!("{told} is not present")));
    };
    if !matches!(meta::text(&found, &["spec", "type"]), "" | "ClusterIP") {
        return None;
    }
    let ports = meta::list(&found, &["spec", "ports"]);
    let Some(own) = ports.iter().find(|own| own["port"] == port) else {
        let why = format!("{told} is not listening on port {port}");
        return Some(missing("ServicePortError", why));
    };
    let port_name = meta::text(own, &["name"]);
    let slices = services.services.slices(namespace, &found);
    if slices.is_empty() {
        let why = format!("cannot find endpointslices for {told}");
        return Some(missing("EndpointsNotFound", why));
    }
    let is_good = |slice: &Arc<Value>| {
        let is_ready = |one: &Value| one["conditions"]["ready"] != false;
        let is_named = |one: &Value| meta::text(one, &["name"]) == port_name;
        meta::list(slice, &["endpoints"]).iter().any(is_ready)
            && meta::list(slice, &["ports"]).iter().any(is_named)
    };
    if slices.iter().any(is_good) {
        return None;
    }
    Some(missing(
        "MissingEndpoints",
        format!("endpointslices for {told} have no addresses with port name {port_name:?}"),
    ))
}

/// What a server says that it serves.
async fn ask(relay: &Relay, target: &Target) -> Result<Value, String> {
    let url = target.url();
    let mut request = Request::get(&target.path)
        .header(HOST, target.place.to_string())
        .body(nothing())
        .map_err(|error| error.to_string())?;
    let headers = request.headers_mut();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    let asker = User {
        name: ASKER.to_owned(),
        groups: vec![MASTERS.to_owned()],
        ..User::default()
    };
    introduce(headers, &asker);
    let sent = relay.send(target, request).await;
    let response = sent.map_err(|failed| format!("Get {url:?}: {failed}"))?;
    let code = response.status();
    if !code.is_success() {
        return Err(format!("bad status from {url}: {}", code.as_u16()));
    }
    let read = Limited::new(response.into_body(), ANSWER_BYTES_MAX)
        .collect()
        .await;
    let bytes = read.map_err(|error| error.to_string())?.to_bytes();
    serde_json::from_slice(&bytes).map_err(|error| error.to_string())
}

/// Writes what was found, if it is news; tells whether it was.
async fn tell(registry: &Registry, service: &Value, found: &Found) -> Result<bool, Status> {
    let known = meta::list(service, &["status", "conditions"])
        .iter()
        .find(|one| one["type"] == "Available");
    let is_known = known.is_some_and(|known| {
        known["status"] == found.status
            && known["reason"] == found.reason
            && known["message"] == *found.message
    });
    if is_known {
        return Ok(false);
    }
    let since = known
        .filter(|known| known["status"] == found.status)
        .map_or_else(
            || clock::now().into(),
            |known| known["lastTransitionTime"].clone(),
        );
    let condition = json!({
        "type": "Available", "status": found.status, "reason": found.reason, "message": found.message,
        "lastTransitionTime": since,
    });
    let change = |service: &Value| {
        let mut service = service.clone();
        let status = meta::fields_mut(&mut service, "status");
        let conditions = status.entry("conditions").or_insert_with(|| json!([]));
        if let Some(conditions) = conditions.as_array_mut() {
            conditions.retain(|one| one["type"] != "Available");
            conditions.push(condition.clone());
        }
        Ok(service)
    };
    let mut request = registry.own_request((GROUP, PLURAL), service)?;
    "status".clone_into(&mut request.subresource);
    let written = registry
        .patch(&request, &change, &WriteOptions::default())
        .await;
    match written {
        Err(status) if status.reason != Reason::NotFound => Err(status),
        _ => Ok(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_that_changes_again_and_again_is_written_ever_more_seldom() {
        let mut now = Instant::now();
        let mut rest = None;
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let next = Rest::after(rest, now);
            pauses.push(next.pause.as_millis());
            now = next.until;
            rest = Some(next);
        }
        assert_eq!(
            pauses,
            [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]
        );
        assert_eq!(Rest::after(rest, now + REST_MAX).pause, REST_MIN);
    }

    #[test]
    fn servers_are_looked_at_when_their_rest_ends_and_from_time_to_time() {
        let now = Instant::now();
        let mut rests = Rests::new();
        assert_eq!(next_look(&rests, now), now + LOOK_INTERVAL);
        let mut add = |name: &str, until| {
            let pause = REST_MIN;
            rests.insert(name.to_owned(), Rest { until, pause });
            next_look(&rests, now)
        };
        assert_eq!(add("past", now), now + LOOK_INTERVAL);
        assert_eq!(add("later", now + REST_MAX), now + LOOK_INTERVAL);
        assert_eq!(add("soon", now + REST_MIN), now + REST_MIN);
    }

    #[test]
    fn a_message_names_the_service() {
        let service = json!({"spec": {"service": {"namespace": "n", "name": "s", "port": 8443}}});
        assert_eq!(own_name(&service), "s.n.svc:8443");
    }
}
