//! What expressions may ask of an authorizer: checks that are put together step by step and answered by the caller's.

use std::{fmt, sync::Arc};

/// Answers whether a request is allowed. The caller supplies it, since only the server knows its rules.
pub trait Authorizer: fmt::Debug + Send + Sync {
    fn decide(&self, question: &Question) -> Decision;
}

/// What is asked: a path, or a resource with all that narrows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Question {
    /// Another user than the request's: namespace and name of a service account.
    pub service_account: Option<(String, String)>,
    /// Of a request that is not about a resource.
    pub path: Option<String>,
    pub verb: String,
    pub group: String,
    pub resource: String,
    pub subresource: String,
    pub namespace: String,
    pub name: String,
    pub field_selector: Option<String>,
    pub label_selector: Option<String>,
}

/// The answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decision {
    pub allowed: bool,
    pub reason: String,
    /// Why it could not be answered.
    pub error: Option<String>,
}

/// A step towards an answer, or the answer.
#[derive(Debug, Clone)]
pub enum Check {
    Start(Arc<dyn Authorizer>, Question),
    Path(Arc<dyn Authorizer>, Question),
    Group(Arc<dyn Authorizer>, Question),
    Resource(Arc<dyn Authorizer>, Question),
    Decision(Decision),
}

impl Check {
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Check::Start(..) => "kubernetes.authorization.Authorizer",
            Check::Path(..) => "kubernetes.authorization.PathCheck",
            Check::Group(..) => "kubernetes.authorization.GroupCheck",
            Check::Resource(..) => "kubernetes.authorization.ResourceCheck",
            Check::Decision(_) => "kubernetes.authorization.Decision",
        }
    }

    /// The next step, if the method is one of this step's.
    pub(super) fn step(&self, method: &str, args: &[&str]) -> Option<Check> {
        let (Check::Start(who, question)
        | Check::Path(who, question)
        | Check::Group(who, question)
        | Check::Resource(who, question)) = self
        else {
            return None;
        };
        let (who, mut next) = (who.clone(), question.clone());
        let first = args.first().map(|text| (*text).to_owned())?;
        Some(match (self, method) {
            (Check::Start(..), "path") => {
                next.path = Some(first);
                Check::Path(who, next)
            }
            (Check::Start(..), "group") => {
                next.group = first;
                Check::Group(who, next)
            }
            (Check::Start(..), "serviceAccount") => {
                next.service_account = Some((first, (*args.get(1)?).to_owned()));
                Check::Start(who, next)
            }
            (Check::Group(..), "resource") => {
                next.resource = first;
                Check::Resource(who, next)
            }
            (Check::Path(..) | Check::Resource(..), "check") => {
                next.verb = first;
                Check::Decision(who.decide(&next))
            }
            (Check::Resource(..), _) => {
                match method {
                    "subresource" => next.subresource = first,
                    "namespace" => next.namespace = first,
                    "name" => next.name = first,
                    "fieldSelector" => next.field_selector = Some(first),
                    "labelSelector" => next.label_selector = Some(first),
                    _ => return None,
                }
                Check::Resource(who, next)
            }
            _ => return None,
        })
    }
}
