//! Ending objects: at once, or when their grace period is over and their finalizers are done.

use objects::status::Status;
use objects::{Value, crd, meta};
use serde_json::json;

use super::store::{Current, encode, stamp};
use super::{DeleteOptions, ListOptions, Registry, Request, as_served, rules};
use crate::admission::{Operation, Review};
use crate::clock;
use crate::storage::Written;

/// How often a deletion is tried on an object that is changed meanwhile.
const CONFLICTS_MAX: usize = 8;

/// The longest grace period; what asks for more gets this.
const GRACE_SECONDS_MAX: i64 = i32::MAX as i64;

/// Finalizers that stand for what becomes of dependents.
const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

/// What a deletion led to.
#[derive(Debug)]
pub enum Deleted {
    /// It is gone; this is what it was.
    Gone(Value),
    /// It waits for its grace period or its finalizers; this is what it is.
    Begun(Value),
}

impl Registry {
    /// Deletes an object.
    pub async fn delete(
        &self,
        request: &Request,
        options: &DeleteOptions,
    ) -> Result<Deleted, Status> {
        let mut current = self.load(request, &request.name).await?;
        for _ in 0..CONFLICTS_MAX {
            let Some(now) = current else {
                return Err(request.not_found());
            };
            check_preconditions(request, &now.value, options)?;
            let old = rules::convert(&request.served, now.value.clone()).await?;
            self.admit(request, options, &old).await?;
            match self.try_delete(request, options, now).await? {
                Ok(deleted) => return Ok(deleted),
                Err(found) => current = found,
            }
        }
        Err(request.conflict(super::CHANGED))
    }

    async fn admit(
        &self,
        request: &Request,
        options: &DeleteOptions,
        old: &Value,
    ) -> Result<(), Status> {
        let attributes = request.attributes("delete");
        let given = options.to_value();
        let review = Review {
            operation: Operation::Delete,
            attributes: &attributes,
            served: &request.served,
            old: Some(old),
            options: &given,
            dry_run: options.dry_run,
            warnings: &request.warnings,
        };
        self.admission.mutate(&review, &mut None).await?;
        self.admission.validate(&review, None).await
    }

    /// One try. The inner error is what is there instead.
    async fn try_delete(
        &self,
        request: &Request,
        options: &DeleteOptions,
        current: Current,
    ) -> Result<Result<Deleted, Option<Current>>, Status> {
        let key = self.full_key(request, &request.name);
        let mut marked = current.value.clone();
        let waits = mark(request, options, &mut marked);
        // Before anything is written: a webhook that converts may fail.
        let mut shown = as_served(&request.served, marked.clone()).await?;
        let deleted = if waits { Deleted::Begun } else { Deleted::Gone };
        if options.dry_run || (waits && marked == current.value) {
            return Ok(Ok(deleted(shown)));
        }
        let written = if waits {
            let bytes = encode(&mut marked).into();
            self.storage
                .replace(
                    key.as_bytes(),
                    current.revision,
                    bytes,
                    self.ttl_seconds(request),
                )
                .await?
        } else {
            self.storage
                .remove(key.as_bytes(), current.revision)
                .await?
        };
        Ok(match written {
            Written::At(revision) => {
                if !waits {
                    self.release_old(request, &current.value, None).await;
                }
                stamp(&mut shown, revision);
                Ok(deleted(shown))
            }
            Written::Changed(found) => {
                Err(found.map(|stored| self.current(&stored)).transpose()?)
            }
        })
    }

    /// Deletes what a list would show, and gives the objects as they were.
    pub async fn delete_collection(
        &self,
        request: &Request,
        options: &DeleteOptions,
        list: &ListOptions,
    ) -> Result<(Vec<Value>, i64), Status> {
        let found = self.list(request, list).await?;
        let revision = found.revision;
        let mut gone = Vec::new();
        for object in found.values(&request.served).await? {
            let namespace = if request.served.resource.namespaced {
                meta::namespace(&object)
            } else {
                ""
            };
            let one = request.derived(&request.served, namespace, meta::name(&object));
            let deleted = self.delete(&one, options).await;
            request.warnings.absorb(&one.warnings);
            match deleted {
                Ok(_) => gone.push(object),
                // Somebody else deleted it, which is what was wanted.
                Err(status) if status.reason == objects::status::Reason::NotFound => {}
                // One of several says nothing of those before it.
                Err(status) => {
                    let not_done = status.not_done && gone.is_empty();
                    return Err(Status { not_done, ..status });
                }
            }
        }
        Ok((gone, revision))
    }
}

