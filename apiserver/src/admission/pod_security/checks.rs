//! What the standards forbid, with the texts that say so.

mod contexts;

use std::collections::BTreeSet;

use objects::{Value, meta};

use self::contexts::{
    added_capabilities, app_armor, dropped_capabilities, host_process, non_root,
    privilege_escalation, privileged, proc_mount, proc_mount_always, root_user, se_linux, seccomp,
    seccomp_set, sysctls,
};
use super::policy::{Level, Standard};

/// What a pod does that it may not.
pub(super) struct Violation {
    reason: &'static str,
    detail: String,
}

impl Violation {
    /// The reason with its detail in brackets.
    pub(super) fn detail(&self) -> String {
        format!("{} ({})", self.reason, self.detail)
    }
}

type Check = fn(&Standard, &Value) -> Option<Violation>;

/// The checks of the baseline, in the order of upstream's names for them, with whether a restricted one replaces them.
const BASELINE: [(Check, Option<u32>); 12] = [
    (app_armor, None),
    (added_capabilities, Some(22)),
    (host_namespaces, None),
    (host_paths, Some(0)),
    (host_ports, None),
    (probe_hosts, None),
    (privileged, None),
    (proc_mount, Some(35)),
    (se_linux, None),
    (seccomp, Some(19)),
    (sysctls, None),
    (host_process, None),
];

/// The checks that the restricted level has beside them.
const RESTRICTED: [(Check, u32); 7] = [
    (privilege_escalation, 8),
    (dropped_capabilities, 22),
    (proc_mount_always, 35),
    (volume_types, 0),
    (non_root, 0),
    (root_user, 23),
    (seccomp_set, 19),
];

/// What a pod does that a standard forbids.
pub(super) fn run(standard: &Standard, pod: &Value) -> Vec<Violation> {
    if standard.level == Level::Privileged {
        return Vec::new();
    }
    let restricted = standard.level == Level::Restricted;
    let baseline = BASELINE.iter().filter(|(_, replaced)| {
        !restricted || replaced.is_none_or(|minor| !standard.is_since(minor))
    });
    let more = RESTRICTED
        .iter()
        .filter(|(_, since)| restricted && standard.is_since(*since));
    baseline
        .map(|(check, _)| *check)
        .chain(more.map(|(check, _)| *check))
        .filter_map(|check| check(standard, pod))
        .collect()
}

fn plural<'a>(count: usize, one: &'a str, many: &'a str) -> &'a str {
    if count == 1 { one } else { many }
}

fn quoted<'a>(items: impl IntoIterator<Item = &'a str>) -> String {
    let items: Vec<String> = items
        .into_iter()
        .map(|item| format!("\"{item}\""))
        .collect();
    items.join(", ")
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    ["initContainers", "containers", "ephemeralContainers"]
        .into_iter()
        .flat_map(move |field| meta::list(pod, &["spec", field]))
}

/// The names of the containers that something is true of.
fn bad<'a>(pod: &'a Value, test: impl Fn(&'a Value) -> bool) -> Vec<&'a str> {
    containers(pod)
        .filter(|container| test(container))
        .map(|container| meta::text(container, &["name"]))
        .collect()
}

fn named(names: &[&str]) -> String {
    format!(
        "{} {}",
        plural(names.len(), "container", "containers"),
        quoted(names.iter().copied())
    )
}

/// The pod and the containers that set something.
fn setters(pod_is_bad: bool, names: &[&str]) -> Vec<String> {
    let mut setters = Vec::new();
    if pod_is_bad {
        setters.push("pod".to_owned());
    }
    if !names.is_empty() {
        setters.push(named(names));
    }
    setters
}

fn context<'a>(container: &'a Value, path: &[&str]) -> Option<&'a Value> {
    let at = meta::at(container.get("securityContext")?, path)?;
    (!at.is_null()).then_some(at)
}

fn pod_context<'a>(pod: &'a Value, path: &[&str]) -> Option<&'a Value> {
    context(pod.get("spec")?, path)
}

fn violation(reason: &'static str, detail: String) -> Option<Violation> {
    Some(Violation { reason, detail })
}

fn is_windows(pod: &Value) -> bool {
    meta::text(pod, &["spec", "os", "name"]) == "windows"
}

fn has_own_users(pod: &Value) -> bool {
    meta::at(pod, &["spec", "hostUsers"]).and_then(Value::as_bool) == Some(false)
}

