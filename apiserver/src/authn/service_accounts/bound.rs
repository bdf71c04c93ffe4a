//! Tokens that are bound to objects: they are good as long as the objects exist.

use objects::{Value, meta};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::claims::{Claims, LEEWAY_SECONDS};
use crate::{
    authn::{Refusal, certificate::CREDENTIAL_ID, service_account_groups, service_account_name},
    objects_view::ObjectsView,
    user::User,
};

const INVALIDATED: &str = "service account token has been invalidated";

/// The user of a token's claims.
///
/// # Errors
/// Why the token is not good.
pub(super) fn validate(
    claims: &Claims,
    view: &dyn ObjectsView,
    now_seconds: i64,
) -> Result<User, Refusal> {
    claims.check_time(now_seconds)?;
    let judge = Judge {
        claims,
        view,
        deleted_before_seconds: now_seconds - LEEWAY_SECONDS,
    };
    let namespace = claims.namespace();
    let account = claims
        .reference("serviceaccount")
        .ok_or("service account token has no service account")?;
    let object = view
        .get("", "serviceaccounts", namespace, account.name)
        .ok_or_else(|| {
            Refusal::unseen(format!("serviceaccounts \"{}\" not found", account.name))
        })?;
    if meta::uid(&object) != account.uid {
        return Err(Refusal::unseen(format!(
            "service account UID ({}) does not match claim ({})",
            meta::uid(&object),
            account.uid
        )));
    }
    if judge.is_gone(&object) {
        let why = format!(
            "service account {namespace}/{} has been deleted",
            account.name
        );
        return Err(why.into());
    }
    judge.check("secret")?;
    judge.check("pod")?;
    if claims.reference("pod").is_none() {
        judge.check("node")?;
    }
    let mut user = User {
        name: service_account_name(namespace, account.name),
        uid: account.uid.to_owned(),
        groups: service_account_groups(namespace),
        ..User::default()
    };
    add_extra(&mut user, claims);
    Ok(user)
}

/// What the audit log and admission want to know beside the user's name.
fn add_extra(user: &mut User, claims: &Claims) {
    let mut add = |key: &str, value: String| {
        user.extra.insert(key.to_owned(), vec![value]);
    };
    for kind in ["pod", "node"] {
        let Some(reference) = claims.reference(kind) else {
            continue;
        };
        // The node of a pod may have been unknown when the token was made; its name is told all the same.
        if reference.name.is_empty() || (kind == "pod" && reference.uid.is_empty()) {
            continue;
        }
        add(
            &format!("authentication.kubernetes.io/{kind}-name"),
            reference.name.to_owned(),
        );
        if !reference.uid.is_empty() {
            add(
                &format!("authentication.kubernetes.io/{kind}-uid"),
                reference.uid.to_owned(),
            );
        }
    }
    let id = claims.text("jti");
    if !id.is_empty() {
        add(CREDENTIAL_ID, format!("JTI={id}"));
    }
}

struct Judge<'a> {
    claims: &'a Claims,
    view: &'a dyn ObjectsView,
    deleted_before_seconds: i64,
}

impl Judge<'_> {
    /// Whether the object that the token is bound to, if it is, still exists.
    fn check(&self, kind: &str) -> Result<(), Refusal> {
        let Some(reference) = self.claims.reference(kind) else {
            return Ok(());
        };
        let namespace = match kind {
            "node" => "",
            _ => self.claims.namespace(),
        };
        let object = self
            .view
            .get("", &format!("{kind}s"), namespace, reference.name)
            .ok_or_else(|| Refusal::unseen(INVALIDATED))?;
        if meta::uid(&object) != reference.uid {
            return Err(Refusal::unseen(format!(
                "{kind} UID ({}) does not match service account {kind} ref claim ({})",
                meta::uid(&object),
                reference.uid
            )));
        }
        if self.is_gone(&object) {
            return Err(INVALIDATED.into());
        }
        Ok(())
    }

    /// Whether deletion of an object began longer ago than the leeway.
    fn is_gone(&self, object: &Value) -> bool {
        let since = meta::text(object, &["metadata", "deletionTimestamp"]);
        if since.is_empty() {
            return false;
        }
        OffsetDateTime::parse(since, &Rfc3339).map_or(true, |since| {
            since.unix_timestamp() < self.deleted_before_seconds
        })
    }
}
