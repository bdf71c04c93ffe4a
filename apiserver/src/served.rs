//! The resources that are served now: the built-in ones, and those that CRDs define.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use objects::catalog::{Catalog, Resource, Subresource};
use objects::crd::Version;
use objects::patch::apply;
use objects::schema::{At, NodeId};
use objects::status::{Reason, Status};
use objects::{Value, meta};
use tokio::sync::watch;

use crate::conversion::Conversion;
use crate::usage;

/// How long a question waits that only the whole table can answer.
const WHOLE_WAIT: Duration = Duration::from_secs(2);
/// When a client may ask again that asked before the table was whole.
const WHOLE_RETRY_SECONDS: u32 = 5;

/// A resource in one version, and where it came from.
#[derive(Debug)]
pub struct Served {
    pub resource: Resource,
    pub origin: Origin,
    /// An object that sets nothing, once somebody asked for it.
    empty: OnceLock<Value>,
}

/// Who defines a resource.
#[derive(Debug)]
pub enum Origin {
    Builtin,
    /// A CustomResourceDefinition, with the schema of this version.
    Custom(Box<Custom>),
    /// Agents of nodes, who measure its objects whenever somebody asks.
    Measured(Box<Version>),
}

/// What a CRD says of one of its versions.
#[derive(Debug)]
pub struct Custom {
    pub version: Arc<Version>,
    /// All versions of the definition, this one and those that are not served among them.
    pub versions: Arc<[Declared]>,
    /// The version that is stored.
    pub storage_version: String,
    /// Whether no object can be of another version.
    pub is_only_version: bool,
    /// Who makes objects of one version of another; none where the versions differ by their name alone.
    pub conversion: Option<Arc<Conversion>>,
    /// Whether the definition is going: its objects are deleted, so none are made.
    pub is_terminating: bool,
}

/// A version of a definition, read when it is first needed: of those that are not served only the owners of fields may still speak.
#[derive(Debug)]
pub struct Declared {
    declaration: Value,
    version: OnceLock<Arc<Version>>,
}

impl Declared {
    #[must_use]
    pub fn new(declaration: &Value) -> Declared {
        Declared {
            declaration: declaration.clone(),
            version: OnceLock::new(),
        }
    }

    #[must_use]
    pub fn name(&self) -> &str {
        meta::text(&self.declaration, &["name"])
    }

    #[must_use]
    pub fn is_served(&self) -> bool {
        self.declaration["served"] == true
    }

    /// The dotted path of the replicas in its objects, if they have a scale.
    #[must_use]
    pub fn replicas_path(&self) -> Option<&str> {
        let path = ["subresources", "scale", "specReplicasPath"];
        let path = meta::text(&self.declaration, &path);
        path.strip_prefix('.').filter(|path| !path.is_empty())
    }

    #[must_use]
    pub fn version(&self) -> &Arc<Version> {
        self.version
            .get_or_init(|| Arc::new(Version::new(&self.declaration)))
    }
}

impl Custom {
    /// A version of the definition, served or not.
    #[must_use]
    pub fn version_named(&self, name: &str) -> Option<&Version> {
        let declared = self
            .versions
            .iter()
            .find(|version| version.name() == name)?;
        Some(declared.version())
    }
}

impl Served {
    #[must_use]
    pub fn new(resource: Resource, origin: Origin) -> Served {
        Served {
            resource,
            origin,
            empty: OnceLock::new(),
        }
    }

    /// An object that sets nothing, with what built-in kinds have all the same.
    #[must_use]
    pub fn empty(&self) -> &Value {
        self.empty.get_or_init(|| {
            if self.is_custom() {
                Value::Object(objects::Map::new())
            } else {
                apply::empty(self.at())
            }
        })
    }

    /// The type of its objects.
    #[must_use]
    pub fn at(&self) -> At<'_> {
        match &self.origin {
            Origin::Builtin => Catalog::builtin().schema.at(self.resource.node),
            Origin::Custom(custom) => custom.version.schema.at(self.resource.node),
            Origin::Measured(version) => version.schema.at(self.resource.node),
        }
    }

    #[must_use]
    pub fn is_custom(&self) -> bool {
        matches!(self.origin, Origin::Custom(_))
    }

    /// Whether its objects have an encoding in protobuf.
    #[must_use]
    pub fn has_protobuf(&self) -> bool {
        matches!(self.origin, Origin::Builtin)
    }

    /// Whether its objects are measured and not stored.
    #[must_use]
    pub fn is_measured(&self) -> bool {
        matches!(self.origin, Origin::Measured(_))
    }

    /// The version of a definition that it is, if a definition brought it.
    #[must_use]
    pub fn custom(&self) -> Option<&Version> {
        match &self.origin {
            Origin::Builtin | Origin::Measured(_) => None,
            Origin::Custom(custom) => Some(&custom.version),
        }
    }

    /// Whether its definition is going, so that no more objects are made.
    #[must_use]
    pub fn is_terminating(&self) -> bool {
        matches!(&self.origin, Origin::Custom(custom) if custom.is_terminating)
    }

    /// Whether requests of a kind are only answered and never stored: reviews.
    #[must_use]
    pub fn is_stored(&self) -> bool {
        self.resource.verbs.iter().any(|verb| verb == "get")
    }

    /// The key of an object in the store, below the prefix.
    #[must_use]
    pub fn key(&self, namespace: &str, name: &str) -> String {
        let folder = &self.resource.storage;
        if self.resource.namespaced {
            format!("{folder}{namespace}/{name}")
        } else {
            format!("{folder}{name}")
        }
    }

    #[must_use]
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.resource.subresource(name)
    }

    /// The node of its type.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.resource.node
    }
}

