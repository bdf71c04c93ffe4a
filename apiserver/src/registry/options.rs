//! What a request says beside its object, in the words of Kubernetes' options.

use objects::invalid::Invalid;
use objects::path::Path;
use objects::status::Status;
use objects::{Value, meta};
use serde_json::json;

/// What becomes of fields that a kind does not have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Validation {
    Ignore,
    #[default]
    Warn,
    Strict,
}

/// How a list is bound to a resource version.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum VersionMatch {
    #[default]
    Unset,
    NotOlderThan,
    Exact,
}

/// Of creations, updates and patches.
#[derive(Debug, Clone, Default)]
pub struct WriteOptions {
    pub dry_run: bool,
    pub field_manager: String,
    pub validation: Validation,
    /// Takes fields from other managers (server-side apply alone).
    pub force: bool,
}

/// Of lists and watches.
#[derive(Debug, Clone, Default)]
pub struct ListOptions {
    pub label_selector: String,
    pub field_selector: String,
    /// As it was sent; empty for unset.
    pub resource_version: String,
    pub version_match: VersionMatch,
    /// 0 for all.
    pub limit: i64,
    pub continuation: String,
    pub watch: bool,
    pub bookmarks: bool,
    pub send_initial_events: Option<bool>,
    pub timeout_seconds: Option<u64>,
}

/// Of deletions.
#[derive(Debug, Clone, Default)]
pub struct DeleteOptions {
    pub grace_period_seconds: Option<i64>,
    pub uid: Option<String>,
    pub resource_version: Option<String>,
    /// `Orphan`, `Background` or `Foreground`.
    pub propagation: Option<String>,
    pub dry_run: bool,
}

/// Pairs of a query.
pub(crate) type Query = [(String, String)];

fn get<'a>(query: &'a Query, key: &str) -> &'a str {
    query
        .iter()
        .find(|(name, _)| name == key)
        .map_or("", |(_, value)| value)
}

/// Whether a switch is in a query, and not turned off there.
pub(crate) fn flag(query: &Query, key: &str) -> Option<bool> {
    let (_, value) = query.iter().find(|(name, _)| name == key)?;
    Some(!matches!(
        value.to_ascii_lowercase().as_str(),
        "false" | "0"
    ))
}

pub(crate) fn number<T: std::str::FromStr>(query: &Query, key: &str) -> Result<Option<T>, Status> {
    let text = get(query, key);
    if text.is_empty() {
        return Ok(None);
    }
    integer(text).map(Some)
}

/// A whole number of a query.
pub(crate) fn integer<T: std::str::FromStr>(text: &str) -> Result<T, Status> {
    text.parse().map_err(|_malformed| {
        Status::bad_request(format!(
            "strconv.ParseInt: parsing {text:?}: invalid syntax"
        ))
    })
}

fn dry_run(query: &Query, kind: &str) -> Result<bool, Status> {
    let values: Vec<&str> = query
        .iter()
        .filter(|(name, _)| name == "dryRun")
        .map(|(_, value)| value.as_str())
        .collect();
    check_dry_run(&values, kind)
}

fn check_dry_run(values: &[&str], kind: &str) -> Result<bool, Status> {
    if values.iter().any(|value| *value != "All") {
        let fault = Invalid::not_supported(&Path::new("dryRun"), values.to_vec(), &["All"]);
        return Err(Status::invalid("meta.k8s.io", kind, "", &vec![fault]));
    }
    Ok(!values.is_empty())
}

/// Longest name of a field manager.
const MANAGER_BYTES_MAX: usize = 128;

