//! What is answered at the port: checks of health, metrics, and the configuration.

use std::fmt::Write;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use metrics::Page;
use objects::status::{Reason, Status};
use serde_json::{Value, json};

use crate::access::Access;
use crate::candidate::Standing;

const TEXT: &str = "text/plain; charset=utf-8";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const JSON: &str = "application/json";
/// The pages of checks.
const HEALTH: [&str; 3] = ["healthz", "livez", "readyz"];

/// Something that is well or is not.
pub struct Check {
    /// As it is named in pages.
    pub name: &'static str,
    /// Whether the process can only be relied on, and not only lives, while it is well.
    pub is_of_readiness: bool,
    pub is_well: Box<dyn Fn() -> bool + Send + Sync>,
}

/// All that a process tells of itself.
pub struct Pages {
    pub standing: Standing,
    /// The lease that the process wants, if it wants one.
    pub lease: Option<String>,
    /// What is checked beside the lease.
    pub checks: Vec<Check>,
    /// Writes what the process counts beside what all count.
    pub metrics: Box<dyn Fn(&mut Page) + Send + Sync>,
    /// The configuration under the name of its kind's group.
    pub configuration: (&'static str, Value),
}

impl Pages {
    /// Answers a request if whoever sends it may read the page.
    pub(crate) async fn answer<B>(
        &self,
        access: &Access,
        request: &Request<B>,
    ) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        let verb = request.method().as_str().to_ascii_lowercase();
        let token = request.headers().get(AUTHORIZATION);
        let token = token
            .and_then(|header| header.to_str().ok())
            .and_then(bearer);
        if let Err(status) = access.judge(token, &verb, path).await {
            return refusal(&status);
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let message = format!("the server does not allow the method {}", request.method());
            return refusal(&Status::new(Reason::MethodNotAllowed, message));
        }
        self.page(path, request.uri().query().unwrap_or_default())
    }

    fn page(&self, path: &str, query: &str) -> Response<Full<Bytes>> {
        let path = path.strip_prefix('/').unwrap_or(path);
        let (first, rest) = match path.split_once('/') {
            Some((first, rest)) => (first, Some(rest)),
            None => (path, None),
        };
        match (first, rest) {
            ("metrics", None) => response(StatusCode::OK, METRICS, self.text()),
            ("configz", None) => {
                let (group, configuration) = &self.configuration;
                let told = json!({*group: configuration});
                response(StatusCode::OK, JSON, told.to_string())
            }
            (page, None) if HEALTH.contains(&page) => self.health(page, query),
            (page, Some(name)) if HEALTH.contains(&page) => self.check(page, name),
            _ => response(
                StatusCode::NOT_FOUND,
                TEXT,
                "404 page not found\n".to_owned(),
            ),
        }
    }

    fn text(&self) -> String {
        let mut page = Page::default();
        metrics::process::write(&mut page);
        if let Some(lease) = &self.lease {
            self.standing.write(&mut page, lease);
        }
        (self.metrics)(&mut page);
        page.into_text()
    }

    /// The checks of a page, with how they went.
    fn checked(&self, page: &str) -> Vec<(&'static str, bool)> {
        let mut checked = vec![("ping", true)];
        if self.lease.is_some() && page != "livez" {
            checked.push(("leaderElection", !self.standing.is_overdue()));
        }
        let checks = self.checks.iter();
        let own = checks.filter(|check| page == "readyz" || !check.is_of_readiness);
        checked.extend(own.map(|check| (check.name, (check.is_well)())));
        checked
    }

    fn health(&self, page: &str, query: &str) -> Response<Full<Bytes>> {
        let words: Vec<&str> = query.split('&').collect();
        let is_excluded = |name: &str| {
            words
                .iter()
                .any(|word| word.strip_prefix("exclude=") == Some(name))
        };
        let (mut told, mut fails) = (String::new(), false);
        for (name, is_well) in self.checked(page) {
            let line = if is_excluded(name) {
                format!("[+]{name} excluded: ok")
            } else if is_well {
                format!("[+]{name} ok")
            } else {
                fails = true;
                format!("[-]{name} failed: reason withheld")
            };
            writeln!(told, "{line}").expect("text can always be appended");
        }
        if fails {
            let told = format!("{told}{page} check failed\n");
            return response(StatusCode::INTERNAL_SERVER_ERROR, TEXT, told);
        }
        let is_verbose = words
            .iter()
            .any(|word| word.split('=').next() == Some("verbose"));
        let told = if is_verbose {
            format!("{told}{page} check passed\n")
        } else {
            "ok".to_owned()
        };
        response(StatusCode::OK, TEXT, told)
    }

    /// One check by its name.
    fn check(&self, page: &str, name: &str) -> Response<Full<Bytes>> {
        let checked = self.checked(page);
        let (status, told) = match checked.iter().find(|(own, _)| *own == name) {
            Some((_, true)) => (StatusCode::OK, "ok".to_owned()),
            Some((_, false)) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("internal server error: {name} failed\n"),
            ),
            None => (StatusCode::NOT_FOUND, "404 page not found\n".to_owned()),
        };
        response(status, TEXT, told)
    }
}

/// The token of a header that has one.
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

fn refusal(status: &Status) -> Response<Full<Bytes>> {
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response(code, JSON, status.to_value().to_string())
}

fn response(status: StatusCode, media: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
    headers.insert(
        "x-content-type-options",
        HeaderValue::from_static("nosniff"),
    );
    response
}

#[cfg(test)]
mod tests;
