//! How two specs differ, line by line as upstream's message shows it: its own structs as indented JSON, changes with three lines around them.

use serde_json::{Map, Value, json};

/// How many lines around a change are shown.
const CONTEXT_LINES: usize = 3;
/// Structs lie in one another no deeper than this.
const DEPTH_MAX: usize = 8;

/// A field of upstream's struct: its name there, its name in JSON, and what it holds.
pub(super) type Field = (&'static str, &'static str, Holds);

#[derive(Clone, Copy)]
pub(super) enum Holds {
    /// A pointer, list or map: null where it is missing.
    Any,
    Text,
    Flag,
    Number,
    /// A pointer to a struct of fields.
    Struct(&'static [Field]),
    /// A struct that is always there.
    Always(&'static [Field]),
}

use Holds::{Always, Any, Flag, Number, Struct, Text};

const SECRET: &[Field] = &[("Name", "name", Text), ("Namespace", "namespace", Text)];
const AMOUNTS: &[Field] = &[("Limits", "limits", Any), ("Requests", "requests", Any)];
const REFERENCE: &[Field] = &[
    ("APIGroup", "apiGroup", Any),
    ("Kind", "kind", Text),
    ("Name", "name", Text),
];
const WIDE_REFERENCE: &[Field] = &[
    ("APIGroup", "apiGroup", Any),
    ("Kind", "kind", Text),
    ("Name", "name", Text),
    ("Namespace", "namespace", Any),
];

/// The spec of a claim.
pub(super) const CLAIM: &[Field] = &[
    ("AccessModes", "accessModes", Any),
    ("Selector", "selector", Any),
    ("Resources", "resources", Always(AMOUNTS)),
    ("VolumeName", "volumeName", Text),
    ("StorageClassName", "storageClassName", Any),
    ("VolumeMode", "volumeMode", Any),
    ("DataSource", "dataSource", Struct(REFERENCE)),
    ("DataSourceRef", "dataSourceRef", Struct(WIDE_REFERENCE)),
    (
        "VolumeAttributesClassName",
        "volumeAttributesClassName",
        Any,
    ),
];

const HOST_PATH: &[Field] = &[("Path", "path", Text), ("Type", "type", Any)];
const NFS: &[Field] = &[
    ("Server", "server", Text),
    ("Path", "path", Text),
    ("ReadOnly", "readOnly", Flag),
];
const LOCAL: &[Field] = &[("Path", "path", Text), ("FSType", "fsType", Any)];
const ISCSI: &[Field] = &[
    ("TargetPortal", "targetPortal", Text),
    ("IQN", "iqn", Text),
    ("Lun", "lun", Number),
    ("ISCSIInterface", "iscsiInterface", Text),
    ("FSType", "fsType", Text),
    ("ReadOnly", "readOnly", Flag),
    ("Portals", "portals", Any),
    ("DiscoveryCHAPAuth", "chapAuthDiscovery", Flag),
    ("SessionCHAPAuth", "chapAuthSession", Flag),
    ("SecretRef", "secretRef", Struct(SECRET)),
    ("InitiatorName", "initiatorName", Any),
];
const FIBRE_CHANNEL: &[Field] = &[
    ("TargetWWNs", "targetWWNs", Any),
    ("Lun", "lun", Any),
    ("FSType", "fsType", Text),
    ("ReadOnly", "readOnly", Flag),
    ("WWIDs", "wwids", Any),
];
const CSI: &[Field] = &[
    ("Driver", "driver", Text),
    ("VolumeHandle", "volumeHandle", Text),
    ("ReadOnly", "readOnly", Flag),
    ("FSType", "fsType", Text),
    ("VolumeAttributes", "volumeAttributes", Any),
    (
        "ControllerPublishSecretRef",
        "controllerPublishSecretRef",
        Struct(SECRET),
    ),
    ("NodeStageSecretRef", "nodeStageSecretRef", Struct(SECRET)),
    (
        "NodePublishSecretRef",
        "nodePublishSecretRef",
        Struct(SECRET),
    ),
    (
        "ControllerExpandSecretRef",
        "controllerExpandSecretRef",
        Struct(SECRET),
    ),
    ("NodeExpandSecretRef", "nodeExpandSecretRef", Struct(SECRET)),
];

/// The source of a volume. Sources that no driver of today serves are shown as in JSON.
pub(super) const SOURCE: &[Field] = &[
    ("GCEPersistentDisk", "gcePersistentDisk", Any),
    ("AWSElasticBlockStore", "awsElasticBlockStore", Any),
    ("HostPath", "hostPath", Struct(HOST_PATH)),
    ("Glusterfs", "glusterfs", Any),
    ("NFS", "nfs", Struct(NFS)),
    ("RBD", "rbd", Any),
    ("Quobyte", "quobyte", Any),
    ("ISCSI", "iscsi", Struct(ISCSI)),
    ("FlexVolume", "flexVolume", Any),
    ("Cinder", "cinder", Any),
    ("CephFS", "cephfs", Any),
    ("FC", "fc", Struct(FIBRE_CHANNEL)),
    ("Flocker", "flocker", Any),
    ("AzureFile", "azureFile", Any),
    ("VsphereVolume", "vsphereVolume", Any),
    ("AzureDisk", "azureDisk", Any),
    ("PhotonPersistentDisk", "photonPersistentDisk", Any),
    ("PortworxVolume", "portworxVolume", Any),
    ("ScaleIO", "scaleIO", Any),
    ("Local", "local", Struct(LOCAL)),
    ("StorageOS", "storageos", Any),
    ("CSI", "csi", Struct(CSI)),
];

/// The changes from one struct of these fields to another.
pub(super) fn shown(before: &Value, after: &Value, fields: &[Field]) -> String {
    let lines = |value: &Value| {
        let mut lines = Vec::new();
        write_struct(value, fields, ("", ""), &mut lines);
        lines
    };
    unified(&lines(before), &lines(after))
}

/// Writes a struct whose first line begins with the indent and a name.
fn write_struct(value: &Value, fields: &[Field], head: (&str, &str), lines: &mut Vec<String>) {
    let (indent, name) = head;
    lines.push(format!("{indent}{name}{{"));
    let inner = format!("{indent} ");
    if inner.len() > DEPTH_MAX {
        return;
    }
    for (index, (go, json_name, holds)) in fields.iter().enumerate() {
        let value = value.get(json_name).unwrap_or(&Value::Null);
        let name = format!("\"{go}\": ");
        match holds {
            Always(fields) => write_struct(value, fields, (&inner, &name), lines),
            Struct(fields) if !value.is_null() => {
                write_struct(value, fields, (&inner, &name), lines);
            }
            _ => write_value(&filled(value, *holds), &format!("{inner}{name}"), lines),
        }
        if index + 1 < fields.len()
            && let Some(last) = lines.last_mut()
        {
            last.push(',');
        }
    }
    lines.push(format!("{indent}}}"));
}

/// What Go has in a field that was not given.
fn filled(value: &Value, holds: Holds) -> Value {
    match holds {
        Text if value.is_null() => json!(""),
        Flag if value.is_null() => json!(false),
        Number if value.is_null() => json!(0),
        _ => value.clone(),
    }
}

/// Writes any JSON, indented by one space a level from where its first line stands.
fn write_value(value: &Value, head: &str, lines: &mut Vec<String>) {
    let indent = head.len() - head.trim_start().len();
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    let empty = Map::new();
    let text = match value {
        Value::Object(fields) if *fields == empty => "{}".to_owned(),
        _ => text,
    };
    for (index, line) in text.lines().enumerate() {
        let content = line.trim_start();
        let levels = (line.len() - content.len()) / 2;
        if index == 0 {
            lines.push(format!("{head}{content}"));
        } else {
            lines.push(format!("{}{content}", " ".repeat(indent + levels)));
        }
    }
}

/// One line of a difference: what it begins with, and the line.
type Line<'a> = (char, &'a str);

/// The lines of both, in order, with those that go and those that come.
fn script<'a>(before: &'a [String], after: &'a [String]) -> Vec<Line<'a>> {
    // The length of the longest common part from each pair of lines to the ends.
    let width = after.len() + 1;
    let mut common = vec![0_usize; (before.len() + 1) * width];
    for left in (0..before.len()).rev() {
        for right in (0..after.len()).rev() {
            common[left * width + right] = if before[left] == after[right] {
                common[(left + 1) * width + right + 1] + 1
            } else {
                common[(left + 1) * width + right].max(common[left * width + right + 1])
            };
        }
    }
    let (mut left, mut right) = (0, 0);
    let mut lines = Vec::new();
    while left < before.len() || right < after.len() {
        if left < before.len() && right < after.len() && before[left] == after[right] {
            lines.push((' ', before[left].as_str()));
            (left, right) = (left + 1, right + 1);
        } else if right == after.len()
            || (left < before.len()
                && common[(left + 1) * width + right] >= common[left * width + right + 1])
        {
            lines.push(('-', before[left].as_str()));
            left += 1;
        } else {
            lines.push(('+', after[right].as_str()));
            right += 1;
        }
    }
    lines
}

/// The changes as a unified diff without names of files.
fn unified(before: &[String], after: &[String]) -> String {
    let lines = script(before, after);
    let changed: Vec<usize> = (0..lines.len())
        .filter(|index| lines[*index].0 != ' ')
        .collect();
    let mut text = String::new();
    let mut next = 0;
    while next < changed.len() {
        let start = changed[next].saturating_sub(CONTEXT_LINES);
        let mut last = changed[next];
        while next < changed.len() && changed[next] <= last + 2 * CONTEXT_LINES + 1 {
            last = changed[next];
            next += 1;
        }
        let end = (last + 1 + CONTEXT_LINES).min(lines.len());
        let count =
            |lines: &[Line<'_>], other: char| lines.iter().filter(|line| line.0 != other).count();
        let range = |other: char| {
            let (first, length) = (
                count(&lines[..start], other) + 1,
                count(&lines[start..end], other),
            );
            if length == 1 {
                first.to_string()
            } else {
                format!("{first},{length}")
            }
        };
        text.push_str(&format!("@@ -{} +{} @@\n", range('+'), range('-')));
        for (mark, line) in &lines[start..end] {
            text.push_str(&format!("{mark}{line}\n"));
        }
    }
    text
}
