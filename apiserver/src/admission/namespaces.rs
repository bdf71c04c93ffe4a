//! Objects are made only in a namespace that exists and is not ending, and some namespaces never end.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use objects::status::{Cause, Status};
use objects::{Value, meta};
use parking_lot::Mutex;

use super::chain::Parts;
use super::{Operation, Review};

/// Namespaces that cannot be deleted.
const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];
/// How long the store is asked about a namespace whose deletion was requested here, and not memory.
const LIVE_FOR: Duration = Duration::from_secs(30);
/// How many such namespaces are remembered.
const DELETED_MAX: usize = 100;

/// The namespaces whose deletion was requested of late.
#[derive(Debug, Default)]
pub(super) struct Deleted {
    names: Mutex<VecDeque<(String, Instant)>>,
}

impl Deleted {
    fn add(&self, name: &str, now: Instant) {
        let mut names = self.names.lock();
        names.retain(|(other, _)| other != name);
        if names.len() == DELETED_MAX {
            names.pop_front();
        }
        names.push_back((name.to_owned(), now));
    }

    fn has(&self, name: &str, now: Instant) -> bool {
        self.names
            .lock()
            .iter()
            .any(|(other, at)| other == name && now.duration_since(*at) < LIVE_FOR)
    }
}

/// The decision, with a look at the store where memory may be behind.
pub(super) async fn judge(
    parts: &Parts,
    deleted: &Deleted,
    review: &Review<'_>,
    object: Option<&Value>,
) -> Result<(), Status> {
    let asked = review.attributes;
    let about_namespace = asked.group.is_empty() && asked.resource == "namespaces";
    if review.operation == Operation::Delete {
        if about_namespace {
            if IMMORTAL.contains(&asked.name.as_str()) {
                let why = "this namespace may not be deleted";
                return Err(Status::forbidden("", "namespaces", &asked.name, why));
            }
            deleted.add(&asked.name, Instant::now());
        }
        return Ok(());
    }
    if about_namespace || asked.namespace.is_empty() || review.operation == Operation::Connect {
        return Ok(());
    }
    if asked.group == "authorization.k8s.io" {
        return Ok(());
    }
    let resource = ("", "namespaces");
    let found = if deleted.has(&asked.namespace, Instant::now()) {
        parts.read(resource, "", &asked.namespace).await?
    } else {
        parts.find(resource, "", &asked.namespace).await?
    };
    let Some(namespace) = found else {
        return Err(Status::not_found("", "namespaces", &asked.namespace));
    };
    let ending = meta::text(&namespace, &["status", "phase"]) == "Terminating";
    if review.operation == Operation::Create && ending {
        return Err(terminating(review, object));
    }
    Ok(())
}

fn terminating(review: &Review<'_>, object: Option<&Value>) -> Status {
    let name = &review.attributes.namespace;
    let mut status = review.forbidden(
        object,
        format!("unable to create new content in namespace {name} because it is being terminated"),
    );
    status.causes.push(Cause {
        reason: "NamespaceTerminating".to_owned(),
        message: format!("namespace {name} is being terminated"),
        field: "metadata.namespace".to_owned(),
    });
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deleted_namespace_is_remembered_for_a_while_and_the_oldest_is_forgotten() {
        let (deleted, now) = (Deleted::default(), Instant::now());
        deleted.add("a", now);
        assert!(deleted.has("a", now) && !deleted.has("a", now + LIVE_FOR));
        for index in 0..DELETED_MAX {
            deleted.add(&format!("n{index}"), now);
        }
        assert!(!deleted.has("a", now) && deleted.has("n0", now));
    }
}
