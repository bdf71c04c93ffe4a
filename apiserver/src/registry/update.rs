//! Changing objects: a whole new one, or a patch. Whatever happens in between, a change is of the object it was made from.

use std::borrow::Cow;

use objects::patch::apply;
use objects::status::{Reason, Status};
use objects::{Value, meta};

use super::create::check_place;
use super::store::{Current, encode, stamp};
use super::{CHANGED, Registry, Request, WriteOptions, as_served, fields, rules};
use crate::admission::{Operation, Review};
use crate::served::Served;
use crate::storage::Written;

/// How often a change is made anew on top of somebody else's.
const CONFLICTS_MAX: usize = 5;

/// Makes the new object of the current one: called again when that was changed meanwhile.
pub type Patch<'a> = dyn Fn(&Value) -> Result<Value, Status> + Send + Sync + 'a;

/// Who says which fields a write owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owners {
    /// The server notes what changes.
    Noted,
    /// The object was applied and says it already.
    Applied,
}

/// A change that is wanted.
#[derive(Clone, Copy)]
struct Change<'a> {
    patch: &'a Patch<'a>,
    options: &'a WriteOptions,
    owners: Owners,
}

/// One try of a change.
enum Try {
    Done(Value),
    /// Somebody was faster; this is what is there now.
    Changed(Option<Current>),
}

impl Registry {
    /// Puts an object in the place of the one that is there. Tells whether it made one where none was.
    pub async fn update(
        &self,
        request: &Request,
        mut object: Value,
        options: &WriteOptions,
    ) -> Result<(Value, bool), Status> {
        check_place(request, &mut object)?;
        if meta::name(&object) != request.name {
            return Err(name_mismatch(meta::name(&object), &request.name));
        }
        rules::apply_defaults(&request.served, &mut object);
        let traits = rules::traits(&request.served);
        let wanted = meta::resource_version(&object).to_owned();
        if wanted.is_empty() && !traits.allow_unconditional_update {
            let path = objects::path::Path::new("metadata.resourceVersion");
            let fault =
                objects::invalid::Invalid::value(&path, "", "must be specified for an update");
            return Err(request.invalid(&request.name, &vec![fault]));
        }
        let wanted_uid = meta::uid(&object);
        let patch = |old: &Value| {
            let uid = meta::uid(old);
            if wanted_uid.is_empty() || wanted_uid == uid {
                return Ok(object.clone());
            }
            Err(request.conflict(format!(
                "StorageError: invalid object, Code: 4, Key: {}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in \
                 precondition: {wanted_uid}, UID in object meta: {uid}",
                self.full_key(request, &request.name)
            )))
        };
        let change = Change {
            patch: &patch,
            options,
            owners: Owners::Noted,
        };
        let may_make = traits.allow_create_on_update && request.subresource.is_empty();
        let mut lost = request.not_found();
        for _ in 0..CONFLICTS_MAX {
            let current = self.load(request, &request.name).await?;
            let done = if current.is_none() && may_make {
                self.authorize(request, "create")?;
                let mut new = object.clone();
                meta::metadata_mut(&mut new).remove("resourceVersion");
                let made = self.create(request, new, options).await;
                made.map(|made| (made, true))
            } else {
                let changed = self.change(request, change, current).await;
                changed.map(|changed| (changed, false))
            };
            match done {
                Err(status) if may_make && is_lost_race(request, &status) => lost = status,
                done => return done,
            }
        }
        Err(lost)
    }

    /// Changes an object by a function of what it is.
    pub async fn patch(
        &self,
        request: &Request,
        patch: &Patch<'_>,
        options: &WriteOptions,
    ) -> Result<Value, Status> {
        self.change_glanced(
            request,
            Change {
                patch,
                options,
                owners: Owners::Noted,
            },
        )
        .await
    }

    /// As `patch`, by a function that says who owns what.
    pub(super) async fn patch_applied(
        &self,
        request: &Request,
        patch: &Patch<'_>,
        options: &WriteOptions,
    ) -> Result<Value, Status> {
        self.change_glanced(
            request,
            Change {
                patch,
                options,
                owners: Owners::Applied,
            },
        )
        .await
    }

