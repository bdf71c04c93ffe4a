//! CustomResourceDefinitions as objects of a built-in kind: their defaults, their status, and what is asked of them.

use serde_json::json;

use super::{conditions::status_of, read, structural};
use crate::{
    Value,
    cel::rules,
    defaults::{Defaults, child, items, set, set_text},
    invalid::{Faults, Invalid},
    jsonpath, meta,
    path::Path,
    schema::Schema,
    strategy::Strategy,
    validate::{
        Rules,
        metadata::immutable,
        names::{self, letter_label},
    },
};

const KIND: &str = "CustomResourceDefinition";

/// The most letters that a warning about a deprecated version has.
const WARNING_LENGTH_MAX: usize = 256;

pub(crate) const DEFAULTS: &[Defaults] = &[Defaults {
    group: super::GROUP,
    kind: KIND,
    apply: apply_defaults,
}];

pub(crate) const STRATEGIES: &[Strategy] = &[Strategy {
    create: prepare_create,
    update: prepare_update,
    allow_unconditional_update: false,
    ..Strategy::new(super::GROUP, KIND)
}];

pub(crate) const RULES: &[Rules] = &[Rules {
    create: check_new,
    update: check_changed,
    status: |new, _, faults| {
        names_of(
            &new["status"]["acceptedNames"],
            &Path::new("status.acceptedNames"),
            faults,
        );
    },
    ..Rules::new(super::GROUP, KIND, false, names::subdomain)
}];

fn apply_defaults(definition: &mut Value) {
    let Some(spec) = child(definition, "spec") else {
        return;
    };
    set(spec, "conversion", json!({"strategy": "None"}));
    if let Some(names) = child(spec, "names") {
        let kind = meta::text(names, &["kind"]).to_owned();
        if !kind.is_empty() {
            set_text(names, "singular", &kind.to_lowercase());
            set_text(names, "listKind", &format!("{kind}List"));
        }
    }
    if let Some(conversion) = child(spec, "conversion")
        && let Some(webhook) = child(conversion, "webhook")
        && let Some(client) = child(webhook, "clientConfig")
        && let Some(service) = child(client, "service")
    {
        set(service, "port", 443);
    }
    for version in items(spec, "versions") {
        for column in items(version, "additionalPrinterColumns") {
            if column["priority"] == 0
                && let Some(fields) = column.as_object_mut()
            {
                fields.remove("priority");
            }
        }
    }
}

fn prepare_create(definition: &mut Value) {
    let stored = super::storage_version(definition).to_owned();
    // A kube-apiserver writes null for no conditions, which `kubectl wait` takes for a fault when it looks at once.
    definition["status"] = json!({
        "conditions": [], "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": [stored],
    });
}

fn prepare_update(subresource: Option<&str>, new: &mut Value, _: &Value) {
    if subresource.is_some() {
        return;
    }
    let stored = super::storage_version(new).to_owned();
    if stored.is_empty() {
        return;
    }
    let versions = meta::fields_mut(new, "status")
        .entry("storedVersions")
        .or_insert_with(|| json!([]));
    if let Some(versions) = versions.as_array_mut()
        && !versions.iter().any(|version| *version == stored)
    {
        versions.push(stored.into());
    }
}

fn check_new(definition: &Value, faults: &mut Faults) {
    let text = |path: &[&str]| meta::text(definition, path);
    let wanted = format!(
        "{}.{}",
        text(&["spec", "names", "plural"]),
        text(&["spec", "group"])
    );
    let name = meta::name(definition);
    if name != wanted {
        let detail = r#"must be spec.names.plural+"."+spec.group"#;
        faults.push(Invalid::value(&Path::new("metadata.name"), name, detail));
    }
    check_spec(definition, faults);
    check_stored_versions(definition, faults);
}

fn check_changed(new: &Value, old: &Value, faults: &mut Faults) {
    check_spec(new, faults);
    let spec = Path::new("spec");
    let mut fixed = vec![("group", &["spec", "group"][..])];
    if status_of(old, "Established") == Some("True") {
        fixed.insert(0, ("scope", &["spec", "scope"]));
        fixed.insert(1, ("names.kind", &["spec", "names", "kind"]));
    }
    fixed.push(("names.plural", &["spec", "names", "plural"]));
    for (field, path) in fixed {
        immutable(
            meta::at(new, path),
            meta::at(old, path),
            &spec.child(field),
            faults,
        );
    }
    check_stored_versions(new, faults);
}

