//! Kinds that a CustomResourceDefinition brings: its schema read, and objects pruned, defaulted and validated by it.

mod check;
mod conditions;
mod definition;
mod fill;
mod formats;
mod lists;
mod names;
mod numbers;
mod read;
mod structural;

use serde_json::json;

use crate::{
    Value,
    catalog::{Catalog, Resource, Subresource},
    cel::{Budget, rules},
    invalid::{Fault, Faults, Invalid},
    jsonpath, meta,
    path::Path,
    schema::{At, NodeId, Schema},
    strategy,
};

pub use conditions::{
    FINALIZER, begin_deletion, condition, finished_deletion, is_established, is_terminating,
};
pub use names::{Names, accept};

pub(crate) use definition::{DEFAULTS, RULES, STRATEGIES};

/// The group of definitions and the name of their resource.
pub const GROUP: &str = "apiextensions.k8s.io";
pub const PLURAL: &str = "customresourcedefinitions";

/// One version of a custom kind, ready to judge objects.
pub struct Version {
    /// The types of its objects.
    pub schema: Schema,
    /// The type of whole objects: what is declared, and what every object has.
    pub whole: NodeId,
    /// The version as its definition has it.
    pub declaration: Value,
    declared: NodeId,
    /// The `openAPIV3Schema`, as it was written.
    text: Value,
    patterns: check::Patterns,
    rules: Option<rules::Validator>,
    has_defaults: bool,
}

impl std::fmt::Debug for Version {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Version")
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}

impl Version {
    /// Reads a version in `spec.versions` of a definition.
    #[must_use]
    pub fn new(declaration: &Value) -> Version {
        let text = meta::at(declaration, &["schema", "openAPIV3Schema"])
            .cloned()
            .unwrap_or(Value::Null);
        let mut schema = Schema::new();
        let declared = read::add(&mut schema, &text, 0);
        let whole = read::add_whole(&mut schema, declared);
        let at = schema.at(declared);
        let rules = rules::Validator::new(at);
        let has_defaults = fill::has_defaults(at, 0);
        Version {
            patterns: check::Patterns::of(&text),
            schema,
            whole,
            declaration: declaration.clone(),
            declared,
            text,
            rules,
            has_defaults,
        }
    }

    #[must_use]
    pub fn name(&self) -> &str {
        meta::text(&self.declaration, &["name"])
    }

    /// Whether objects in the store may miss values that readers are shown.
    #[must_use]
    pub fn has_defaults(&self) -> bool {
        self.has_defaults
    }

    /// Whether objects have a subresource: `status`, `scale`.
    #[must_use]
    pub fn has_subresource(&self, name: &str) -> bool {
        meta::at(&self.declaration, &["subresources", name]).is_some_and(|part| !part.is_null())
    }

    /// The dotted path of a part of `scale`: `specReplicasPath`.
    #[must_use]
    pub fn scale_path(&self, field: &str) -> Option<&str> {
        let path = meta::text(&self.declaration, &["subresources", "scale", field]);
        (!path.is_empty()).then_some(path)
    }

    /// The fields that selectors may name, without the dot before them.
    pub fn selectable_fields(&self) -> impl Iterator<Item = &str> {
        meta::list(&self.declaration, &["selectableFields"])
            .iter()
            .map(|field| meta::text(field, &["jsonPath"]))
            .map(|path| path.strip_prefix('.').unwrap_or(path))
    }

