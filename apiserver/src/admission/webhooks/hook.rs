//! One webhook, read from its configuration once for many requests.

use std::sync::Arc;
use std::time::Duration;

use objects::cel::Environment;
use objects::cel::admission::Scope;
use objects::selector::label::Selector;
use objects::status::Status;
use objects::{Value, meta};

use super::Refused;
use crate::admission::expressions::MatchConditions;
use crate::webhook::{Location, review_version};

/// Seconds that a webhook has if it does not say so.
const TIMEOUT_SECONDS: u64 = 10;

/// What the conditions of webhooks may speak of beside the request.
const SCOPE: Scope = Scope {
    params: false,
    authorizer: true,
    patches: false,
};

/// A webhook.
#[derive(Debug)]
pub(super) struct Hook {
    pub(super) name: String,
    pub(super) location: Result<Location, String>,
    pub(super) rules: Vec<Value>,
    /// Whether it wants to see requests for other versions of its resources too.
    pub(super) is_equivalent: bool,
    pub(super) namespaces: Result<Selector, String>,
    pub(super) objects: Result<Selector, String>,
    pub(super) timeout: Duration,
    pub(super) is_without_effect: bool,
    pub(super) is_reinvoked: bool,
    /// What has to hold of a request, if anything.
    pub(super) conditions: Option<MatchConditions>,
    /// The version of reviews that it reads.
    pub(super) version: Option<&'static str>,
    ignores_failure: bool,
}

impl Hook {
    /// The webhooks of configurations in the order in which they are asked.
    pub(super) fn read_all(configurations: &[Arc<Value>]) -> Vec<Hook> {
        let environment = Environment::admission(SCOPE);
        let mut sorted: Vec<&Arc<Value>> = configurations.iter().collect();
        sorted.sort_by_key(|configuration| meta::name(configuration));
        sorted
            .into_iter()
            .flat_map(|configuration| meta::list(configuration, &["webhooks"]))
            .map(|hook| Hook::read(hook, &environment))
            .collect()
    }

    fn read(hook: &Value, environment: &Environment) -> Hook {
        let text = |field: &str| meta::text(hook, &[field]);
        let selector = |field: &str| match hook.get(field) {
            None | Some(Value::Null) => Ok(Selector::everything()),
            Some(selector) => Selector::from_object(selector),
        };
        let seconds = hook.get("timeoutSeconds").and_then(Value::as_u64);
        let versions = meta::list(hook, &["admissionReviewVersions"]);
        let conditions = meta::list(hook, &["matchConditions"]);
        Hook {
            conditions: (!conditions.is_empty())
                .then(|| MatchConditions::compile(conditions, text("failurePolicy"), environment)),
            name: text("name").to_owned(),
            location: Location::read(&hook["clientConfig"]),
            rules: meta::list(hook, &["rules"]).to_vec(),
            is_equivalent: text("matchPolicy") != "Exact",
            namespaces: selector("namespaceSelector"),
            objects: selector("objectSelector"),
            timeout: Duration::from_secs(seconds.unwrap_or(TIMEOUT_SECONDS)),
            is_without_effect: matches!(text("sideEffects"), "None" | "NoneOnDryRun"),
            is_reinvoked: text("reinvocationPolicy") == "IfNeeded",
            version: review_version(versions),
            ignores_failure: text("failurePolicy") == "Ignore",
        }
    }

    /// What it means for the request that the webhook did not let it pass.
    pub(super) fn judge(&self, refused: Refused) -> Result<(), Status> {
        match refused {
            Refused::Status(status) => Err(*status),
            Refused::Unasked(why) if self.ignores_failure => {
                tracing::warn!(
                    webhook = self.name,
                    why,
                    "a webhook could not be asked, which is ignored"
                );
                Ok(())
            }
            Refused::Unasked(why) => Err(Status::internal(format!(
                "failed calling webhook {:?}: {why}",
                self.name
            ))),
        }
    }
}