fn check_stored_versions(definition: &Value, faults: &mut Faults) {
    let path = Path::new("status.storedVersions");
    let stored = meta::list(definition, &["status", "storedVersions"]);
    let versions = meta::list(definition, &["spec", "versions"]);
    for (index, name) in stored.iter().enumerate() {
        if !versions.iter().any(|version| version["name"] == *name) {
            let name = name.as_str().unwrap_or_default();
            let detail = format!(
                "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in {name} and removes {name} from status.storedVersions"
            );
            faults.push(Invalid::value(&path.index(index), name, detail));
        }
    }
}

fn check_spec(definition: &Value, faults: &mut Faults) {
    let spec = &definition["spec"];
    let path = Path::new("spec");
    let group = meta::text(spec, &["group"]);
    let at = path.child("group");
    let wrong = names::subdomain(group);
    if group.is_empty() {
        faults.push(Invalid::required(&at, ""));
    } else if !wrong.is_empty() {
        faults.push(Invalid::value(&at, group, wrong.join(",")));
    } else if !group.contains('.') {
        let detail = "should be a domain with at least one dot";
        faults.push(Invalid::value(&at, group, detail));
    }
    let at = path.child("scope");
    match meta::text(spec, &["scope"]) {
        "" => faults.push(Invalid::required(&at, "")),
        "Cluster" | "Namespaced" => {}
        other => faults.push(Invalid::not_supported(
            &at,
            other,
            &["Cluster", "Namespaced"],
        )),
    }
    check_versions(spec, &path.child("versions"), faults);
    let at = path.child("names");
    for field in ["plural", "singular", "kind", "listKind"] {
        if meta::text(spec, &["names", field]).is_empty() {
            faults.push(Invalid::required(&at.child(field), ""));
        }
    }
    names_of(&spec["names"], &at, faults);
    check_shared(spec, &path, faults);
    let strategy = meta::text(spec, &["conversion", "strategy"]);
    if !matches!(strategy, "None" | "Webhook") {
        let at = path.child("conversion.strategy");
        faults.push(Invalid::not_supported(&at, strategy, &["None", "Webhook"]));
    }
    check_approval(definition, faults);
}

/// Groups of Kubernetes itself are for those that its community approved.
fn check_approval(definition: &Value, faults: &mut Faults) {
    const APPROVED: &str = "api-approved.kubernetes.io";
    let group = meta::text(definition, &["spec", "group"]);
    let is_protected = group.ends_with(".k8s.io")
        || group.ends_with(".kubernetes.io")
        || matches!(group, "k8s.io" | "kubernetes.io");
    if !is_protected {
        return;
    }
    let at = Path::new("metadata.annotations").key(APPROVED);
    match meta::annotation(definition, APPROVED) {
        None | Some("") => {
            let detail = "protected groups must have approval annotation \"api-approved.kubernetes.io\", see https://github.com/kubernetes/enhancements/pull/1111";
            faults.push(Invalid::required(&at, detail));
        }
        Some(text) if text.starts_with("unapproved") => {}
        Some(text) if text.contains("://") => {}
        Some(text) => {
            let detail = "protected groups must have approval annotation \"api-approved.kubernetes.io\" with either a URL or a reason starting with \"unapproved\", see https://github.com/kubernetes/enhancements/pull/1111";
            faults.push(Invalid::value(&at, text, detail));
        }
    }
}

fn check_versions(spec: &Value, path: &Path, faults: &mut Faults) {
    let versions = meta::list(spec, &["versions"]);
    for (index, version) in versions.iter().enumerate() {
        let has_schema = meta::at(version, &["schema", "openAPIV3Schema"])
            .is_some_and(|schema| !schema.is_null());
        if !has_schema {
            let at = path.index(index).child("schema.openAPIV3Schema");
            faults.push(Invalid::required(&at, ""));
        }
    }
    let shared = shared(versions);
    for (index, version) in versions.iter().enumerate() {
        let at = path.index(index);
        let name = meta::text(version, &["name"]);
        let wrong = letter_label(name);
        if !wrong.is_empty() {
            faults.push(Invalid::value(&at.child("name"), name, wrong.join(",")));
        }
        check_version(version, &shared, &at, faults);
    }
    let name = |version: &Value| meta::text(version, &["name"]).to_owned();
    let repeated = |at: usize| {
        versions[..at]
            .iter()
            .any(|other| name(other) == name(&versions[at]))
    };
    if (1..versions.len()).any(repeated) {
        let detail = "must contain unique version names";
        faults.push(Invalid::value(path, spec["versions"].clone(), detail));
    }
    let stored = versions
        .iter()
        .filter(|version| version["storage"] == true)
        .count();
    if stored != 1 {
        let detail = "must have exactly one version marked as storage version";
        faults.push(Invalid::value(path, spec["versions"].clone(), detail));
    }
}