    fn at(&self) -> At<'_> {
        self.schema.at(self.declared)
    }

    /// Removes fields that the schema does not know, and gives their paths in order.
    pub fn prune(&self, object: &mut Value) -> Vec<String> {
        fill::prune(self.at(), object)
    }

    /// Fills in what an author did not say.
    pub fn apply_defaults(&self, object: &mut Value) {
        fill::apply_defaults(self.at(), object);
    }

    /// The faults of an object by the schema and its rules; the old object if it takes the place of one.
    #[must_use]
    pub fn validate(&self, new: &Value, old: Option<&Value>) -> Faults {
        let mut faults = check::check(&self.text, &self.patterns, new, old);
        lists::check(self.at(), new, &Path::root(), &mut faults);
        self.check_scale(new, &mut faults);
        let blocks = |fault: &Invalid| {
            matches!(
                fault.fault,
                Fault::Required
                    | Fault::TooLong
                    | Fault::TooMany
                    | Fault::NotSupported
                    | Fault::TypeInvalid
            )
        };
        let Some(rules) = &self.rules else {
            return faults;
        };
        if faults.iter().any(blocks) {
            let detail = "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";
            faults.push(Invalid::value(&Path::root(), Value::Null, detail));
        } else {
            faults.extend(rules.validate(self.at(), new, old, &mut Budget::default()));
        }
        faults
    }

    /// What `scale` asks of the two numbers that it is made of.
    fn check_scale(&self, object: &Value, faults: &mut Faults) {
        for field in ["specReplicasPath", "statusReplicasPath"] {
            let Some(path) = self.scale_path(field) else {
                continue;
            };
            let found = jsonpath::dotted(object, path).filter(|found| !found.is_null());
            let at = Path::new(path);
            match found.map(|found| (found, found.as_i64())) {
                Some((_, Some(number))) if number < 0 => {
                    let detail = "should be a non-negative integer";
                    faults.push(Invalid::value(&at, number, detail));
                }
                Some((_, Some(number))) if number > i64::from(i32::MAX) => {
                    let detail = format!("should be less than or equal to {}", i32::MAX);
                    faults.push(Invalid::value(&at, number, detail));
                }
                Some((found, None)) => {
                    let (shown, kind) = match found {
                        Value::String(text) => (text.clone(), "string"),
                        Value::Bool(_) => (found.to_string(), "bool"),
                        Value::Number(_) => (found.to_string(), "float64"),
                        Value::Array(_) => (found.to_string(), "[]interface {}"),
                        _ => (found.to_string(), "map[string]interface {}"),
                    };
                    let detail = format!(
                        "{path} accessor error: {shown} is of the type {kind}, expected int64"
                    );
                    faults.push(Invalid::value(&at, 0, detail));
                }
                _ => {}
            }
        }
    }

    /// Makes a new object ready.
    pub fn prepare_create(&self, object: &mut Value) {
        if self.has_subresource("status")
            && let Some(fields) = object.as_object_mut()
        {
            fields.remove("status");
        }
        meta::metadata_mut(object).insert("generation".to_owned(), json!(1));
    }

    /// Makes an object ready that takes the place of another: a status is changed through its subresource alone.
    pub fn prepare_update(&self, subresource: &str, new: &mut Value, old: &Value) {
        strategy::prepare_update("", "", None, new, old);
        if subresource == "status" {
            let fields: Vec<String> = [&*new, old]
                .iter()
                .filter_map(|object| object.as_object())
                .flat_map(|fields| fields.keys().cloned())
                .filter(|field| field != "status" && field != "metadata")
                .collect();
            for field in fields {
                strategy::reset(new, &field, old);
            }
            let managed = meta::at(new, &["metadata", "managedFields"]).cloned();
            strategy::reset(new, "metadata", old);
            if let Some(managed) = managed {
                meta::metadata_mut(new).insert("managedFields".to_owned(), managed);
            }
            return;
        }
        if self.has_subresource("status") {
            strategy::reset(new, "status", old);
        }
        if self.spec_differs(new, old) {
            strategy::raise_generation(new, old);
        }
    }

    /// Whether anything but metadata and a status of its own differs.
    fn spec_differs(&self, new: &Value, old: &Value) -> bool {
        let counts = |field: &&String| {
            *field != "metadata"
                && *field != "apiVersion"
                && (*field != "status" || !self.has_subresource("status"))
        };
        let fields = |object: &Value| object.as_object().cloned().unwrap_or_default();
        let (new, old) = (fields(new), fields(old));
        new.keys()
            .chain(old.keys())
            .filter(counts)
            .any(|field| new.get(field) != old.get(field))
    }
}

/// The verbs of a custom resource.
const VERBS: [&str; 8] = [
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "create",
    "update",
    "watch",
];

/// The resource that a version of a definition brings.
#[must_use]
pub fn resource(definition: &Value, version: &Version) -> Resource {
    let names = &definition["status"]["acceptedNames"];
    let text = |field: &str| meta::text(names, &[field]).to_owned();
    let list = |field: &str| -> Vec<String> {
        meta::list(names, &[field])
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    };
    let group = meta::text(definition, &["spec", "group"]).to_owned();
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let mut subresources = Vec::new();
    if version.has_subresource("status") {
        subresources.push(Subresource {
            name: "status".to_owned(),
            group: group.clone(),
            version: version.name().to_owned(),
            kind: text("kind"),
            verbs: words(&["get", "patch", "update"]),
        });
    }
    if version.has_subresource("scale") {
        subresources.push(Subresource {
            name: "scale".to_owned(),
            group: "autoscaling".to_owned(),
            version: "v1".to_owned(),
            kind: "Scale".to_owned(),
            verbs: words(&["get", "patch", "update"]),
        });
    }
    Resource {
        version: version.name().to_owned(),
        kind: text("kind"),
        plural: text("plural"),
        singular: text("singular"),
        short_names: list("shortNames"),
        categories: list("categories"),
        namespaced: meta::text(definition, &["spec", "scope"]) == "Namespaced",
        verbs: words(&VERBS),
        subresources,
        node: version.whole,
        storage: storage(&group, &text("plural")),
        group,
    }
}

/// The folder of a custom resource's objects in the store.
#[must_use]
pub fn storage(group: &str, plural: &str) -> String {
    format!("/{group}/{plural}/")
}

/// The version of a definition that is stored.
#[must_use]
pub fn storage_version(definition: &Value) -> &str {
    meta::list(definition, &["spec", "versions"])
        .iter()
        .find(|version| version["storage"] == true)
        .map_or("", |version| meta::text(version, &["name"]))
}

/// What metadata says against the type that every object's has: fields that it does not know, and those that are said wrongly.
///
/// # Errors
///
/// If metadata cannot be read as such.
pub fn check_metadata(object: &mut Value) -> Result<Vec<String>, String> {
    let Some(metadata) = object.get("metadata").filter(|value| !value.is_null()) else {
        return Ok(Vec::new());
    };
    let at = Catalog::builtin()
        .kind("meta.k8s.io", "v1", "PartialObjectMetadata")
        .ok_or_else(|| "metadata has no type".to_owned())?;
    let read = crate::codec::json::check(&json!({ "metadata": metadata }), at)
        .map_err(|fault| fault.to_string())?;
    if let Some(metadata) = read.value.get("metadata") {
        object["metadata"] = metadata.clone();
    }
    Ok(read.strict)
}
