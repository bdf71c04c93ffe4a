//! What the security contexts of a pod and its containers may not say.

use std::collections::BTreeSet;

use objects::{Value, meta};

use super::{
    Violation, bad, containers, context, has_own_users, is_windows, named, plural, pod_context,
    quoted, setters, violation,
};
use crate::admission::pod_security::policy::Standard;

pub(super) fn app_armor(_: &Standard, pod: &Value) -> Option<Violation> {
    let path = ["appArmorProfile", "type"];
    let is_bad = |value: &&Value| !matches!(value.as_str(), Some("RuntimeDefault" | "Localhost"));
    let of_pod = pod_context(pod, &path).filter(is_bad);
    let names = bad(pod, |one| context(one, &path).filter(is_bad).is_some());
    let mut setters = setters(of_pod.is_some(), &names);
    let mut values: BTreeSet<String> = containers(pod)
        .filter_map(|one| context(one, &path).filter(is_bad))
        .chain(of_pod)
        .map(|value| value.as_str().unwrap_or_default().to_owned())
        .collect();
    let annotations: Vec<String> = meta::map(pod, &["metadata", "annotations"])
        .into_iter()
        .flatten()
        .filter(|(key, _)| key.starts_with("container.apparmor.security.beta.kubernetes.io/"))
        .map(|(key, value)| (key, value.as_str().unwrap_or_default()))
        .filter(|(_, value)| {
            !value.is_empty() && *value != "runtime/default" && !value.starts_with("localhost/")
        })
        .map(|(key, value)| format!("{key}=\"{value}\""))
        .collect();
    if !annotations.is_empty() {
        setters.push(plural(annotations.len(), "annotation", "annotations").to_owned());
    }
    values.extend(annotations);
    if setters.is_empty() {
        return None;
    }
    let reason = plural(
        values.len(),
        "forbidden AppArmor profile",
        "forbidden AppArmor profiles",
    );
    let detail = format!(
        "{} must not set AppArmor profile type to {}",
        setters.join(" and "),
        quoted(values.iter().map(String::as_str))
    );
    violation(reason, detail)
}

const CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// The containers that add capabilities beyond some, and which.
fn adding<'a>(pod: &'a Value, allowed: &[&str]) -> (Vec<&'a str>, BTreeSet<&'a str>) {
    let beyond = |container: &'a Value| {
        meta::list(container, &["securityContext", "capabilities", "add"])
            .iter()
            .filter_map(Value::as_str)
            .filter(|name| !allowed.contains(name))
            .collect::<Vec<_>>()
    };
    let names = bad(pod, |container| !beyond(container).is_empty());
    (names, containers(pod).flat_map(beyond).collect())
}

fn must_not_add(names: &[&str], added: BTreeSet<&str>) -> String {
    format!(
        "{} must not include {} in securityContext.capabilities.add",
        named(names),
        quoted(added)
    )
}

pub(super) fn added_capabilities(_: &Standard, pod: &Value) -> Option<Violation> {
    let (names, added) = adding(pod, &CAPABILITIES);
    if names.is_empty() {
        return None;
    }
    violation("non-default capabilities", must_not_add(&names, added))
}

pub(super) fn dropped_capabilities(standard: &Standard, pod: &Value) -> Option<Violation> {
    if standard.is_since(25) && is_windows(pod) {
        return None;
    }
    let keeping = bad(pod, |container| {
        !meta::list(container, &["securityContext", "capabilities", "drop"])
            .iter()
            .any(|name| name == "ALL")
    });
    let mut details = Vec::new();
    if !keeping.is_empty() {
        details.push(format!(
            "{} must set securityContext.capabilities.drop=[\"ALL\"]",
            named(&keeping)
        ));
    }
    let (names, added) = adding(pod, &["NET_BIND_SERVICE"]);
    if !names.is_empty() {
        details.push(must_not_add(&names, added));
    }
    if details.is_empty() {
        return None;
    }
    violation("unrestricted capabilities", details.join("; "))
}

pub(super) fn privileged(_: &Standard, pod: &Value) -> Option<Violation> {
    let names = bad(pod, |one| {
        context(one, &["privileged"]) == Some(&true.into())
    });
    if names.is_empty() {
        return None;
    }
    let detail = format!(
        "{} must not set securityContext.privileged=true",
        named(&names)
    );
    violation("privileged", detail)
}

