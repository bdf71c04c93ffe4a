//! An event of the audit log, as `audit.k8s.io/v1` has it and as one line of text.

use std::collections::BTreeMap;
use std::net::IpAddr;

use objects::Value;
use serde_json::json;

use crate::clock;

/// How far a request has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    RequestReceived,
    ResponseStarted,
    ResponseComplete,
    Panic,
}

impl Stage {
    pub(super) const ALL: [Stage; 4] = [
        Stage::RequestReceived,
        Stage::ResponseStarted,
        Stage::ResponseComplete,
        Stage::Panic,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Stage::RequestReceived => "RequestReceived",
            Stage::ResponseStarted => "ResponseStarted",
            Stage::ResponseComplete => "ResponseComplete",
            Stage::Panic => "Panic",
        }
    }
}

/// One event.
#[derive(Debug, Clone, Default)]
pub(super) struct Event {
    pub(super) level: &'static str,
    pub(super) audit_id: String,
    /// None before it is told.
    pub(super) stage: Option<Stage>,
    pub(super) request_uri: String,
    pub(super) verb: String,
    pub(super) user: Value,
    pub(super) impersonated: Option<Value>,
    pub(super) source_ips: Vec<IpAddr>,
    pub(super) user_agent: String,
    pub(super) object: Option<Value>,
    pub(super) response_status: Option<Value>,
    pub(super) request_object: Option<Value>,
    pub(super) response_object: Option<Value>,
    pub(super) received_micros: i64,
    pub(super) staged_micros: i64,
    pub(super) annotations: BTreeMap<String, String>,
}

impl Event {
    /// The event as an object.
    pub(super) fn json(&self) -> Value {
        let mut event = json!({
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "level": self.level,
            "auditID": self.audit_id,
            "stage": self.stage_name(),
            "requestURI": self.request_uri,
            "verb": self.verb,
            "user": self.user,
            "sourceIPs": self.source_ips,
            "requestReceivedTimestamp": time(self.received_micros),
            "stageTimestamp": time(self.staged_micros),
        });
        if !self.user_agent.is_empty() {
            event["userAgent"] = json!(self.user_agent);
        }
        if !self.annotations.is_empty() {
            event["annotations"] = json!(self.annotations);
        }
        for (field, value) in [
            ("impersonatedUser", &self.impersonated),
            ("objectRef", &self.object),
            ("responseStatus", &self.response_status),
            ("requestObject", &self.request_object),
            ("responseObject", &self.response_object),
        ] {
            if let Some(value) = value {
                event[field] = value.clone();
            }
        }
        event
    }

    /// The event as one line, in the words of upstream's legacy format.
    pub(super) fn legacy(&self) -> String {
        let text =
            |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
        let or = |text: String, other: &str| {
            if text.is_empty() {
                other.to_owned()
            } else {
                text
            }
        };
        let (asked_as, asked_groups) = match &self.impersonated {
            Some(user) => (text(user, "username"), groups(user, "<lookup>")),
            None => ("<self>".to_owned(), "<lookup>".to_owned()),
        };
        let namespace = self.object.as_ref().map(|object| text(object, "namespace"));
        let response = match &self.response_status {
            Some(status) => status["code"].to_string(),
            None => "<deferred>".to_owned(),
        };
        let ip = self.source_ips.first().map(ToString::to_string);
        format!(
            "{} AUDIT: id={:?} stage={:?} ip={:?} method={:?} user={:?} groups={:?} as={asked_as:?} asgroups={asked_groups:?} \
             user-agent={:?} namespace={:?} uri={:?} response=\"{response}\"",
            time(self.received_micros),
            self.audit_id,
            self.stage_name(),
            ip.unwrap_or_else(|| "<unknown>".to_owned()),
            self.verb,
            or(text(&self.user, "username"), "<none>"),
            groups(&self.user, "<none>"),
            self.user_agent,
            or(namespace.unwrap_or_default(), "<none>"),
            self.request_uri,
        )
    }

    fn stage_name(&self) -> &'static str {
        self.stage.map_or("", Stage::name)
    }
}

fn groups(user: &Value, none: &str) -> String {
    let quoted: Vec<String> = user["groups"]
        .as_array()
        .into_iter()
        .flatten()
        .map(ToString::to_string)
        .collect();
    if quoted.is_empty() {
        none.to_owned()
    } else {
        quoted.join(",")
    }
}

/// A time in microseconds: `2026-01-31T12:00:00.000000Z`.
fn time(micros: i64) -> String {
    let seconds = clock::text(micros.div_euclid(1_000_000));
    format!(
        "{}.{:06}Z",
        seconds.trim_end_matches('Z'),
        micros.rem_euclid(1_000_000)
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Event, Stage, time};

    #[test]
    fn a_line_of_text_says_who_asked_for_what() {
        let event = Event {
            audit_id: "x".to_owned(),
            stage: Some(Stage::ResponseComplete),
            verb: "get".to_owned(),
            user: json!({"username": "a", "groups": ["b", "c"]}),
            source_ips: vec!["127.0.0.1".parse().unwrap()],
            request_uri: "/api".to_owned(),
            response_status: Some(json!({"code": 200})),
            ..Event::default()
        };
        assert_eq!(
            event.legacy(),
            "1970-01-01T00:00:00.000000Z AUDIT: id=\"x\" stage=\"ResponseComplete\" ip=\"127.0.0.1\" method=\"get\" user=\"a\" \
             groups=\"\\\"b\\\",\\\"c\\\"\" as=\"<self>\" asgroups=\"<lookup>\" user-agent=\"\" namespace=\"<none>\" uri=\"/api\" \
             response=\"200\""
        );
    }

    #[test]
    fn times_have_six_places() {
        assert_eq!(time(1_500_000_000_000_042), "2017-07-14T02:40:00.000042Z");
    }
}