impl WriteOptions {
    /// The options of a query. `kind` is upstream's name for them: `CreateOptions`.
    pub fn from_query(query: &Query, kind: &str) -> Result<WriteOptions, Status> {
        let dry_run = dry_run(query, kind)?;
        let mut faults = Vec::new();
        let field_manager = get(query, "fieldManager").to_owned();
        let path = Path::new("fieldManager");
        if field_manager.len() > MANAGER_BYTES_MAX {
            faults.push(Invalid::too_long(&path, MANAGER_BYTES_MAX));
        }
        if field_manager.chars().any(char::is_control) {
            faults.push(Invalid::value(
                &path,
                field_manager.as_str(),
                "should only contain printable characters",
            ));
        }
        let validation = match get(query, "fieldValidation") {
            "" | "Warn" => Validation::Warn,
            "Ignore" => Validation::Ignore,
            "Strict" => Validation::Strict,
            other => {
                faults.push(Invalid::not_supported(
                    &Path::new("fieldValidation"),
                    other,
                    &["", "Ignore", "Strict", "Warn"],
                ));
                Validation::Warn
            }
        };
        if !faults.is_empty() {
            return Err(Status::invalid("meta.k8s.io", kind, "", &faults));
        }
        Ok(WriteOptions {
            dry_run,
            field_manager,
            validation,
            force: flag(query, "force").unwrap_or(false),
        })
    }
}

impl ListOptions {
    pub fn from_query(query: &Query) -> Result<ListOptions, Status> {
        let text = |key| get(query, key).to_owned();
        let options = ListOptions {
            label_selector: text("labelSelector"),
            field_selector: text("fieldSelector"),
            resource_version: text("resourceVersion"),
            version_match: match get(query, "resourceVersionMatch") {
                "" => VersionMatch::Unset,
                "Exact" => VersionMatch::Exact,
                "NotOlderThan" => VersionMatch::NotOlderThan,
                other => {
                    let path = Path::new("resourceVersionMatch");
                    let fault =
                        Invalid::not_supported(&path, other, &["Exact", "NotOlderThan", ""]);
                    return Err(Status::invalid(
                        "meta.k8s.io",
                        "ListOptions",
                        "",
                        &vec![fault],
                    ));
                }
            },
            limit: number(query, "limit")?.unwrap_or(0).max(0),
            continuation: text("continue"),
            watch: flag(query, "watch").unwrap_or(false),
            bookmarks: flag(query, "allowWatchBookmarks").unwrap_or(false),
            send_initial_events: flag(query, "sendInitialEvents"),
            timeout_seconds: number(query, "timeoutSeconds")?,
        };
        options.check()?;
        Ok(options)
    }

    /// The combinations that upstream forbids.
    fn check(&self) -> Result<(), Status> {
        let mut faults = Vec::new();
        let version_match = Path::new("resourceVersionMatch");
        let forbid = |text: &str| Invalid::forbidden(&version_match, text);
        let initial = Path::new("sendInitialEvents");
        if self.watch {
            if self.send_initial_events.is_some() {
                if self.version_match != VersionMatch::NotOlderThan {
                    faults.push(forbid(
                        "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
                    ));
                }
            } else if self.version_match != VersionMatch::Unset {
                faults.push(forbid("resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"));
            }
            if self.version_match == VersionMatch::Exact {
                faults.push(Invalid::not_supported(
                    &version_match,
                    "Exact",
                    &["NotOlderThan"],
                ));
            }
            // A watch from any version is one with initial events.
            let is_from_any = matches!(self.resource_version.as_str(), "" | "0");
            if !self.continuation.is_empty()
                && (is_from_any || self.version_match != VersionMatch::Unset)
            {
                faults.push(forbid(
                    "resourceVersionMatch is forbidden when continue is provided",
                ));
            }
        } else {
            if self.send_initial_events.is_some() {
                faults.push(Invalid::forbidden(
                    &initial,
                    "sendInitialEvents is forbidden for list",
                ));
            }
            if self.version_match != VersionMatch::Unset {
                if self.resource_version.is_empty() {
                    faults.push(forbid(
                        "resourceVersionMatch is forbidden unless resourceVersion is provided",
                    ));
                }
                if !self.continuation.is_empty() {
                    faults.push(forbid(
                        "resourceVersionMatch is forbidden when continue is provided",
                    ));
                }
                if self.version_match == VersionMatch::Exact && self.resource_version == "0" {
                    faults.push(forbid(
                        "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
                    ));
                }
            }
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(Status::invalid("meta.k8s.io", "ListOptions", "", &faults))
        }
    }
}