pub(super) fn privilege_escalation(standard: &Standard, pod: &Value) -> Option<Violation> {
    if standard.is_since(25) && is_windows(pod) {
        return None;
    }
    let names = bad(pod, |one| {
        context(one, &["allowPrivilegeEscalation"]) != Some(&false.into())
    });
    if names.is_empty() {
        return None;
    }
    let detail = format!(
        "{} must set securityContext.allowPrivilegeEscalation=false",
        named(&names)
    );
    violation("allowPrivilegeEscalation != false", detail)
}

pub(super) fn proc_mount(standard: &Standard, pod: &Value) -> Option<Violation> {
    if standard.is_since(35) && has_own_users(pod) {
        return None;
    }
    proc_mount_always(standard, pod)
}

pub(super) fn proc_mount_always(_: &Standard, pod: &Value) -> Option<Violation> {
    fn other(container: &Value) -> Option<&str> {
        let kind = context(container, &["procMount"])?.as_str()?;
        (kind != "Default").then_some(kind)
    }
    let names = bad(pod, |container| other(container).is_some());
    if names.is_empty() {
        return None;
    }
    let kinds: BTreeSet<&str> = containers(pod).filter_map(other).collect();
    let detail = format!(
        "{} must not set securityContext.procMount to {}",
        named(&names),
        quoted(kinds)
    );
    violation("procMount", detail)
}

pub(super) fn non_root(standard: &Standard, pod: &Value) -> Option<Violation> {
    if standard.is_since(35) && has_own_users(pod) {
        return None;
    }
    let reason = "runAsNonRoot != true";
    let flag = |value: Option<&Value>| value.and_then(Value::as_bool);
    let path = ["runAsNonRoot"];
    let of_pod = flag(pod_context(pod, &path));
    let names = bad(pod, |one| flag(context(one, &path)) == Some(false));
    let setters = setters(of_pod == Some(false), &names);
    if !setters.is_empty() {
        let setters = setters.join(" and ");
        let detail = format!("{setters} must not set securityContext.runAsNonRoot=false");
        return violation(reason, detail);
    }
    let silent = bad(pod, |one| flag(context(one, &path)).is_none());
    if of_pod == Some(true) || silent.is_empty() {
        return None;
    }
    let detail = format!(
        "pod or {} must set securityContext.runAsNonRoot=true",
        named(&silent)
    );
    violation(reason, detail)
}

pub(super) fn root_user(standard: &Standard, pod: &Value) -> Option<Violation> {
    if standard.is_since(35) && has_own_users(pod) {
        return None;
    }
    let is_root = |user: Option<&Value>| user.and_then(Value::as_i64) == Some(0);
    let path = ["runAsUser"];
    let names = bad(pod, |one| is_root(context(one, &path)));
    let setters = setters(is_root(pod_context(pod, &path)), &names);
    if setters.is_empty() {
        return None;
    }
    let detail = format!("{} must not set runAsUser=0", setters.join(" and "));
    violation("runAsUser=0", detail)
}

pub(super) fn se_linux(standard: &Standard, pod: &Value) -> Option<Violation> {
    let path = ["seLinuxOptions"];
    let bad_kind = |options: &Value| {
        let kind = meta::text(options, &["type"]).to_owned();
        let allowed = matches!(
            kind.as_str(),
            "" | "container_t" | "container_init_t" | "container_kvm_t"
        ) || (kind == "container_engine_t" && standard.is_since(31));
        (!allowed).then_some(kind)
    };
    let sets = |options: &Value, field: &str| !meta::text(options, &[field]).is_empty();
    let is_bad = |options: &&Value| {
        bad_kind(options).is_some() || sets(options, "user") || sets(options, "role")
    };
    let names = bad(pod, |one| context(one, &path).filter(is_bad).is_some());
    let of_pod = pod_context(pod, &path);
    let setters = setters(of_pod.filter(is_bad).is_some(), &names);
    if setters.is_empty() {
        return None;
    }
    let all: Vec<&Value> = of_pod
        .into_iter()
        .chain(containers(pod).filter_map(|one| context(one, &path)))
        .collect();
    let kinds: BTreeSet<String> = all.iter().filter_map(|options| bad_kind(options)).collect();
    let mut data = Vec::new();
    if !kinds.is_empty() {
        let word = plural(kinds.len(), "type", "types");
        data.push(format!(
            "{word} {}",
            quoted(kinds.iter().map(String::as_str))
        ));
    }
    for field in ["user", "role"] {
        if all.iter().any(|options| sets(options, field)) {
            data.push(format!("{field} may not be set"));
        }
    }
    let detail = format!(
        "{} set forbidden securityContext.seLinuxOptions: {}",
        setters.join(" and "),
        data.join("; ")
    );
    violation("seLinuxOptions", detail)
}

