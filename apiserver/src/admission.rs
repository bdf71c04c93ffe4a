//! What is asked after authorization and before anything is stored: plugins that change an object, and plugins that only judge it.

use futures::future::BoxFuture;
use objects::Value;
use objects::status::Status;
use parking_lot::Mutex;

use crate::attributes::Attributes;
use crate::served::Served;

/// What a request does to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Create,
    Update,
    Delete,
    Connect,
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

/// Warnings that an answer carries in its headers; those beyond the most are dropped.
#[derive(Debug, Default)]
pub struct Warnings {
    texts: Mutex<Vec<String>>,
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

    #[must_use]
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.texts.lock())
    }
}

/// Admits everything.
#[derive(Debug, Default)]
pub struct AdmitAll;

impl Admission for AdmitAll {
    fn mutate<'a>(
        &'a self,
        _: &'a Review<'a>,
        _: &'a mut Option<Value>,
    ) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(async { Ok(()) })
    }

    fn validate<'a>(
        &'a self,
        _: &'a Review<'a>,
        _: Option<&'a Value>,
    ) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(async { Ok(()) })
    }
}
