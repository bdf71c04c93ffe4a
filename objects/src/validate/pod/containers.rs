//! Containers of a pod: those that run, those before them, and those for looking around.

use super::{Faults, Spot, checks, environment, handlers, resources, security, spec::Around};
use crate::{Value, invalid::Invalid, validate::names};

/// Fields of a container that no ephemeral one has.
const NOT_EPHEMERAL: [&str; 7] = [
    "ports",
    "resources",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
    "resizePolicy",
];
const PROBES: [&str; 4] = [
    "lifecycle",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
];

pub(super) fn check(around: &Around<'_>, faults: &mut Faults) {
    regular(around, faults);
    initial(around, faults);
    ephemeral(around, faults);
}

fn names_of<'a>(around: &Around<'a>, lists: &[&str]) -> Vec<&'a str> {
    let containers = lists
        .iter()
        .flat_map(|list| around.spec.get(list).each().collect::<Vec<_>>());
    containers
        .map(|container| container.get("name").text())
        .collect()
}

fn regular(around: &Around<'_>, faults: &mut Faults) {
    let list = around.spec.get("containers");
    if list.list().is_empty() {
        list.required(faults, "");
        return;
    }
    let mut seen = Vec::new();
    for container in list.each() {
        common(&container, around, faults);
        unique(&container, &mut seen, faults);
        handlers::of_container(&container, around, faults);
        restart_rules(&container, faults);
    }
    let mut taken = Vec::new();
    for container in list.each() {
        host_ports(&container.get("ports"), &mut taken, faults);
    }
}

fn unique<'a>(container: &Spot<'a>, seen: &mut Vec<&'a str>, faults: &mut Faults) {
    let name = container.get("name");
    if seen.contains(&name.text()) {
        faults.push(Invalid::duplicate(&name.path, name.text()));
    } else {
        seen.push(name.text());
    }
}

fn initial(around: &Around<'_>, faults: &mut Faults) {
    let list = around.spec.get("initContainers");
    let mut seen = names_of(around, &["containers"]);
    for container in list.each() {
        common(&container, around, faults);
        let policy = container.get("restartPolicy");
        restart_rules(&container, faults);
        let sidecar = policy.text() == "Always";
        if !container.get("name").text().is_empty() || seen.contains(&"") {
            unique(&container, &mut seen, faults);
        }
        // Upstream's path is that of the first of the list, whichever it is.
        let mut ports = container.get("ports");
        ports.path = list.path.index(0).child("ports");
        host_ports(&ports, &mut Vec::new(), faults);
        if sidecar {
            handlers::of_container(&container, around, faults);
            continue;
        }
        for field in checks::found(&container, &PROBES) {
            field.forbidden(
                faults,
                "may not be set for init containers without restartPolicy=Always",
            );
        }
        for resize in container.get("resizePolicy").each() {
            let policy = resize.get("restartPolicy");
            if policy.text() == "RestartContainer" {
                policy.invalid(
                    faults,
                    "must not be set to 'RestartContainer' for non-sidecar initContainers",
                );
            }
        }
    }
}

/// A container's own policy of restarts.
fn restart_rules(container: &Spot<'_>, faults: &mut Faults) {
    let (policy, rules) = (
        container.get("restartPolicy"),
        container.get("restartPolicyRules"),
    );
    if policy.is_present() {
        policy.one_of(faults, &["Always", "Never", "OnFailure"]);
    }
    if !rules.list().is_empty() && !policy.is_present() {
        policy.required(
            faults,
            "must specify restartPolicy when restart rules are used",
        );
    }
}

