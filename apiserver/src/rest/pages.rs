//! Pages that are about no resource: discovery, OpenAPI, version, health and metrics.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use http::{HeaderValue, Method};
use objects::Value;
use objects::discovery::{self, Aggregated, Build, Discovery, Entry};
use objects::status::{Reason, Status};
use parking_lot::Mutex;
use sha2::{Digest, Sha512};

use super::answer::{self, Answer};
use super::front::{Admitted, Front};
use super::media::{DiscoveryForm, discovery_form};
use super::openapi::{self, OpenApi};
use crate::apiservices::ApiServices;
use crate::authn::service_accounts::discovery::MAX_AGE_SECONDS;
use crate::served::{Origin, Served, Table, not_yet_known};

/// The release of Kubernetes whose API is served.
pub const VERSION: &str = "v1.36.3";

/// The media type of Prometheus' text form.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What pages need beside the registry.
#[derive(Debug, Default)]
pub struct Pages {
    /// The address that clients inside a cluster are told.
    pub advertised: String,
    /// Whether the encryption configuration is followed: upstream has a check then, which without key services is always good.
    pub reloads_encryption: bool,
    openapi: Arc<OpenApi>,
    /// Encoded discovery documents of one generation of the resource table.
    documents: Mutex<Documents>,
}

#[derive(Debug, Default)]
struct Documents {
    /// Of the table, and of what others serve.
    generation: (u64, u64),
    aggregated: Vec<(String, Arc<Aggregated>)>,
}

/// Answers a request to a page.
pub(super) async fn answer(front: &Front, request: &Admitted) -> Result<Answer, Status> {
    if !matches!(request.method, Method::GET | Method::HEAD) {
        return Err(Status::new(
            Reason::MethodNotAllowed,
            "the server does not allow this method on the requested resource",
        ));
    }
    let path = request.path.trim_end_matches('/');
    match path {
        "" => return Ok(answer::json(&index(&front.registry.resources.table()))),
        "/version" => return Ok(answer::json(&version())),
        "/healthz" | "/livez" | "/readyz" => return Ok(health(front, path, request)),
        "/metrics" => {
            return Ok(answer::bytes(200, METRICS, metrics(front)));
        }
        "/.well-known/openid-configuration" | "/openid/v1/jwks" => return keys(front, path),
        _ => {}
    }
    if let Some((word, name)) = path[1..].split_once('/')
        && matches!(word, "healthz" | "livez" | "readyz")
    {
        return Ok(check(front, name));
    }
    if path.starts_with("/openapi/") {
        let table = front.registry.resources.whole_table().await?;
        let found = openapi::answer(&front.pages.openapi, table, request).await?;
        return Ok(found.unwrap_or_else(|| answer::bytes(404, "", "")));
    }
    if path == "/api" || path.starts_with("/apis") || path.starts_with("/api/") {
        return discover(front, request, path).await;
    }
    Err(if front.registry.resources.table().is_whole {
        missing()
    } else {
        not_yet_known()
    })
}

/// The documents by which others check tokens of this cluster.
fn keys(front: &Front, path: &str) -> Result<Answer, Status> {
    let tokens = front.tokens.as_ref().ok_or_else(missing)?;
    let mut answer = if path == "/openid/v1/jwks" {
        let keys = tokens.keys_document().to_string();
        answer::bytes(200, "application/jwk-set+json", keys)
    } else {
        let url = format!("https://{}/openid/v1/jwks", front.pages.advertised);
        let document = tokens.issuer_document(&url).ok_or_else(missing)?;
        answer::bytes(200, "application/json", document.to_string())
    };
    let age = format!("public, max-age={MAX_AGE_SECONDS}");
    let age = HeaderValue::from_str(&age).expect("a number is a header");
    answer.headers_mut().insert(CACHE_CONTROL, age);
    Ok(answer)
}

/// One check of health.
fn check(front: &Front, name: &str) -> Answer {
    let found = checks(front).into_iter().find(|(known, _)| *known == name);
    match found {
        Some((_, true)) => answer::text(200, "ok"),
        Some((_, false)) => answer::text(500, "internal server error: reason withheld\n"),
        None => answer::text(404, "404 page not found\n"),
    }
}