/// The table of all resources. Readers take a snapshot; a CRD's change puts a new one in place.
#[derive(Debug)]
pub struct Resources {
    now: watch::Sender<Arc<Table>>,
}

/// One state of the table.
#[derive(Debug, Default)]
pub struct Table {
    /// In the order of discovery.
    pub all: Vec<Arc<Served>>,
    by_path: HashMap<(String, String, String), Arc<Served>>,
    /// A number that grows with every change.
    pub generation: u64,
    /// Whether the definitions that were there at the start are in it. Until then, what is missing may be there all the same.
    pub is_whole: bool,
}

impl Table {
    fn new(all: Vec<Arc<Served>>, generation: u64) -> Table {
        let by_path = all
            .iter()
            .map(|served| {
                let resource = &served.resource;
                (
                    (
                        resource.group.clone(),
                        resource.version.clone(),
                        resource.plural.clone(),
                    ),
                    served.clone(),
                )
            })
            .collect();
        Table {
            all,
            by_path,
            generation,
            is_whole: false,
        }
    }

    /// The resource of a path.
    #[must_use]
    pub fn get(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Served>> {
        self.by_path
            .get(&(group.to_owned(), version.to_owned(), plural.to_owned()))
    }

    /// The resource of a path, if there is one.
    ///
    /// # Errors
    ///
    /// If that is not known yet.
    pub fn find(
        &self,
        group: &str,
        version: &str,
        plural: &str,
    ) -> Result<Option<&Arc<Served>>, Status> {
        match self.get(group, version, plural) {
            None if !self.is_whole => Err(not_yet_known()),
            found => Ok(found),
        }
    }

    /// A resource by its group and kind, in the version given or the first one.
    #[must_use]
    pub fn kind(&self, group: &str, version: Option<&str>, kind: &str) -> Option<&Arc<Served>> {
        self.all.iter().find(|served| {
            let resource = &served.resource;
            resource.kind == kind
                && resource.group == group
                && version.is_none_or(|version| resource.version == version)
        })
    }

    /// A resource by its group, version and kind.
    ///
    /// # Errors
    ///
    /// If it is not known yet whether there is one.
    pub fn find_kind(
        &self,
        group: &str,
        version: &str,
        kind: &str,
    ) -> Result<Option<&Arc<Served>>, Status> {
        match self.kind(group, Some(version), kind) {
            None if !self.is_whole => Err(not_yet_known()),
            found => Ok(found),
        }
    }

    /// A resource by its group and plural name, in whichever version comes first.
    #[must_use]
    pub fn any_version(&self, group: &str, plural: &str) -> Option<&Arc<Served>> {
        self.all
            .iter()
            .find(|served| served.resource.plural == plural && served.resource.group == group)
    }

    /// Whether anything is served under a group, or a version of it.
    #[must_use]
    pub fn has(&self, group: &str, version: Option<&str>) -> bool {
        self.all.iter().any(|served| {
            served.resource.group == group
                && version.is_none_or(|version| served.resource.version == version)
        })
    }
}

impl Default for Resources {
    /// The built-in resources, and those that are measured.
    fn default() -> Resources {
        let all = Catalog::builtin()
            .resources
            .iter()
            .map(|resource| Arc::new(Served::new(resource.clone(), Origin::Builtin)))
            .chain(usage::served())
            .collect();
        Resources {
            now: watch::Sender::new(Arc::new(Table::new(all, 1))),
        }
    }
}

impl Resources {
    /// The table as it is now.
    #[must_use]
    pub fn table(&self) -> Arc<Table> {
        self.now.borrow().clone()
    }

    /// The table with all that is served.
    ///
    /// # Errors
    ///
    /// If that is not known soon.
    pub async fn whole_table(&self) -> Result<Arc<Table>, Status> {
        let mut tables = self.now.subscribe();
        let whole = tables.wait_for(|table| table.is_whole);
        let found = tokio::time::timeout(WHOLE_WAIT, whole).await;
        let found = found.ok().and_then(Result::ok);
        found
            .map(|table| Arc::clone(&table))
            .ok_or_else(not_yet_known)
    }

    /// Puts other custom resources in the place of those that are served.
    pub fn set_custom(&self, custom: Vec<Arc<Served>>) {
        self.now.send_modify(|now| {
            let builtin = now.all.iter().filter(|served| !served.is_custom()).cloned();
            let all = builtin.chain(custom).collect();
            *now = Arc::new(Table {
                is_whole: now.is_whole,
                ..Table::new(all, now.generation + 1)
            });
        });
    }

    /// Says that nothing is missing any more.
    pub fn set_whole(&self) {
        self.now.send_if_modified(|now| {
            let changes = !now.is_whole;
            if changes {
                *now = Arc::new(Table {
                    is_whole: true,
                    ..Table::new(now.all.clone(), now.generation + 1)
                });
            }
            changes
        });
    }
}

/// What a client is told that asked for something before everything was known that is served.
pub(crate) fn not_yet_known() -> Status {
    let mut status = Status::new(
        Reason::ServiceUnavailable,
        "the request has been made before all known HTTP paths have been installed, please try again",
    );
    status.retry_after_seconds = WHOLE_RETRY_SECONDS;
    status
}
