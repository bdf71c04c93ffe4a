//! Probes and hooks of containers.

use super::{Faults, Spot, checks, spec::Around};
use crate::validate::names;

const KINDS: [&str; 5] = ["exec", "httpGet", "tcpSocket", "grpc", "sleep"];

/// The hooks and probes of a container that may have them.
pub(super) fn of_container(container: &Spot<'_>, around: &Around<'_>, faults: &mut Faults) {
    if let Some(lifecycle) = container.find("lifecycle") {
        for hook in checks::found(&lifecycle, &["postStart", "preStop"]) {
            handler(&hook, around, faults);
        }
    }
    for field in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(found) = container.find(field) {
            probe(&found, around, faults);
            let grace = found.get("terminationGracePeriodSeconds");
            let success = found.get("successThreshold");
            if field == "readinessProbe" {
                if grace.is_present() {
                    grace.invalid(faults, "must not be set for readinessProbes");
                }
            } else if success.number() != Some(1) {
                success.invalid(faults, "must be 1");
            }
        }
    }
}

fn probe(probe: &Spot<'_>, around: &Around<'_>, faults: &mut Faults) {
    handler(probe, around, faults);
    for field in [
        "initialDelaySeconds",
        "timeoutSeconds",
        "periodSeconds",
        "successThreshold",
        "failureThreshold",
    ] {
        probe.get(field).not_negative(faults);
    }
    let grace = probe.get("terminationGracePeriodSeconds");
    if grace.number().is_some_and(|seconds| seconds <= 0) {
        grace.invalid(faults, "must be greater than 0");
    }
}

fn handler(handler: &Spot<'_>, around: &Around<'_>, faults: &mut Faults) {
    let found = checks::found(handler, &KINDS);
    let Some((first, more)) = found.split_first() else {
        handler.required(faults, "must specify a handler type");
        return;
    };
    one(handler, first, around, faults);
    for other in more {
        other.forbidden(faults, "may not specify more than 1 handler type");
    }
}

fn one(handler: &Spot<'_>, action: &Spot<'_>, around: &Around<'_>, faults: &mut Faults) {
    let kind = KINDS.iter().find(|kind| {
        handler
            .value
            .get(**kind)
            .is_some_and(|value| value == action.value)
    });
    match kind.copied().unwrap_or_default() {
        "exec" if action.get("command").list().is_empty() => {
            action.get("command").required(faults, "")
        }
        "httpGet" => http(action, faults),
        "tcpSocket" => checks::port(&action.get("port"), faults),
        "grpc" => checks::port_number(&action.get("port"), faults),
        "sleep" => {
            let seconds = action.get("seconds").number().unwrap_or(0);
            if let Some(grace) = around.grace_period_seconds
                && !(0..=grace).contains(&seconds)
            {
                let words = format!(
                    "must be non-negative and less than terminationGracePeriodSeconds ({grace})"
                );
                let shown = seconds.into();
                let spot = Spot {
                    value: &shown,
                    path: action.path.clone(),
                };
                spot.invalid(faults, words);
            }
        }
        _ => {}
    }
}

fn http(get: &Spot<'_>, faults: &mut Faults) {
    get.get("path").filled(faults);
    checks::port(&get.get("port"), faults);
    get.get("scheme").one_of(faults, &["HTTP", "HTTPS"]);
    let headers = get.get("httpHeaders");
    for header in headers.each() {
        names::check(
            faults,
            &headers.path,
            header.get("name").text(),
            names::http_header,
        );
    }
}
