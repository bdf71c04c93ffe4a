//! What is asked after authorization and before anything is stored: plugins that change an object, and plugins that only judge it.

mod certificates;
mod chain;
mod classes;
pub mod expressions;
mod limits;
mod namespaces;
mod node_restriction;
mod nodes;
mod owner_references;
mod pod_security;
mod pods;
mod policies;
mod priority;
mod quota;
mod request;
mod rules;
mod runtime_class;
mod service_account;
mod storage_claims;
mod webhooks;

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use objects::status::Status;
use objects::{Value, meta};
use parking_lot::Mutex;

use crate::attributes::Attributes;
use crate::served::Served;

pub use self::chain::{Chain, Parts, Plugin};

/// What a request does to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Create,
    Update,
    Delete,
    Connect,
}

impl Operation {
    /// The word for it in rules and reviews.
    fn name(self) -> &'static str {
        match self {
            Operation::Create => "CREATE",
            Operation::Update => "UPDATE",
            Operation::Delete => "DELETE",
            Operation::Connect => "CONNECT",
        }
    }
}

/// A request under review.
#[derive(Debug, Clone, Copy)]
pub struct Review<'a> {
    pub operation: Operation,
    pub attributes: &'a Attributes,
    pub served: &'a Served,
    /// The object as it is, of an update or a deletion.
    pub old: Option<&'a Value>,
    /// `CreateOptions` and their kin, as the request had them.
    pub options: &'a Value,
    pub dry_run: bool,
    pub warnings: &'a Warnings,
}

impl Review<'_> {
    /// Whether it is about objects of a resource themselves, and not about a part of them.
    #[must_use]
    pub fn is_of(&self, group: &str, plural: &str) -> bool {
        self.is_of_part(group, plural, "")
    }

    /// Whether it is about a part of objects.
    #[must_use]
    pub fn is_of_part(&self, group: &str, plural: &str, part: &str) -> bool {
        let asked = self.attributes;
        asked.group == group && asked.resource == plural && asked.subresource == part
    }

    /// The name of the object; who makes one may say it in the body alone.
    #[must_use]
    pub fn name_of<'a>(&'a self, object: Option<&'a Value>) -> &'a str {
        match (self.attributes.name.as_str(), object) {
            ("", Some(object)) => meta::name(object),
            (name, _) => name,
        }
    }

    /// The namespace that a request is about. A namespace is in itself.
    #[must_use]
    pub fn namespace_of<'a>(&'a self, object: Option<&'a Value>) -> &'a str {
        let asked = self.attributes;
        if asked.group.is_empty() && asked.resource == "namespaces" {
            self.name_of(object)
        } else {
            &asked.namespace
        }
    }

    /// A refusal; it names the object as the request did.
    #[must_use]
    pub fn forbidden(&self, object: Option<&Value>, why: impl std::fmt::Display) -> Status {
        let asked = self.attributes;
        let name = match object {
            _ if !asked.name.is_empty() => asked.name.as_str(),
            Some(object) if !meta::name(object).is_empty() => meta::name(object),
            _ => "Unknown",
        };
        Status::forbidden(&asked.group, &asked.resource, name, why)
    }
}

/// A plugin, or a chain of them.
pub trait Admission: Send + Sync {
    /// May change the object; there is none in a deletion.
    fn mutate<'a>(
        &'a self,
        review: &'a Review<'a>,
        object: &'a mut Option<Value>,
    ) -> BoxFuture<'a, Result<(), Status>>;

    /// Judges the object as it would be stored.
    fn validate<'a>(
        &'a self,
        review: &'a Review<'a>,
        object: Option<&'a Value>,
    ) -> BoxFuture<'a, Result<(), Status>>;
}

/// What is said about a request besides its answer: warnings in the headers, of which those beyond the most are dropped, and
/// annotations of its event in the audit log.
#[derive(Debug, Default)]
pub struct Warnings {
    texts: Mutex<Vec<String>>,
    annotations: Mutex<BTreeMap<String, String>>,
}

/// Warnings of one answer.
const WARNINGS_MAX: usize = 100;

impl Warnings {
    /// Adds a warning that was not given yet.
    pub fn add(&self, text: impl Into<String>) {
        let text = text.into();
        let mut texts = self.texts.lock();
        if texts.len() < WARNINGS_MAX && !texts.contains(&text) {
            texts.push(text);
        }
    }

    /// Sets an annotation of the event.
    pub fn annotate(&self, key: impl Into<String>, text: impl Into<String>) {
        self.annotations.lock().insert(key.into(), text.into());
    }

    /// Takes over all that was said about another request, which was made on behalf of this one.
    pub fn absorb(&self, other: &Warnings) {
        for text in other.take() {
            self.add(text);
        }
        self.annotations.lock().extend(other.take_annotations());
    }

    #[must_use]
    pub fn take_annotations(&self) -> BTreeMap<String, String> {
        std::mem::take(&mut self.annotations.lock())
    }

    #[must_use]
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.texts.lock())
    }
}