fn ephemeral(around: &Around<'_>, faults: &mut Faults) {
    let others = names_of(around, &["containers", "initContainers"]);
    let mut seen = others.clone();
    for container in around.spec.get("ephemeralContainers").each() {
        common(&container, around, faults);
        only_for_pod(&container, faults);
        unique(&container, &mut seen, faults);
        let target = container.get("targetContainerName");
        if !target.text().is_empty() && !others.contains(&target.text()) {
            faults.push(Invalid::not_found(&target.path, target.text()));
        }
        for field in checks::found(&container, &NOT_EPHEMERAL) {
            let empty = field.map().is_some_and(serde_json::Map::is_empty)
                || field.value.as_array().is_some_and(Vec::is_empty);
            if !empty {
                field.forbidden(faults, "cannot be set for an Ephemeral Container");
            }
        }
        for mount in container.get("volumeMounts").each() {
            for field in ["subPath", "subPathExpr"] {
                let path = mount.get(field);
                if !path.text().is_empty() {
                    path.forbidden(faults, "cannot be set for an Ephemeral Container");
                }
            }
        }
    }
}

/// What holds for a container of a pod and not for one of a template.
pub(super) fn only_for_pod(container: &Spot<'_>, faults: &mut Faults) {
    let image = container.get("image");
    if image.text().trim() != image.text() {
        image.invalid(faults, "must not have leading or trailing whitespace");
    }
}

fn common(container: &Spot<'_>, around: &Around<'_>, faults: &mut Faults) {
    let name = container.get("name");
    if name.filled(faults) {
        name.named(faults, names::label);
    }
    container.get("image").filled(faults);
    let policies = ["File", "FallbackToLogsOnError"];
    container
        .get("terminationMessagePolicy")
        .required_one_of(faults, &policies);
    ports(&container.get("ports"), faults);
    environment::variables(&container.get("env"), around, faults);
    environment::sources(&container.get("envFrom"), faults);
    mounts(container, around, faults);
    devices(container, around, faults);
    let policies = ["Always", "IfNotPresent", "Never"];
    container
        .get("imagePullPolicy")
        .required_one_of(faults, &policies);
    resources::of_container(&container.get("resources"), &around.claims, faults);
    resources::resize_policy(&container.get("resizePolicy"), around, faults);
    security::of_container(&container.get("securityContext"), around.host_users, faults);
}

fn ports(ports: &Spot<'_>, faults: &mut Faults) {
    let mut seen = Vec::new();
    for port in ports.each() {
        let name = port.get("name");
        if !name.text().is_empty() {
            let sentences = names::port_name(name.text());
            names::add(faults, &name.path, name.text(), &sentences);
            if sentences.is_empty() && seen.contains(&name.text()) {
                name.duplicate(faults);
            }
            if sentences.is_empty() {
                seen.push(name.text());
            }
        }
        let number = port.get("containerPort");
        if number.number().unwrap_or(0) == 0 {
            number.required(faults, "");
        } else {
            checks::port_number(&number, faults);
        }
        let host = port.get("hostPort");
        if host.number().unwrap_or(0) != 0 {
            checks::port_number(&host, faults);
        }
        port.get("protocol")
            .required_one_of(faults, &["SCTP", "TCP", "UDP"]);
    }
}

/// Ports of the host that two containers cannot both have.
fn host_ports(ports: &Spot<'_>, taken: &mut Vec<String>, faults: &mut Faults) {
    for port in ports.each() {
        let host = port.get("hostPort");
        let number = host.number().unwrap_or(0);
        if number == 0 {
            continue;
        }
        let key = format!(
            "{}/{}/{number}",
            port.get("protocol").text(),
            port.get("hostIP").text()
        );
        if taken.contains(&key) {
            faults.push(Invalid::duplicate(&host.path, key));
        } else {
            taken.push(key);
        }
    }
}

fn mounts(container: &Spot<'_>, around: &Around<'_>, faults: &mut Faults) {
    let list = container.get("volumeMounts");
    let devices = container.get("volumeDevices");
    let mut seen = Vec::new();
    for mount in list.each() {
        let (name, path) = (mount.get("name"), mount.get("mountPath"));
        name.filled(faults);
        if !around
            .volumes
            .iter()
            .any(|(volume, _)| *volume == name.text())
        {
            faults.push(Invalid::not_found(&name.path, name.text()));
        }
        path.filled(faults);
        if seen.contains(&path.text()) {
            path.invalid_text(faults, "must be unique");
        }
        seen.push(path.text());
        if devices
            .each()
            .any(|device| device.get("name").text() == name.text())
        {
            name.invalid_text(faults, "must not already exist in volumeDevices");
        }
        if devices
            .each()
            .any(|device| device.get("devicePath").text() == path.text())
        {
            path.invalid_text(faults, "must not already exist as a path in volumeDevices");
        }
        mount_options(&mount, container, &list, faults);
    }
}