fn host_namespaces(_: &Standard, pod: &Value) -> Option<Violation> {
    let used: Vec<String> = ["hostNetwork", "hostPID", "hostIPC"]
        .into_iter()
        .filter(|field| pod["spec"][*field] == true)
        .map(|field| format!("{field}=true"))
        .collect();
    if used.is_empty() {
        return None;
    }
    violation("host namespaces", used.join(", "))
}

/// The names of the volumes that something is true of.
fn volumes(pod: &Value, test: impl Fn(&Value) -> bool) -> Vec<&str> {
    meta::list(pod, &["spec", "volumes"])
        .iter()
        .filter(|volume| test(volume))
        .map(|volume| meta::text(volume, &["name"]))
        .collect()
}

fn host_paths(_: &Standard, pod: &Value) -> Option<Violation> {
    let names = volumes(pod, |volume| volume.get("hostPath").is_some());
    if names.is_empty() {
        return None;
    }
    let word = plural(names.len(), "volume", "volumes");
    violation("hostPath volumes", format!("{word} {}", quoted(names)))
}

const VOLUME_TYPES: [&str; 9] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

fn volume_types(_: &Standard, pod: &Value) -> Option<Violation> {
    let allowed = |volume: &Value| VOLUME_TYPES.iter().any(|kind| volume.get(*kind).is_some());
    let names = volumes(pod, |volume| !allowed(volume));
    if names.is_empty() {
        return None;
    }
    let kinds: BTreeSet<&str> = meta::list(pod, &["spec", "volumes"])
        .iter()
        .filter(|volume| !allowed(volume))
        .map(|volume| {
            let mut fields = volume.as_object().into_iter().flatten();
            let kind = fields.find(|(name, _)| *name != "name");
            kind.map_or("unknown", |(name, _)| name.as_str())
        })
        .collect();
    let detail = format!(
        "{} {} {} {} {}",
        plural(names.len(), "volume", "volumes"),
        quoted(names.iter().copied()),
        plural(names.len(), "uses", "use"),
        plural(
            kinds.len(),
            "restricted volume type",
            "restricted volume types"
        ),
        quoted(kinds)
    );
    violation("restricted volume types", detail)
}

fn host_ports(_: &Standard, pod: &Value) -> Option<Violation> {
    let of = |container: &Value| -> Vec<String> {
        meta::list(container, &["ports"])
            .iter()
            .filter_map(|port| port["hostPort"].as_i64())
            .filter(|port| *port != 0)
            .map(|port| port.to_string())
            .collect()
    };
    let names = bad(pod, |container| !of(container).is_empty());
    if names.is_empty() {
        return None;
    }
    let ports: BTreeSet<String> = containers(pod).flat_map(of).collect();
    let ports: Vec<String> = ports.into_iter().collect();
    let detail = format!(
        "{} {} {} {}",
        named(&names),
        plural(names.len(), "uses", "use"),
        plural(ports.len(), "hostPort", "hostPorts"),
        ports.join(", ")
    );
    violation("hostPort", detail)
}

const HOST_USERS: [[&str; 2]; 5] = [
    ["livenessProbe", ""],
    ["readinessProbe", ""],
    ["startupProbe", ""],
    ["lifecycle", "postStart"],
    ["lifecycle", "preStop"],
];

fn probe_hosts(standard: &Standard, pod: &Value) -> Option<Violation> {
    if !standard.is_since(34) {
        return None;
    }
    fn hosts(container: &Value) -> Vec<&str> {
        let handlers = HOST_USERS.iter().filter_map(|[field, part]| {
            let handler = container.get(field)?;
            if part.is_empty() {
                Some(handler)
            } else {
                handler.get(part)
            }
        });
        handlers
            .flat_map(|handler| {
                ["httpGet", "tcpSocket"].map(|kind| meta::text(handler, &[kind, "host"]))
            })
            .filter(|host| !host.is_empty())
            .collect()
    }
    let names: BTreeSet<&str> = bad(pod, |container| !hosts(container).is_empty())
        .into_iter()
        .collect();
    if names.is_empty() {
        return None;
    }
    let names: Vec<&str> = names.into_iter().collect();
    let used: BTreeSet<&str> = containers(pod).flat_map(hosts).collect();
    let detail = format!(
        "{} {} {} {}",
        named(&names),
        plural(names.len(), "uses", "use"),
        plural(
            used.len(),
            "probe or lifecycle host",
            "probe or lifecycle hosts"
        ),
        quoted(used)
    );
    violation("probe or lifecycle host", detail)
}
