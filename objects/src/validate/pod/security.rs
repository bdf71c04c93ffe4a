//! Users, groups, profiles and privileges of pods and containers.

use super::{Faults, Spot, checks};
use crate::{invalid::Invalid, validate::names};

/// The greatest number of a user or group.
const ID_MAX: i64 = i32::MAX as i64;
const SYSCTL_LENGTH_MAX: usize = 253;
const PROFILE_LENGTH_MAX: usize = 4095;
const CONTAINERS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

fn id(spot: &Spot<'_>, faults: &mut Faults) {
    if spot
        .number()
        .is_some_and(|number| !(0..=ID_MAX).contains(&number))
    {
        spot.invalid(faults, names::between(0, ID_MAX));
    }
}

pub(super) fn of_container(context: &Spot<'_>, host_users: bool, faults: &mut Faults) {
    if !context.is_present() {
        return;
    }
    id(&context.get("runAsUser"), faults);
    id(&context.get("runAsGroup"), faults);
    if let Some(mount) = context.find("procMount") {
        mount.one_of(faults, &["Default", "Unmasked"]);
        if host_users && mount.text() == "Unmasked" {
            mount.invalid(faults, "`hostUsers` must be false to use `Unmasked`");
        }
    }
    seccomp(&context.get("seccompProfile"), faults);
    let escalation = context.get("allowPrivilegeEscalation");
    if escalation.is_present() && !escalation.is_true() {
        if context.get("privileged").is_true() {
            let words = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            shown(context, faults, words);
        }
        let added = context.get("capabilities").get("add");
        for _ in added
            .list()
            .iter()
            .filter(|capability| *capability == "CAP_SYS_ADMIN")
        {
            let words = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            shown(context, faults, words);
        }
    }
    app_armor(&context.get("appArmorProfile"), faults);
}

/// A fault that shows the whole context, in Go's names.
fn shown(context: &Spot<'_>, faults: &mut Faults, words: &str) {
    context.invalid(faults, words);
}

fn seccomp(profile: &Spot<'_>, faults: &mut Faults) {
    if !profile.is_present() {
        return;
    }
    let (kind, local) = (profile.get("type"), profile.get("localhostProfile"));
    match kind.text() {
        "" => kind.required(faults, "type is required when seccompProfile is set"),
        _ => kind.one_of(faults, &["Localhost", "RuntimeDefault", "Unconfined"]),
    }
    if kind.text() != "Localhost" {
        if local.is_present() {
            let value = serde_json::json!({"LocalhostProfile": local.value, "Type": kind.text()});
            faults.push(Invalid::value(
                &local.path,
                value,
                "can only be set when seccomp type is Localhost",
            ));
        }
    } else if local.is_present() {
        checks::descending(&local, faults);
    } else {
        local.required(faults, "must be set when seccomp type is Localhost");
    }
}

fn app_armor(profile: &Spot<'_>, faults: &mut Faults) {
    if !profile.is_present() {
        return;
    }
    let (kind, local) = (profile.get("type"), profile.get("localhostProfile"));
    match kind.text() {
        "Localhost" => {
            let text = local.text();
            if text.trim() != text {
                local.invalid(faults, "must not be padded with whitespace");
            } else if text.is_empty() {
                local.required(faults, "must be set when AppArmor type is Localhost");
            }
            if text.len() > PROFILE_LENGTH_MAX {
                faults.push(Invalid::too_long(&local.path, PROFILE_LENGTH_MAX));
            }
        }
        "RuntimeDefault" | "Unconfined" if local.is_present() => {
            local.invalid(faults, "can only be set when AppArmor type is Localhost");
        }
        "RuntimeDefault" | "Unconfined" => {}
        "" => kind.required(faults, "type is required when appArmorProfile is set"),
        _ => kind.not_supported(faults, &["Localhost", "RuntimeDefault", "Unconfined"]),
    }
}

pub(super) fn of_pod(spec: &Spot<'_>, faults: &mut Faults) {
    let context = spec.get("securityContext");
    for field in ["fsGroup", "runAsUser", "runAsGroup"] {
        id(&context.get(field), faults);
    }
    for group in context.get("supplementalGroups").each() {
        id(&group, faults);
    }
    let share = spec.get("shareProcessNamespace");
    if share.is_true() && spec.get("hostPID").is_true() {
        let path = context.path.child("shareProcessNamespace");
        let words = "ShareProcessNamespace and HostPID cannot both be enabled";
        faults.push(Invalid::value(&path, true, words));
    }
    sysctls(spec, &context.get("sysctls"), faults);
    if let Some(policy) = context.find("fsGroupChangePolicy") {
        policy.one_of(faults, &["Always", "OnRootMismatch"]);
    }
    seccomp(&context.get("seccompProfile"), faults);
    app_armor(&context.get("appArmorProfile"), faults);
    if let Some(policy) = context.find("supplementalGroupsPolicy") {
        policy.one_of(faults, &["Merge", "Strict"]);
    }
    if let Some(policy) = context.find("seLinuxChangePolicy") {
        policy.one_of(faults, &["MountOption", "Recursive"]);
    }
}