/// Faults of these fields upstream tells with the path of the list.
fn mount_options(mount: &Spot<'_>, container: &Spot<'_>, list: &Spot<'_>, faults: &mut Faults) {
    let above = |field: &str| Spot {
        value: mount.get(field).value,
        path: list.path.child(field),
    };
    let (sub, expression) = (above("subPath"), above("subPathExpr"));
    if !sub.text().is_empty() {
        checks::descending(&sub, faults);
    }
    if !expression.text().is_empty() {
        if !sub.text().is_empty() {
            mount
                .get("subPathExpr")
                .invalid(faults, "subPathExpr and subPath are mutually exclusive");
        }
        checks::descending(&expression, faults);
    }
    let propagation = above("mountPropagation");
    if propagation.is_present() {
        propagation.one_of(faults, &["Bidirectional", "HostToContainer", "None"]);
        let privileged = container.get("securityContext").get("privileged").is_true();
        if propagation.text() == "Bidirectional" && !privileged {
            propagation.forbidden(
                faults,
                "Bidirectional mount propagation is available only to privileged containers",
            );
        }
    }
    recursive(mount, &above("recursiveReadOnly"), faults);
}

fn recursive(mount: &Spot<'_>, mode: &Spot<'_>, faults: &mut Faults) {
    match mode.text() {
        "" | "Disabled" => {}
        "Enabled" | "IfPossible" => {
            if !mount.get("readOnly").is_true() {
                mode.forbidden(faults, "may only be specified when readOnly is true");
            }
            let propagation = mount.get("mountPropagation");
            if propagation.is_present() && propagation.text() != "None" {
                mode.forbidden(
                    faults,
                    "may only be specified when mountPropagation is None or not specified",
                );
            }
        }
        _ => mode.not_supported(faults, &["Disabled", "Enabled", "IfPossible"]),
    }
}

fn devices(container: &Spot<'_>, around: &Around<'_>, faults: &mut Faults) {
    let (mut names, mut paths) = (Vec::new(), Vec::new());
    let mounts = container.get("volumeMounts");
    for device in container.get("volumeDevices").each() {
        let (name, path) = (device.get("name"), device.get("devicePath"));
        name.filled(faults);
        let volume = around
            .volumes
            .iter()
            .find(|(volume, _)| *volume == name.text());
        let claim = |volume: &Value| {
            volume
                .get("persistentVolumeClaim")
                .or(volume.get("ephemeral"))
                .is_some()
        };
        match volume {
            None => faults.push(Invalid::not_found(&name.path, name.text())),
            Some((_, volume)) if !claim(volume) => {
                let words = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                name.invalid(faults, words);
            }
            Some(_) => {}
        }
        path.filled(faults);
        if paths.contains(&path.text()) {
            path.invalid_text(faults, "must be unique");
        }
        if !path.text().is_empty() && path.text().split('/').any(|part| part == "..") {
            path.invalid(faults, "can not contain backsteps ('..')");
        }
        paths.push(path.text());
        if names.contains(&name.text()) {
            name.invalid_text(faults, "must be unique");
        }
        names.push(name.text());
        if mounts
            .each()
            .any(|mount| mount.get("name").text() == name.text())
        {
            name.invalid_text(faults, "must not already exist in volumeMounts");
        }
        if mounts
            .each()
            .any(|mount| mount.get("mountPath").text() == path.text())
        {
            path.invalid_text(faults, "must not already exist as a path in volumeMounts");
        }
    }
}