/// What becomes of dependents, from the two fields that say it.
fn propagation(policy: &str, orphan: Option<bool>) -> Result<Option<String>, Status> {
    match (policy, orphan) {
        ("", Some(true)) => Ok(Some("Orphan".to_owned())),
        ("", _) => Ok(None),
        (policy, None) => Ok(Some(policy.to_owned())),
        (policy, Some(_)) => {
            let path = Path::new("propagationPolicy");
            let why = "orphanDependents and deletionPropagation cannot be both set";
            let fault = Invalid::value(&path, policy, why);
            Err(Status::invalid(
                "meta.k8s.io",
                "DeleteOptions",
                "",
                &vec![fault],
            ))
        }
    }
}

impl WriteOptions {
    /// The options as an object of their kind.
    pub(super) fn to_value(&self, kind: &str) -> Value {
        let mut options = json!({"kind": kind, "apiVersion": "meta.k8s.io/v1"});
        if self.dry_run {
            options["dryRun"] = json!(["All"]);
        }
        if !self.field_manager.is_empty() {
            options["fieldManager"] = json!(self.field_manager);
        }
        match self.validation {
            Validation::Strict => options["fieldValidation"] = json!("Strict"),
            Validation::Ignore => options["fieldValidation"] = json!("Ignore"),
            Validation::Warn => {}
        }
        options
    }
}

impl DeleteOptions {
    /// The options as an object.
    pub(super) fn to_value(&self) -> Value {
        let mut options = json!({"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1"});
        if self.dry_run {
            options["dryRun"] = json!(["All"]);
        }
        if let Some(seconds) = self.grace_period_seconds {
            options["gracePeriodSeconds"] = json!(seconds);
        }
        if let Some(policy) = &self.propagation {
            options["propagationPolicy"] = json!(policy);
        }
        for (field, text) in [
            ("uid", &self.uid),
            ("resourceVersion", &self.resource_version),
        ] {
            if let Some(text) = text {
                options["preconditions"][field] = json!(text);
            }
        }
        options
    }

    /// The options of a query, for a request without a body.
    pub fn from_query(query: &Query) -> Result<DeleteOptions, Status> {
        let policy = get(query, "propagationPolicy");
        let propagation = propagation(policy, flag(query, "orphanDependents"))?;
        DeleteOptions {
            grace_period_seconds: number(query, "gracePeriodSeconds")?,
            propagation,
            dry_run: dry_run(query, "DeleteOptions")?,
            ..DeleteOptions::default()
        }
        .checked()
    }

    /// The options of a body of kind `DeleteOptions`.
    pub fn from_body(body: &Value) -> Result<DeleteOptions, Status> {
        let text =
            |path: &[&str]| Some(meta::text(body, path).to_owned()).filter(|text| !text.is_empty());
        let runs: Vec<&str> = meta::list(body, &["dryRun"])
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let orphan = body.get("orphanDependents").and_then(Value::as_bool);
        DeleteOptions {
            grace_period_seconds: body.get("gracePeriodSeconds").and_then(Value::as_i64),
            uid: text(&["preconditions", "uid"]),
            resource_version: text(&["preconditions", "resourceVersion"]),
            propagation: propagation(meta::text(body, &["propagationPolicy"]), orphan)?,
            dry_run: check_dry_run(&runs, "DeleteOptions")?,
        }
        .checked()
    }

    fn checked(self) -> Result<DeleteOptions, Status> {
        const POLICIES: [&str; 3] = ["Foreground", "Background", "Orphan"];
        if let Some(policy) = &self.propagation
            && !POLICIES.contains(&policy.as_str())
        {
            let path = Path::new("propagationPolicy");
            let fault = Invalid::not_supported(
                &path,
                policy.as_str(),
                &["Foreground", "Background", "Orphan", "nil"],
            );
            return Err(Status::invalid(
                "meta.k8s.io",
                "DeleteOptions",
                "",
                &vec![fault],
            ));
        }
        Ok(self)
    }
}