    /// Begins with the object in memory, and believes a refusal only when that is the newest one.
    async fn change_glanced(&self, request: &Request, change: Change<'_>) -> Result<Value, Status> {
        let glanced = self.glance(request, &request.name);
        let revision = glanced.as_ref().map(|glanced| glanced.revision);
        let mut refused = None;
        if glanced.is_some() {
            match self.change(request, change, glanced).await {
                Ok(done) => return Ok(done),
                // What became of the write is not known: making it once more could do it twice.
                Err(status) if status.code >= 500 || status.code == 429 => return Err(status),
                Err(status) => refused = Some(status),
            }
        }
        let current = self.load(request, &request.name).await?;
        match (current, refused) {
            (Some(current), Some(refused)) if Some(current.revision) == revision => Err(refused),
            (current, _) => self.change(request, change, current).await,
        }
    }

    async fn change(
        &self,
        request: &Request,
        change: Change<'_>,
        mut current: Option<Current>,
    ) -> Result<Value, Status> {
        for _ in 0..CONFLICTS_MAX {
            let Some(now) = current else {
                return Err(request.not_found());
            };
            match self.try_change(request, change, now).await? {
                Try::Done(object) => return as_served(&request.served, object).await,
                Try::Changed(found) => current = found,
            }
        }
        Err(request.conflict(CHANGED))
    }

    async fn try_change(
        &self,
        request: &Request,
        change: Change<'_>,
        current: Current,
    ) -> Result<Try, Status> {
        let served = &request.served;
        let shown = Self::shown(served, &current.value).await?;
        let old = shown.as_ref();
        let options = change.options;
        let mut new = (change.patch)(old).map_err(Status::before_any_write)?;
        check_identity(request, &mut new, old)?;
        rules::apply_defaults(served, &mut new);
        let attributes = request.attributes("update");
        let given = options.to_value("UpdateOptions");
        let review = Review {
            operation: Operation::Update,
            attributes: &attributes,
            served,
            old: Some(old),
            options: &given,
            dry_run: options.dry_run,
            warnings: &request.warnings,
        };
        // What admission changes is nobody's: it is noted who owns what before.
        if change.owners == Owners::Noted {
            fields::note(request, options, Some(old), &mut new);
        }
        let mut under_review = Some(new);
        self.admission.mutate(&review, &mut under_review).await?;
        let new = under_review.unwrap_or(Value::Null);
        let mut new = rules::to_working(served, new);
        let stored = working(served, old, &current);
        rules::prepare_update(served, &request.subresource, &mut new, stored);
        let claims = self
            .claim(request, &mut new, Some(stored), options.dry_run)
            .await?;
        if let Err(refused) = self.judge_change(&review, request, &current, &new).await {
            self.release(&claims).await;
            return Err(refused.before_any_write());
        }
        let changed = self
            .store_change(request, options.dry_run, &current, new)
            .await;
        match &changed {
            Ok(Try::Done(new)) if !options.dry_run => {
                self.release_old(request, stored, Some(new)).await;
            }
            Ok(Try::Done(_)) => {}
            Ok(Try::Changed(_)) => self.release(&claims).await,
            Err(status) => self.release_after(&claims, status).await,
        }
        changed
    }

