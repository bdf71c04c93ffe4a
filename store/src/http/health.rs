//! `/health`, `/livez` and `/readyz` as etcd answers them.

use std::fmt::Write;

use bytes::Bytes;
use http::header::X_CONTENT_TYPE_OPTIONS;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use state_machine::AlarmKind;

use super::query::Query;
use super::{TEXT, error, page_of};
use crate::grpc::{Edge, NO_LEADER, alarm_name};

/// Checks of `/livez`.
pub(super) const LIVEZ: &[&str] = &["serializable_read"];
/// Checks of `/readyz`.
pub(super) const READYZ: &[&str] = &[
    "data_corruption",
    "serializable_read",
    "linearizable_read",
    "non_learner",
];

/// `/health`: alarms, then the leader, then a read. `?exclude=NOSPACE` passes over an alarm, `?serializable=true` asks
/// for this replica alone.
pub(super) async fn health(edge: &Edge, query: &Query) -> Response<Full<Bytes>> {
    let serializable = query.first("serializable") == Some("true");
    let excluded: Vec<&str> = query.all("exclude").collect();
    let alarms = edge.replica.machine().alarms();
    let alarm = alarms
        .into_iter()
        .find(|(_, kind)| !excluded.contains(&alarm_name(*kind)));
    let reason = if let Some((_, kind)) = alarm {
        Some(format!("ALARM {}", alarm_name(kind)))
    } else if !serializable && edge.replica.raft_status().leader.is_none() {
        Some("RAFT NO LEADER".to_string())
    } else if serializable {
        None
    } else {
        let read = edge.read_barrier().await;
        read.err()
            .map(|status| format!("RANGE ERROR:{}", status.message()))
    };
    match reason {
        None => {
            edge.metrics.health_success.add(1);
            page_of(TEXT, body(None))
        }
        Some(reason) => {
            edge.metrics.health_failures.add(1);
            tracing::debug!(reason, "unhealthy");
            error(StatusCode::SERVICE_UNAVAILABLE, &body(Some(&reason)))
        }
    }
}

/// Reasons are our own texts, so nothing in them needs escaping but quotes.
fn body(reason: Option<&str>) -> String {
    let health = reason.is_none();
    let reason = serde_json::Value::from(reason.unwrap_or_default());
    format!("{{\"health\":\"{health}\",\"reason\":{reason}}}")
}

/// `/livez` and `/readyz`: all `checks` but the excluded ones, or the one that the path names.
pub(super) async fn checks(
    edge: &Edge,
    checks: &[&'static str],
    only: Option<&str>,
    query: &Query,
) -> Response<Full<Bytes>> {
    let mut report = Report::default();
    for check in checks {
        let wanted = match only {
            Some(only) => only == *check,
            None => !query.all("exclude").any(|excluded| excluded == *check),
        };
        if wanted {
            report.add(check, run(edge, check).await);
        }
    }
    report.answer(query.first("verbose").is_some())
}

async fn run(edge: &Edge, check: &str) -> Result<(), String> {
    match check {
        "data_corruption" => {
            let alarms = edge.replica.machine().alarms();
            let corrupt = alarms.iter().any(|(_, kind)| *kind == AlarmKind::Corrupt);
            if corrupt {
                Err("alarm activated: CORRUPT".to_string())
            } else {
                Ok(())
            }
        }
        // Answered at once where it could only wait.
        "linearizable_read" if edge.replica.raft_status().leader.is_none() => {
            Err(NO_LEADER.to_string())
        }
        "linearizable_read" => edge
            .read_barrier()
            .await
            .map_err(|status| status.message().to_string()),
        "non_learner" if edge.replica.raft_status().is_learner => {
            Err("not supported for learner".to_string())
        }
        // A serializable read needs nobody: this replica answers at all.
        _ => Ok(()),
    }
}

/// Lines of checks.
#[derive(Default)]
struct Report {
    lines: String,
    failed: bool,
}

impl Report {
    fn add(&mut self, check: &str, result: Result<(), String>) {
        let written = match result {
            Ok(()) => writeln!(self.lines, "[+]{check} ok"),
            Err(reason) => {
                self.failed = true;
                writeln!(self.lines, "[-]{check} failed: {reason}")
            }
        };
        written.expect("text can always be appended");
    }

    /// A failure is always explained, a success on demand.
    fn answer(self, verbose: bool) -> Response<Full<Bytes>> {
        if self.failed {
            return error(StatusCode::SERVICE_UNAVAILABLE, &self.lines);
        }
        let lines = if verbose { self.lines } else { String::new() };
        let mut response = page_of(TEXT, format!("{lines}ok\n"));
        response
            .headers_mut()
            .insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn text(response: Response<Full<Bytes>>) -> (u16, String) {
        let status = response.status().as_u16();
        let body = response
            .into_body()
            .collect()
            .await
            .expect("a body in memory")
            .to_bytes();
        (
            status,
            String::from_utf8(body.to_vec()).expect("pages are text"),
        )
    }

    #[test]
    fn health_is_etcds_json() {
        assert_eq!(body(None), r#"{"health":"true","reason":""}"#);
        assert_eq!(
            body(Some("ALARM \"X\"")),
            r#"{"health":"false","reason":"ALARM \"X\""}"#
        );
    }

    #[tokio::test]
    async fn checks_that_pass_are_listed_on_demand() {
        let report = || {
            let mut report = Report::default();
            report.add("serializable_read", Ok(()));
            report
        };
        assert_eq!(
            text(report().answer(false)).await,
            (200, "ok\n".to_string())
        );
        let verbose = "[+]serializable_read ok\nok\n".to_string();
        assert_eq!(text(report().answer(true)).await, (200, verbose));
    }

    #[tokio::test]
    async fn a_failed_check_says_why() {
        let mut report = Report::default();
        report.add("data_corruption", Ok(()));
        report.add(
            "linearizable_read",
            Err("etcdserver: no leader".to_string()),
        );
        let lines = "[+]data_corruption ok\n[-]linearizable_read failed: etcdserver: no leader\n\n";
        assert_eq!(text(report.answer(false)).await, (503, lines.to_string()));
    }
}