pub(super) fn check_preconditions(
    request: &Request,
    object: &Value,
    options: &DeleteOptions,
) -> Result<(), Status> {
    // Upstream names the kind here and not the resource.
    let resource = &request.served.resource;
    let conflict =
        |why: String| Status::conflict(&resource.group, &resource.kind, &request.name, why);
    if let Some(uid) = &options.uid
        && uid != meta::uid(object)
    {
        return Err(conflict(format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been deleted and then \
             recreated",
            meta::uid(object)
        )));
    }
    if let Some(version) = &options.resource_version
        && version != meta::resource_version(object)
    {
        return Err(conflict(format!(
            "the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record ({}). The object might \
             have been modified",
            meta::resource_version(object)
        )));
    }
    Ok(())
}

/// Writes into an object that its deletion has begun, or ends sooner than it did. False if there is nothing to wait for.
fn mark(request: &Request, options: &DeleteOptions, object: &mut Value) -> bool {
    let traits = rules::traits(&request.served);
    let deleting = meta::is_deleting(object);
    let asked = options.grace_period_seconds.map(at_least_a_second);
    // Only what has a grace period of its own is ended by somebody else when that is over.
    let graceful = deleting && traits.grace_period_seconds.is_some();
    let running = Some(running_grace_seconds(object)).filter(|running| graceful && *running != 0);
    // A period that runs can be made shorter, and by whoever says so alone. Nothing else of the deletion changes without that.
    if running.is_some_and(|running| asked.is_none_or(|asked| asked >= running)) {
        return true;
    }
    set_finalizers(options, traits.orphans_dependents, object);
    let resource = &request.served.resource;
    let is_definition = resource.group == crd::GROUP && resource.plural == crd::PLURAL;
    if is_definition && !deleting {
        crd::begin_deletion(object, &clock::now());
    }
    let now = clock::now_seconds();
    let (end, grace) = match (running, asked) {
        (Some(running), Some(asked)) => shortened(deletion_seconds(object), running, asked),
        // Nobody waits for this one's end any more, so it is not in the future.
        _ if deleting => (deletion_seconds(object).min(now), 0),
        _ => {
            let grace = grace_period_seconds(request, options, object);
            (now + grace, grace)
        }
    };
    let has_finalizers = !meta::list(object, &["metadata", "finalizers"]).is_empty();
    let is_namespace = resource.kind == "Namespace" && resource.group.is_empty();
    let has_content = is_namespace && !meta::list(object, &["spec", "finalizers"]).is_empty();
    if grace == 0 && !has_finalizers && !has_content {
        return false;
    }
    let generation = meta::at(object, &["metadata", "generation"])
        .and_then(Value::as_i64)
        .unwrap_or(0);
    if !deleting || end != deletion_seconds(object) {
        meta::metadata_mut(object).insert("deletionTimestamp".to_owned(), clock::text(end).into());
    }
    let metadata = meta::metadata_mut(object);
    metadata.insert("deletionGracePeriodSeconds".to_owned(), grace.into());
    if generation > 0 && !deleting {
        metadata.insert("generation".to_owned(), (generation + 1).into());
    }
    if is_namespace && !deleting {
        meta::fields_mut(object, "status").insert("phase".to_owned(), json!("Terminating"));
    }
    true
}

/// A grace period below zero is the shortest one that somebody can still act in.
fn at_least_a_second(seconds: i64) -> i64 {
    if seconds < 0 {
        1
    } else {
        seconds.min(GRACE_SECONDS_MAX)
    }
}

/// The grace period that an object was given when its deletion began.
fn running_grace_seconds(object: &Value) -> i64 {
    let running = meta::at(object, &["metadata", "deletionGracePeriodSeconds"]);
    running.and_then(Value::as_i64).map_or(0, at_least_a_second)
}

/// When an object's deletion ends.
fn deletion_seconds(object: &Value) -> i64 {
    clock::seconds(meta::text(object, &["metadata", "deletionTimestamp"]))
        .unwrap_or_else(clock::now_seconds)
}

/// The end and the length of a grace period that is made shorter. It counts from when the deletion began, but is never over before
/// it was asked for: whoever ends the object has to see that.
fn shortened(end: i64, running: i64, asked: i64) -> (i64, i64) {
    let earlier = end.saturating_sub(running).saturating_add(asked);
    let now = clock::now_seconds();
    if earlier < now {
        (now, asked.min(1))
    } else {
        (earlier, asked)
    }
}

/// The grace period of an object whose deletion begins; 0 for those that have none.
fn grace_period_seconds(request: &Request, options: &DeleteOptions, object: &Value) -> i64 {
    let Some(default) = rules::traits(&request.served).grace_period_seconds else {
        return 0;
    };
    let own = meta::at(object, &["spec", "terminationGracePeriodSeconds"]).and_then(Value::as_i64);
    let asked = options.grace_period_seconds.or(own).unwrap_or(default);
    let unscheduled = meta::text(object, &["spec", "nodeName"]).is_empty();
    let ended = matches!(
        meta::text(object, &["status", "phase"]),
        "Failed" | "Succeeded"
    );
    if unscheduled || ended {
        0
    } else {
        at_least_a_second(asked)
    }
}