    /// The current object in the version of the request, which most often is the one that it has.
    async fn shown<'a>(served: &Served, current: &'a Value) -> Result<Cow<'a, Value>, Status> {
        let has_it = current.get("apiVersion").and_then(Value::as_str)
            == Some(&served.resource.api_version());
        if has_it && !served.is_custom() {
            return Ok(Cow::Borrowed(current));
        }
        let converted = rules::convert(served, current.clone()).await?;
        Ok(Cow::Owned(converted))
    }

    async fn judge_change(
        &self,
        review: &Review<'_>,
        request: &Request,
        current: &Current,
        new: &Value,
    ) -> Result<(), Status> {
        let served = &request.served;
        let stored = review
            .old
            .map_or(&current.value, |old| working(served, old, current));
        let mut faults = rules::validate_update(served, &request.subresource, new, stored);
        self.check_privileged(request, new, &mut faults);
        if !faults.is_empty() {
            return Err(request.invalid(&request.name, &faults));
        }
        for warning in rules::warnings(served, new, Some(stored)) {
            request.warnings.add(warning);
        }
        self.have_judged(review, new).await
    }

    async fn store_change(
        &self,
        request: &Request,
        dry_run: bool,
        current: &Current,
        new: Value,
    ) -> Result<Try, Status> {
        let key = self.full_key(request, &request.name);
        // What was written is answered without asking a webhook, which could fail.
        let working = request.served.is_custom().then(|| new.clone());
        let mut stored = if dry_run {
            new
        } else {
            rules::to_stored(&request.served, new).await?
        };
        stamp(&mut stored, current.revision);
        if dry_run {
            return Ok(Try::Done(stored));
        }
        if apply::is_same_but_times(&current.value, &stored) {
            // Nothing to write says something of the object only if it is the newest one.
            if !current.is_newest {
                return Ok(Try::Changed(self.load(request, &request.name).await?));
            }
            if !current.is_stale {
                return Ok(Try::Done(current.value.clone()));
            }
        }
        let written = if is_over(&stored) {
            self.storage
                .remove(key.as_bytes(), current.revision)
                .await?
        } else {
            let bytes = encode(&mut stored).into();
            self.storage
                .replace(
                    key.as_bytes(),
                    current.revision,
                    bytes,
                    self.ttl_seconds(request),
                )
                .await?
        };
        match written {
            Written::At(revision) => {
                if is_over(&stored) {
                    self.release_old(request, &current.value, None).await;
                }
                let mut changed = working.unwrap_or(stored);
                stamp(&mut changed, revision);
                Ok(Try::Done(changed))
            }
            Written::Changed(found) => {
                let found = found.map(|stored| self.current(&stored)).transpose()?;
                Ok(Try::Changed(found))
            }
        }
    }
}

/// Whether a write that makes an object or changes it failed only because somebody else made or deleted that object meanwhile.
pub(super) fn is_lost_race(request: &Request, status: &Status) -> bool {
    let made = status.reason == Reason::AlreadyExists && status.name == request.name;
    made || *status == request.not_found()
}

/// What a change is of, in the version in which it is made ready.
fn working<'a>(served: &Served, old: &'a Value, current: &'a Current) -> &'a Value {
    if served.is_custom() {
        old
    } else {
        &current.value
    }
}

/// Whether an object whose deletion has begun has nothing left to wait for.
fn is_over(object: &Value) -> bool {
    let waits = meta::at(object, &["metadata", "deletionGracePeriodSeconds"])
        .and_then(Value::as_i64)
        .unwrap_or(0)
        > 0;
    let is_namespace = object["kind"] == "Namespace" && object["apiVersion"] == "v1";
    meta::is_deleting(object)
        && !waits
        && meta::list(object, &["metadata", "finalizers"]).is_empty()
        && (!is_namespace || meta::list(object, &["spec", "finalizers"]).is_empty())
}

/// What makes the new object the old one: name, place, uid, and the version it was made from.
fn check_identity(request: &Request, new: &mut Value, old: &Value) -> Result<(), Status> {
    if meta::name(new) != request.name {
        return Err(name_mismatch(meta::name(new), &request.name));
    }
    let uid = meta::uid(new).to_owned();
    if !uid.is_empty() && uid != meta::uid(old) {
        let path = objects::path::Path::new("metadata.uid");
        let fault = objects::invalid::Invalid::value(&path, uid, "field is immutable");
        return Err(request.invalid(&request.name, &vec![fault.clone(), fault]));
    }
    let wanted = meta::resource_version(new);
    if !wanted.is_empty() && wanted != meta::resource_version(old) {
        if wanted.parse::<u64>().is_err() {
            let why = format!("strconv.ParseUint: parsing {wanted:?}: invalid syntax");
            return Err(Status::new(Reason::Unknown, why));
        }
        return Err(request.conflict(CHANGED));
    }
    stamp(new, meta::resource_version(old).parse().unwrap_or(0));
    Ok(())
}

fn name_mismatch(object: &str, url: &str) -> Status {
    Status::new(
        Reason::BadRequest,
        format!("the name of the object ({object}) does not match the name on the URL ({url})"),
    )
}