const SECCOMP: [&str; 2] = ["seccompProfile", "type"];

fn is_seccomp_bad(kind: &&Value) -> bool {
    !matches!(kind.as_str(), Some("RuntimeDefault" | "Localhost"))
}

pub(super) fn seccomp(_: &Standard, pod: &Value) -> Option<Violation> {
    let of_pod = pod_context(pod, &SECCOMP).filter(is_seccomp_bad);
    let of = |one| context(one, &SECCOMP).filter(is_seccomp_bad);
    let names = bad(pod, |one| of(one).is_some());
    let setters = setters(of_pod.is_some(), &names);
    if setters.is_empty() {
        return None;
    }
    let kinds: BTreeSet<&str> = of_pod
        .into_iter()
        .chain(containers(pod).filter_map(of))
        .filter_map(Value::as_str)
        .collect();
    let detail = format!(
        "{} must not set securityContext.seccompProfile.type to {}",
        setters.join(" and "),
        quoted(kinds)
    );
    violation("seccompProfile", detail)
}

pub(super) fn seccomp_set(standard: &Standard, pod: &Value) -> Option<Violation> {
    if standard.is_since(25) && is_windows(pod) {
        return None;
    }
    if let Some(found) = seccomp(standard, pod) {
        return Some(found);
    }
    let silent = bad(pod, |one| context(one, &SECCOMP).is_none());
    if pod_context(pod, &SECCOMP).is_some() || silent.is_empty() {
        return None;
    }
    let detail = format!(
        "pod or {} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"",
        named(&silent)
    );
    violation("seccompProfile", detail)
}

/// Settings of the kernel that are safe, with the version that has them.
const SYSCTLS: [(&str, u32); 12] = [
    ("kernel.shm_rmid_forced", 0),
    ("net.ipv4.ip_local_port_range", 0),
    ("net.ipv4.tcp_syncookies", 0),
    ("net.ipv4.ping_group_range", 0),
    ("net.ipv4.ip_unprivileged_port_start", 0),
    ("net.ipv4.ip_local_reserved_ports", 27),
    ("net.ipv4.tcp_keepalive_time", 29),
    ("net.ipv4.tcp_fin_timeout", 29),
    ("net.ipv4.tcp_keepalive_intvl", 29),
    ("net.ipv4.tcp_keepalive_probes", 29),
    ("net.ipv4.tcp_rmem", 32),
    ("net.ipv4.tcp_wmem", 32),
];

pub(super) fn sysctls(standard: &Standard, pod: &Value) -> Option<Violation> {
    let safe = |name: &&str| {
        SYSCTLS
            .iter()
            .any(|(known, since)| known == name && standard.is_since(*since))
    };
    let names: Vec<&str> = meta::list(pod, &["spec", "securityContext", "sysctls"])
        .iter()
        .map(|one| meta::text(one, &["name"]))
        .filter(|name| !safe(name))
        .collect();
    if names.is_empty() {
        return None;
    }
    violation("forbidden sysctls", names.join(", "))
}

pub(super) fn host_process(_: &Standard, pod: &Value) -> Option<Violation> {
    let path = ["windowsOptions", "hostProcess"];
    let names = bad(pod, |one| context(one, &path) == Some(&true.into()));
    let setters = setters(pod_context(pod, &path) == Some(&true.into()), &names);
    if setters.is_empty() {
        return None;
    }
    let setters = setters.join(" and ");
    let detail = format!("{setters} must not set securityContext.windowsOptions.hostProcess=true");
    violation("hostProcess", detail)
}