/// What becomes of dependents is kept as a finalizer until the garbage collector has seen to it.
fn set_finalizers(options: &DeleteOptions, orphans_by_default: bool, object: &mut Value) {
    let before = meta::list(object, &["metadata", "finalizers"]);
    let has = |name: &str| before.iter().any(|finalizer| finalizer == name);
    let wanted = match options.propagation.as_deref() {
        Some("Orphan") => Some(ORPHAN),
        Some("Foreground") => Some(FOREGROUND),
        Some(_) => None,
        None if has(ORPHAN) => Some(ORPHAN),
        None if has(FOREGROUND) => Some(FOREGROUND),
        None => orphans_by_default.then_some(ORPHAN),
    };
    let mut after: Vec<Value> = before
        .iter()
        .filter(|finalizer| *finalizer != ORPHAN && *finalizer != FOREGROUND)
        .cloned()
        .collect();
    after.extend(wanted.map(Value::from));
    if after.is_empty() {
        meta::metadata_mut(object).remove("finalizers");
    } else {
        meta::metadata_mut(object).insert("finalizers".to_owned(), after.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::served::Resources;

    fn pods() -> Request {
        let resources = Resources::default();
        let table = resources.table();
        Request::own(
            table.any_version("", "pods").unwrap(),
            "default",
            "a",
            "test",
        )
    }

    fn within(grace_period_seconds: Option<i64>) -> DeleteOptions {
        DeleteOptions {
            grace_period_seconds,
            ..DeleteOptions::default()
        }
    }

    /// A pod on a node whose deletion has begun, and ends that many seconds from now.
    fn ending(in_seconds: i64, grace: i64) -> Value {
        let end = clock::text(clock::now_seconds() + in_seconds);
        json!({
            "metadata": {"name": "a", "generation": 2, "deletionTimestamp": end, "deletionGracePeriodSeconds": grace},
            "spec": {"nodeName": "n", "terminationGracePeriodSeconds": 30},
            "status": {"phase": "Running"},
        })
    }

    fn grace(pod: &Value) -> &Value {
        &pod["metadata"]["deletionGracePeriodSeconds"]
    }

    #[test]
    fn a_second_deletion_without_a_period_leaves_the_first_one_alone() {
        let mut pod = ending(600, 600);
        let before = pod.clone();
        assert!(mark(&pods(), &within(None), &mut pod));
        assert_eq!(pod, before);
        // It ended meanwhile, but the node has yet to say that its containers are gone.
        pod["status"]["phase"] = json!("Succeeded");
        let before = pod.clone();
        let mut foreground = within(None);
        foreground.propagation = Some("Foreground".to_owned());
        assert!(mark(&pods(), &foreground, &mut pod));
        assert_eq!(pod, before);
    }

    #[test]
    fn a_running_period_is_made_shorter_and_never_longer() {
        let mut pod = ending(600, 600);
        let end = deletion_seconds(&pod);
        let before = pod.clone();
        assert!(mark(&pods(), &within(Some(900)), &mut pod));
        assert_eq!(pod, before);
        assert!(mark(&pods(), &within(Some(60)), &mut pod));
        assert_eq!(
            (grace(&pod), deletion_seconds(&pod)),
            (&json!(60), end - 540)
        );
        assert_eq!(pod["metadata"]["generation"], 2);
        assert!(!mark(&pods(), &within(Some(0)), &mut pod));
    }

    #[test]
    fn a_period_that_would_be_over_already_is_a_second() {
        let mut pod = ending(10, 600);
        assert!(mark(&pods(), &within(Some(60)), &mut pod));
        assert_eq!(grace(&pod), &json!(1));
        assert!(deletion_seconds(&pod) >= clock::now_seconds() - 1);
        let mut pod = ending(600, 600);
        assert!(mark(&pods(), &within(Some(-5)), &mut pod));
        assert_eq!(grace(&pod), &json!(1));
    }

    #[test]
    fn a_period_below_zero_is_a_second() {
        let mut pod = json!({"metadata": {"name": "a"}, "spec": {"nodeName": "n", "terminationGracePeriodSeconds": -1}});
        assert!(mark(&pods(), &within(None), &mut pod));
        assert_eq!(grace(&pod), &json!(1));
    }

    #[test]
    fn what_has_no_period_left_goes_once_its_finalizers_are_done() {
        let mut pod = ending(-5, 0);
        pod["metadata"]["finalizers"] = json!(["a/b"]);
        let before = pod.clone();
        assert!(mark(&pods(), &within(None), &mut pod));
        assert_eq!(pod, before);
        pod["metadata"]["finalizers"] = json!([]);
        assert!(!mark(&pods(), &within(None), &mut pod));
    }
}
