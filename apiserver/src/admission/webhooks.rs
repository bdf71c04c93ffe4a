//! Webhooks of others: some may change an object, one after the other, and some judge it, all at a time.

mod hook;
mod matching;
mod patch;
mod review;
mod rounds;

use std::sync::Arc;

use futures::future::join_all;
use objects::Value;
use objects::status::Status;
use parking_lot::Mutex;

use self::hook::Hook;
use self::review::Answer;
pub(super) use self::rounds::Rounds;
use super::chain::Parts;
use super::{Review, rules};
use crate::objects_view::ObjectsView;
use crate::served::Served;
use crate::webhook::{Caller, Failure, Purpose};

const GROUP: &str = "admissionregistration.k8s.io";

/// All webhooks that are asked.
pub(super) struct Webhooks {
    caller: Arc<Caller>,
    mutating: Kept,
    validating: Kept,
}

/// The webhooks of one kind of configuration, read anew when one of these changes.
struct Kept {
    plural: &'static str,
    now: Mutex<Option<(u64, Arc<[Hook]>)>>,
}

/// Why a webhook did not let a request pass.
enum Refused {
    /// It could not be asked, which may be ignored.
    Unasked(String),
    /// It, or this server in its place, said no.
    Status(Box<Status>),
}

impl From<Status> for Refused {
    fn from(status: Status) -> Refused {
        Refused::Status(Box::new(status))
    }
}

impl Kept {
    fn new(plural: &'static str) -> Kept {
        Kept {
            plural,
            now: Mutex::new(None),
        }
    }

    fn hooks(&self, view: &dyn ObjectsView) -> Arc<[Hook]> {
        // Taken before the objects: what changes meanwhile is read again.
        let generation = view.generation(GROUP, self.plural);
        let mut now = self.now.lock();
        if let Some((of, hooks)) = now.as_ref()
            && *of == generation
        {
            return hooks.clone();
        }
        let hooks: Arc<[Hook]> = Hook::read_all(&view.list(GROUP, self.plural, None)).into();
        *now = Some((generation, hooks.clone()));
        hooks
    }
}

impl Webhooks {
    pub(super) fn new(caller: Arc<Caller>) -> Webhooks {
        Webhooks {
            caller,
            mutating: Kept::new("mutatingwebhookconfigurations"),
            validating: Kept::new("validatingwebhookconfigurations"),
        }
    }

    /// Asks those that may change the object.
    pub(super) async fn mutate(
        &self,
        parts: &Parts,
        review: &Review<'_>,
        object: &mut Option<Value>,
        rounds: &mut Rounds,
    ) -> Result<(), Status> {
        if rules::is_exempt(review) {
            return Ok(());
        }
        let hooks = rounds.hooks(|| self.mutating.hooks(parts.view.as_ref()));
        if hooks.is_empty() {
            return Ok(());
        }
        rounds.look_at(object.as_ref());
        for (at, hook) in hooks.iter().enumerate() {
            let target = matching::target(parts, hook, review, object.as_ref()).await?;
            let Some(target) = target.filter(|_| rounds.asks(at)) else {
                continue;
            };
            let changed = self
                .change_by(hook, review, target.of(review), object)
                .await;
            match changed {
                Ok(changed) => rounds.asked(at, hook.is_reinvoked, changed),
                Err(refused) => {
                    hook.judge(refused)?;
                    rounds.asked(at, hook.is_reinvoked, false);
                }
            }
        }
        rounds.end(object.as_ref());
        Ok(())
    }

    /// Asks those that judge, and gives the first refusal in their order.
    pub(super) async fn validate(
        &self,
        parts: &Parts,
        review: &Review<'_>,
        object: Option<&Value>,
    ) -> Result<(), Status> {
        if rules::is_exempt(review) {
            return Ok(());
        }
        let hooks = self.validating.hooks(parts.view.as_ref());
        let mut asked = Vec::new();
        for hook in hooks.iter() {
            if let Some(target) = matching::target(parts, hook, review, object).await? {
                asked.push((hook, target));
            }
        }
        let asking = asked.iter().map(|(hook, target)| async move {
            let answered = self.judge_by(hook, review, target.of(review), object).await;
            answered.or_else(|refused| hook.judge(refused))
        });
        join_all(asking).await.into_iter().collect()
    }

    /// Tells whether a webhook changed the object.
    async fn change_by(
        &self,
        hook: &Hook,
        review: &Review<'_>,
        target: &Served,
        object: &mut Option<Value>,
    ) -> Result<bool, Refused> {
        let shown = match object {
            Some(object) => Some(patch::shown(target, review.operation, object).await?),
            None => None,
        };
        let answer = self.ask(hook, review, target, shown.as_ref()).await?;
        let patch = answer.patch(hook)?;
        let Some(operations) = patch.filter(|patch| !patch.is_empty()) else {
            return Ok(false);
        };
        let (Some(shown), Some(before)) = (shown, object.as_ref()) else {
            return Err(Status::internal(format!(
                "admission webhook {:?} attempted to modify the object, which is not supported for this operation",
                hook.name
            ))
            .into());
        };
        let patched = patch::apply(target, &shown, operations)?;
        let after = patch::taken(review, before, patched).await?;
        let changed = after != *before;
        *object = Some(after);
        Ok(changed)
    }

    async fn judge_by(
        &self,
        hook: &Hook,
        review: &Review<'_>,
        target: &Served,
        object: Option<&Value>,
    ) -> Result<(), Refused> {
        let shown = rules::shown(target, object).await?;
        let answer = self.ask(hook, review, target, shown.as_ref()).await?;
        answer.has_no_patch().map_err(Refused::Unasked)
    }

    /// What a webhook says, if it does not refuse.
    async fn ask(
        &self,
        hook: &Hook,
        review: &Review<'_>,
        target: &Served,
        object: Option<&Value>,
    ) -> Result<Answer, Refused> {
        if review.dry_run && !hook.is_without_effect {
            return Err(Status::bad_request(format!(
                "admission webhook {:?} does not support dry run",
                hook.name
            ))
            .into());
        }
        let Some(version) = hook.version else {
            return Err(Refused::Unasked(
                "could not create admission objects: webhook does not accept known AdmissionReview versions (v1, v1beta1)"
                    .to_owned(),
            ));
        };
        let location = hook.location.as_ref().map_err(unusable)?;
        let old = rules::shown(target, review.old).await?;
        let uid = crate::registry::uid();
        let request = review::request(review, target, &uid, (object, old.as_ref()));
        let document = review::document(version, request);
        let to = (Purpose::Admission, location);
        let answered = self.caller.post(to, &document, hook.timeout).await;
        let document = answered.map_err(|failure| match failure {
            Failure::Unusable(why) => unusable(&why),
            Failure::Failed(why) => Refused::Unasked(format!("failed to call webhook: {why}")),
            // It may answer, so it is not ignored.
            Failure::Crowded(status) => status.into(),
        })?;
        let answer = Answer::read(&document, version, &uid).map_err(Refused::Unasked)?;
        for warning in &answer.warnings {
            review.warnings.add(warning);
        }
        for (key, text) in &answer.annotations {
            let name = format!("{}/{key}", hook.name);
            review.warnings.annotate(name, text);
        }
        match answer.refusal(&hook.name) {
            Some(status) => Err(status.into()),
            None => Ok(answer),
        }
    }
}

fn unusable(why: &String) -> Refused {
    Refused::Unasked(format!("could not get REST client: {why}"))
}