fn missing() -> Status {
    Status::new(
        Reason::NotFound,
        "the server could not find the requested resource",
    )
}

fn version() -> Value {
    discovery::version(&Build {
        git_version: VERSION,
        git_commit: "",
        build_date: "1970-01-01T00:00:00Z",
        compiler_version: "rustc",
        platform: "linux/amd64",
    })
}

fn index(table: &Table) -> Value {
    let mut paths: Vec<String> = [
        "/api",
        "/api/v1",
        "/.well-known/openid-configuration",
        "/openid/v1/jwks",
        "/apis",
        "/healthz",
        "/livez",
        "/metrics",
        "/openapi/v2",
        "/openapi/v3",
        "/readyz",
        "/version",
    ]
    .map(str::to_owned)
    .to_vec();
    for served in &table.all {
        let resource = &served.resource;
        if !resource.group.is_empty() {
            paths.push(format!("/apis/{}", resource.group));
            paths.push(format!("/apis/{}/{}", resource.group, resource.version));
        }
    }
    paths.sort();
    paths.dedup();
    serde_json::json!({"paths": paths})
}

fn metrics(front: &Front) -> String {
    let mut text = front.gate.text();
    text.push_str(&front.load.text());
    text
}

/// One check and what it says: every server has a line for each when it is asked `verbose`.
fn checks(front: &Front) -> Vec<(&'static str, bool)> {
    let is_bootstrapped = front.registry.is_bootstrapped.load(Ordering::Relaxed);
    let mut checks = vec![
        ("ping", true),
        ("etcd", front.registry.feed.position().get() > 0),
        ("informer-sync", front.registry.feed.is_loaded()),
        (
            "poststarthook/crd-informer-synced",
            front.registry.resources.table().is_whole,
        ),
        ("poststarthook/rbac/bootstrap-roles", is_bootstrapped),
        (
            "poststarthook/scheduling/bootstrap-system-priority-classes",
            is_bootstrapped,
        ),
        ("shutdown", !front.stopping.is_cancelled()),
    ];
    if front.pages.reloads_encryption {
        checks.push(("kms-providers", true));
    }
    checks
}

fn health(front: &Front, path: &str, request: &Admitted) -> Answer {
    // A server that lives may wait for its store; one that is ready may not.
    let needs_all = path != "/livez";
    let excluded = |name: &str| {
        request
            .query
            .iter()
            .any(|(key, value)| key == "exclude" && value == name)
    };
    let verbose = request.query.iter().any(|(key, _)| key == "verbose");
    let mut lines = String::new();
    let mut healthy = true;
    let is_asked = |(name, _): &(&str, bool)| *name != "shutdown" || path == "/readyz";
    for (name, good) in checks(front).into_iter().filter(is_asked) {
        let good = good || !needs_all;
        if excluded(name) {
            lines.push_str(&format!("[+]{name} excluded: ok\n"));
        } else if good {
            lines.push_str(&format!("[+]{name} ok\n"));
        } else {
            healthy = false;
            lines.push_str(&format!("[-]{name} failed: reason withheld\n"));
        }
    }
    let word = path.trim_start_matches('/');
    match (healthy, verbose) {
        (true, false) => answer::text(200, "ok"),
        (true, true) => answer::text(200, format!("{lines}{word} check passed\n")),
        (false, _) => answer::text(500, format!("{lines}{word} check failed\n")),
    }
}

/// What this server serves, without what another one measures in its place.
fn entries<'a>(table: &'a Table, others: &ApiServices) -> impl Iterator<Item = Entry<'a>> {
    let is_own = |served: &&Arc<Served>| {
        let resource = &served.resource;
        !served.is_measured() || others.find(&resource.group, &resource.version).is_none()
    };
    table.all.iter().filter(is_own).map(|served| Entry {
        resource: &served.resource,
        custom_storage_version: match &served.origin {
            Origin::Builtin | Origin::Measured(_) => None,
            Origin::Custom(custom) => Some(custom.storage_version.as_str()),
        },
    })
}