fn check_version(version: &Value, shared: &[&str], path: &Path, faults: &mut Faults) {
    if let Some(warning) = version.get("deprecationWarning").and_then(Value::as_str) {
        let at = path.child("deprecationWarning");
        if version["deprecated"] != true {
            let detail = "can only be set for deprecated versions";
            faults.push(Invalid::value(&at, warning, detail));
        } else if warning.len() > WARNING_LENGTH_MAX {
            let detail = format!("must be <= {WARNING_LENGTH_MAX} characters long");
            faults.push(Invalid::value(&at, warning, detail));
        }
    }
    for aspect in ASPECTS.iter().filter(|aspect| !shared.contains(aspect)) {
        check_aspect(version, aspect, &path.child(aspect), faults);
    }
}

/// What versions declare each for itself.
const ASPECTS: [&str; 4] = [
    "schema",
    "subresources",
    "additionalPrinterColumns",
    "selectableFields",
];

/// The aspects in which all versions are alike. They are judged once, as if the kind had them.
fn shared(versions: &[Value]) -> Vec<&'static str> {
    let is_shared = |aspect: &&'static str| {
        versions
            .iter()
            .all(|version| version.get(*aspect) == versions[0].get(*aspect))
    };
    ASPECTS.into_iter().filter(is_shared).collect()
}

fn check_shared(spec: &Value, path: &Path, faults: &mut Faults) {
    let versions = meta::list(spec, &["versions"]);
    let Some(first) = versions.first() else {
        return;
    };
    for aspect in shared(versions) {
        let name = match aspect {
            "schema" => "validation",
            other => other,
        };
        check_aspect(first, aspect, &path.child(name), faults);
    }
}

fn check_aspect(version: &Value, aspect: &str, path: &Path, faults: &mut Faults) {
    let schema = meta::at(version, &["schema", "openAPIV3Schema"]);
    match aspect {
        "schema" => {
            if let Some(text) = schema.filter(|text| text.is_object()) {
                check_schema(text, &path.child("openAPIV3Schema"), faults);
            }
        }
        "subresources" => {
            let scale = meta::at(version, &["subresources", "scale"]);
            if let Some(scale) = scale.filter(|scale| scale.is_object()) {
                faults.extend(jsonpath::validate_scale(scale, path));
            }
        }
        "additionalPrinterColumns" => {
            for (index, column) in meta::list(version, &[aspect]).iter().enumerate() {
                faults.extend(jsonpath::validate_column(column, &path.index(index)));
            }
        }
        _ => {
            let selectable = meta::list(version, &[aspect]);
            if !selectable.is_empty() {
                let schema = schema.unwrap_or(&Value::Null);
                faults.extend(jsonpath::validate_selectable(selectable, schema, path));
            }
        }
    }
}

fn check_schema(text: &Value, path: &Path, faults: &mut Faults) {
    if read::flag(text, "nullable") {
        let at = path.child("nullable");
        faults.push(Invalid::forbidden(
            &at,
            "nullable cannot be true at the root",
        ));
    }
    let mut wrong = structural::check(text, path);
    if wrong.is_empty() {
        let mut schema = Schema::new();
        let declared = read::add(&mut schema, text, 0);
        wrong = rules::compile(schema.at(declared), path);
    }
    faults.extend(wrong);
}

/// What is wrong with the names of a kind.
fn names_of(names: &Value, path: &Path, faults: &mut Faults) {
    for (field, is_mixed) in [
        ("plural", false),
        ("singular", false),
        ("kind", true),
        ("listKind", true),
    ] {
        let name = meta::text(names, &[field]);
        let judged = if is_mixed {
            name.to_lowercase()
        } else {
            name.to_owned()
        };
        let wrong = letter_label(&judged);
        if !name.is_empty() && !wrong.is_empty() {
            let may = if is_mixed {
                "may have mixed case, but should otherwise match: "
            } else {
                ""
            };
            let detail = format!("{may}{}", wrong.join(","));
            faults.push(Invalid::value(&path.child(field), name, detail));
        }
    }
    let label_list = |field: &str, faults: &mut Faults| {
        for (index, name) in meta::list(names, &[field]).iter().enumerate() {
            let name = name.as_str().unwrap_or_default();
            let wrong = letter_label(name);
            if !wrong.is_empty() {
                let at = path.child(field).index(index);
                faults.push(Invalid::value(&at, name, wrong.join(",")));
            }
        }
    };
    label_list("shortNames", faults);
    let kind = meta::text(names, &["kind"]);
    if !kind.is_empty() && kind == meta::text(names, &["listKind"]) {
        let detail = "kind and listKind may not be the same";
        faults.push(Invalid::value(&path.child("listKind"), kind, detail));
    }
    label_list("categories", faults);
}
