//! Who manages which fields of an object: kept with every write, and what server-side apply decides by.

use objects::catalog::{Catalog, api_version, split_api_version};
use objects::convert;
use objects::patch::apply::{
    self, Context, Element, FieldPath, Ignored, InVersion, Versions, scale,
};
use objects::schema::At;
use objects::status::Status;
use objects::{Value, meta};

use super::{Request, WriteOptions};
use crate::clock;
use crate::served::{Custom, Origin, Served};

/// The versions of a built-in kind.
struct BuiltIn<'a> {
    kind: &'a str,
}

impl Versions for BuiltIn<'_> {
    fn convert(&self, object: &Value, api_version: &str) -> InVersion<(Value, At<'_>)> {
        let (group, version) = split_api_version(api_version);
        match Catalog::builtin().kind(group, version, self.kind) {
            Some(at) => InVersion::Known((convert::convert(object.clone(), api_version), at)),
            None => InVersion::Absent,
        }
    }
}

/// The versions of a kind that a definition brings. As upstream has it, those that are not served any more are versions still.
struct Defined<'a> {
    group: &'a str,
    custom: &'a Custom,
}

impl Versions for Defined<'_> {
    fn convert(&self, object: &Value, api_version: &str) -> InVersion<(Value, At<'_>)> {
        let (group, name) = split_api_version(api_version);
        let version = self.custom.version_named(name);
        let Some(version) = version.filter(|_| group == self.group) else {
            return InVersion::Absent;
        };
        // A webhook is not asked in the middle of a merge.
        if self.custom.conversion.is_some() {
            return InVersion::Untold;
        }
        let mut object = object.clone();
        object["apiVersion"] = Value::from(api_version);
        InVersion::Known((object, version.schema.at(version.whole)))
    }
}

/// The versions of a resource's kind.
fn versions(served: &Served) -> Box<dyn Versions + '_> {
    let resource = &served.resource;
    match &served.origin {
        Origin::Custom(custom) => Box::new(Defined {
            group: &resource.group,
            custom,
        }),
        Origin::Builtin | Origin::Measured(_) => Box::new(BuiltIn {
            kind: &resource.kind,
        }),
    }
}

/// Calls a function with what apply wants to know of a write.
fn with_context<T>(request: &Request, run: impl FnOnce(&Context<'_>) -> T) -> T {
    let served = &request.served;
    let resource = &served.resource;
    let versions = versions(served);
    let context = Context {
        at: served.at(),
        built_in: !served.is_custom(),
        api_version: &resource.api_version(),
        kind: &resource.kind,
        subresource: &request.subresource,
        ignored: &Ignored::of(resource, &request.subresource),
        empty: served.empty(),
        versions: &*versions,
        now: &clock::now(),
    };
    run(&context)
}

/// The manager of a request: the one it names, or the program that sent it.
fn manager<'a>(request: &'a Request, options: &'a WriteOptions) -> &'a str {
    match options.field_manager.as_str() {
        "" => &request.agent,
        named => named,
    }
}

/// Notes in `new` what this write changed.
pub(super) fn note(
    request: &Request,
    options: &WriteOptions,
    old: Option<&Value>,
    new: &mut Value,
) {
    with_context(request, |context| {
        apply::update(context, old, new, manager(request, options))
    });
}

/// Applies a configuration to an object, or makes one of it.
pub(super) fn applied(
    request: &Request,
    options: &WriteOptions,
    live: Option<&Value>,
    configuration: &Value,
) -> Result<Value, Status> {
    with_context(request, |context| {
        apply::apply(
            context,
            live,
            configuration,
            &options.field_manager,
            options.force,
        )
    })
}

/// The ownership of an object's replicas, seen from its scale.
pub(super) struct Replicas<'a> {
    request: &'a Request,
    /// Where the versions of the object's kind have the replicas.
    paths: Vec<(String, Option<FieldPath>)>,
}

impl<'a> Replicas<'a> {
    pub(super) fn of(request: &'a Request) -> Replicas<'a> {
        let served = &request.served;
        let path = |path: &str| path.split('.').map(Element::field).collect::<FieldPath>();
        let paths = match &served.origin {
            Origin::Custom(custom) => {
                let versions = custom.versions.iter().map(|version| {
                    let api_version = api_version(&served.resource.group, version.name());
                    (api_version, version.replicas_path().map(path))
                });
                versions.collect()
            }
            Origin::Builtin | Origin::Measured(_) => {
                vec![(served.resource.api_version(), Some(path("spec.replicas")))]
            }
        };
        Replicas { request, paths }
    }

    fn paths(&self) -> Vec<(&str, Option<FieldPath>)> {
        let paths = self.paths.iter();
        paths
            .map(|(version, path)| (version.as_str(), path.clone()))
            .collect()
    }

    /// What the scale of an object says of who owns its replicas.
    pub(super) fn of_scale(&self, object: &Value) -> Result<Vec<Value>, Status> {
        let owners = meta::list(object, &["metadata", "managedFields"]);
        scale::to_scale(owners, &self.paths()).map_err(Status::internal)
    }

    /// Writes into an object what its written scale says of who owns the replicas.
    pub(super) fn write(&self, scale: &Value, object: &mut Value) -> Result<(), Status> {
        let version = self.request.served.resource.api_version();
        let owners = scale::to_parent(
            meta::list(object, &["metadata", "managedFields"]),
            meta::list(scale, &["metadata", "managedFields"]),
            &version,
            &self.paths(),
        )
        .map_err(Status::internal)?;
        let metadata = meta::metadata_mut(object);
        if owners.is_empty() {
            metadata.remove("managedFields");
        } else {
            metadata.insert("managedFields".to_owned(), owners.into());
        }
        Ok(())
    }
}

fn with_scale_context<T>(run: impl FnOnce(&Context<'_>) -> T) -> T {
    let at = Catalog::builtin()
        .kind("autoscaling", "v1", "Scale")
        .expect("Scale is a built-in kind");
    run(&Context {
        at,
        built_in: true,
        api_version: "autoscaling/v1",
        kind: "Scale",
        subresource: "scale",
        ignored: &Ignored::nothing(),
        empty: &apply::empty(at),
        versions: &BuiltIn { kind: "Scale" },
        now: &clock::now(),
    })
}

/// Notes in a scale what this write changed.
pub(super) fn note_scale(request: &Request, options: &WriteOptions, old: &Value, new: &mut Value) {
    with_scale_context(|context| {
        apply::update(context, Some(old), new, manager(request, options));
    });
}

/// Applies a configuration to a scale.
pub(super) fn applied_scale(
    options: &WriteOptions,
    live: &Value,
    configuration: &Value,
) -> Result<Value, Status> {
    with_scale_context(|context| {
        apply::apply(
            context,
            Some(live),
            configuration,
            &options.field_manager,
            options.force,
        )
    })
}