async fn discover(front: &Front, request: &Admitted, path: &str) -> Result<Answer, Status> {
    let table = if path.starts_with("/apis") {
        front.registry.resources.whole_table().await?
    } else {
        // No definition adds to the group without a name.
        front.registry.resources.table()
    };
    let whole = matches!(path, "/api" | "/apis");
    if whole && let DiscoveryForm::Aggregated { beta } = discovery_form(request.header(ACCEPT)) {
        return Ok(aggregated(front, request, &table, beta));
    }
    let others = &front.apiservices;
    let documents = Discovery::new(entries(&table, others));
    let mut parts = path.trim_start_matches('/').split('/');
    let document = match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some("api"), None, ..) => Some(documents.api_versions(&front.pages.advertised)),
        (Some("api"), Some(version), None, _) => documents.resource_list("", version),
        (Some("apis"), None, ..) => {
            let mut list = documents.group_list();
            others.add_groups(&mut list);
            Some(list)
        }
        (Some("apis"), Some(group), None, _) => documents
            .group_document(group)
            .or_else(|| others.group(group)),
        (Some("apis"), Some(group), Some(version), None) => documents.resource_list(group, version),
        _ => None,
    };
    let mut answer = answer::json(&document.ok_or_else(missing)?);
    answer
        .headers_mut()
        .insert(VARY, HeaderValue::from_static("Accept"));
    Ok(answer)
}

fn aggregated(front: &Front, request: &Admitted, table: &Table, beta: bool) -> Answer {
    let path = request.path.trim_end_matches('/').to_owned();
    let document = front.pages.aggregated(table, &front.apiservices, &path);
    let etag = HeaderValue::from_str(&document.etag).expect("a hash in quotes is a header");
    if request.headers.get(IF_NONE_MATCH) == Some(&etag) {
        // Headers of such an answer replace those of the page that the client kept, so it has no content type.
        let mut answer = answer::bytes(304, "", "");
        answer.headers_mut().remove(CONTENT_TYPE);
        answer.headers_mut().insert(ETAG, etag);
        mark_shared(&mut answer);
        return answer;
    }
    let mut body = document.body.clone();
    let content_type = if beta {
        body["apiVersion"] = "apidiscovery.k8s.io/v2beta1".into();
        discovery::AGGREGATED_CONTENT_TYPE.replace("v=v2", "v=v2beta1")
    } else {
        discovery::AGGREGATED_CONTENT_TYPE.to_owned()
    };
    let mut answer = answer::bytes(200, &content_type, body.to_string());
    answer.headers_mut().insert(ETAG, etag);
    mark_shared(&mut answer);
    answer
}

/// The document of all groups, with those of other servers behind them.
fn with_others(mut document: Aggregated, others: &ApiServices) -> Aggregated {
    if let Some(items) = document.body["items"].as_array_mut() {
        others.add_aggregated(items);
    }
    document.etag = format!("\"{:X}\"", Sha512::digest(document.body.to_string()));
    document
}

/// Says that a page may be kept, for who asks with the same `Accept`.
fn mark_shared(answer: &mut Answer) {
    let headers = answer.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("Accept"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public"));
}

impl Pages {
    /// The pages of a server that clients are told this address of.
    #[must_use]
    pub fn new(advertised: String, reloads_encryption: bool) -> Pages {
        Pages {
            advertised,
            reloads_encryption,
            ..Pages::default()
        }
    }

    /// `/api` or `/apis` with all their resources.
    pub(crate) fn aggregated(
        &self,
        table: &Table,
        others: &ApiServices,
        path: &str,
    ) -> Arc<Aggregated> {
        let mut documents = self.documents.lock();
        let generation = (table.generation, others.generation());
        if documents.generation != generation {
            *documents = Documents {
                generation,
                aggregated: Vec::new(),
            };
        }
        if let Some((_, document)) = documents.aggregated.iter().find(|(known, _)| known == path) {
            return document.clone();
        }
        let discovery = Discovery::new(entries(table, others));
        let made = Arc::new(if path == "/api" {
            discovery.aggregated_core()
        } else {
            with_others(discovery.aggregated_groups(), others)
        });
        documents.aggregated.push((path.to_owned(), made.clone()));
        made
    }
}