fn sysctls(spec: &Spot<'_>, sysctls: &Spot<'_>, faults: &mut Faults) {
    let mut seen = Vec::new();
    for sysctl in sysctls.each() {
        let name = sysctl.get("name");
        let text = name.text();
        if text.is_empty() {
            name.required(faults, "");
        } else if !is_sysctl(text) {
            let expression =
                "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";
            let words = format!(
                "must have at most {SYSCTL_LENGTH_MAX} characters and match regex {expression}"
            );
            name.invalid(faults, words);
        } else if seen.contains(&text) {
            name.duplicate(faults);
        }
        seen.push(text);
        let dotted = text.replace('/', ".");
        let host = |field: &str| spec.get(field).is_true();
        let of_messages = ["kernel.shm", "kernel.msg", "fs.mqueue."];
        if host("hostNetwork") && dotted.starts_with("net.") {
            name.invalid(
                faults,
                "may not be specified when 'hostNetwork' is set to true",
            );
        } else if host("hostIPC") && of_messages.iter().any(|prefix| dotted.starts_with(prefix)) {
            name.invalid(faults, "may not be specified when 'hostIPC' is set to true");
        }
    }
}

fn is_sysctl(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let segment = |segment: &str| {
        let bytes = segment.as_bytes();
        let ends = bytes.first().is_some_and(|byte| word(*byte))
            && bytes.last().is_some_and(|byte| word(*byte));
        ends && bytes.iter().all(|byte| word(*byte) || b"-_".contains(byte))
    };
    text.len() <= SYSCTL_LENGTH_MAX && text.split(['.', '/']).all(segment)
}

/// What a pod with users of its own does not share with the host.
pub(super) fn host_users(spec: &Spot<'_>, faults: &mut Faults) {
    if *spec.get("hostUsers").value != false {
        return;
    }
    for (field, name) in [
        ("hostNetwork", "hostNetwork"),
        ("hostPID", "HostPID"),
        ("hostIPC", "HostIPC"),
    ] {
        if spec.get(field).is_true() {
            faults.push(Invalid::forbidden(
                &spec.path.child(name),
                "when `hostUsers` is false",
            ));
        }
    }
}

fn contexts<'a>(spec: &Spot<'a>) -> Vec<Spot<'a>> {
    let lists = CONTAINERS
        .iter()
        .flat_map(|list| spec.get(list).each().collect::<Vec<_>>());
    lists
        .map(|container| container.get("securityContext"))
        .collect()
}

pub(super) fn linux(spec: &Spot<'_>, faults: &mut Faults) {
    let mut all = vec![spec.get("securityContext")];
    all.extend(contexts(spec));
    for context in all {
        if let Some(options) = context.find("windowsOptions") {
            options.forbidden(faults, "windows options cannot be set for a linux pod");
        }
    }
}

/// Fields that Windows has no meaning for: of the pod and its context, by the order in which upstream checks them.
const NOT_WINDOWS: [(&str, &str); 15] = [
    ("securityContext", "appArmorProfile"),
    ("securityContext", "seLinuxOptions"),
    ("", "hostUsers"),
    ("", "hostPID"),
    ("", "hostIPC"),
    ("securityContext", "seccompProfile"),
    ("securityContext", "fsGroup"),
    ("securityContext", "fsGroupChangePolicy"),
    ("securityContext", "sysctls"),
    ("", "shareProcessNamespace"),
    ("securityContext", "runAsUser"),
    ("securityContext", "runAsGroup"),
    ("securityContext", "supplementalGroups"),
    ("securityContext", "supplementalGroupsPolicy"),
    ("securityContext", "seLinuxChangePolicy"),
];
const NOT_WINDOWS_CONTAINERS: [&str; 10] = [
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "capabilities",
    "readOnlyRootFilesystem",
    "privileged",
    "allowPrivilegeEscalation",
    "procMount",
    "runAsUser",
    "runAsGroup",
];

pub(super) fn windows(spec: &Spot<'_>, faults: &mut Faults) {
    const WORDS: &str = "cannot be set for a windows pod";
    for (parent, field) in NOT_WINDOWS {
        let found = if parent.is_empty() {
            spec.get(field)
        } else {
            spec.get(parent).get(field)
        };
        let shares = matches!(field, "hostPID" | "hostIPC");
        if found.is_present() && (!shares || found.is_true()) {
            found.forbidden(faults, WORDS);
        }
    }
    for context in contexts(spec) {
        for field in checks::found(&context, &NOT_WINDOWS_CONTAINERS) {
            field.forbidden(faults, WORDS);
        }
    }
}
