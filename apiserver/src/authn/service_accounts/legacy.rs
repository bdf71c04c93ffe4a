//! Tokens that lie in secrets: they have no end, and are good as long as the secret holds them.

use base64::{Engine, engine::general_purpose::STANDARD};
use objects::meta;

use super::claims::Claims;
use crate::{
    authn::{Refusal, service_account_groups, service_account_name, split_service_account_name},
    objects_view::ObjectsView,
    user::User,
};

/// With this label a token is not good any more, though its secret exists.
const INVALID_SINCE: &str = "kubernetes.io/legacy-token-invalid-since";

const INVALIDATED: &str = "Token has been invalidated";

/// The user of a token's claims.
///
/// # Errors
/// Why the token is not good.
pub(super) fn validate(
    claims: &Claims,
    token: &str,
    view: &dyn ObjectsView,
) -> Result<User, Refusal> {
    let subject = present(claims, "sub", "sub")?;
    let own = |name: &str, shown| {
        present(
            claims,
            &format!("kubernetes.io/serviceaccount/{name}"),
            shown,
        )
    };
    let namespace = own("namespace", "namespace")?;
    let secret_name = own("secret.name", "secretName")?;
    let name = own("service-account.name", "serviceAccountName")?;
    let uid = own("service-account.uid", "serviceAccountUID")?;
    if split_service_account_name(subject) != Some((namespace, name)) {
        return Err("sub claim is invalid".into());
    }
    let secret = view
        .get("", "secrets", namespace, secret_name)
        .ok_or_else(|| Refusal::unseen(INVALIDATED))?;
    if meta::is_deleting(&secret) {
        return Err(INVALIDATED.into());
    }
    let stored = STANDARD.decode(meta::text(&secret, &["data", "token"]));
    if !stored.is_ok_and(|stored| stored == token.as_bytes()) {
        return Err(Refusal::unseen("Token does not match server's copy"));
    }
    let account = view
        .get("", "serviceaccounts", namespace, name)
        .ok_or_else(|| Refusal::unseen(format!("serviceaccounts \"{name}\" not found")))?;
    if meta::is_deleting(&account) {
        return Err(format!("ServiceAccount {namespace}/{name} has been deleted").into());
    }
    if meta::uid(&account) != uid {
        let current = meta::uid(&account);
        let why = format!("ServiceAccount UID ({current}) does not match claim ({uid})");
        return Err(Refusal::unseen(why));
    }
    if meta::label(&secret, INVALID_SINCE).is_some_and(|since| !since.is_empty()) {
        return Err(format!(
            "the token in secret {namespace}/{secret_name} for service account {namespace}/{name} has been marked invalid. \
            Use tokens from the TokenRequest API or manually created secret-based tokens, or remove the '{INVALID_SINCE}' label \
            from the secret to temporarily allow use of this token"
        )
        .into());
    }
    Ok(User {
        name: service_account_name(namespace, name),
        uid: uid.to_owned(),
        groups: service_account_groups(namespace),
        ..User::default()
    })
}

fn present<'a>(claims: &'a Claims, name: &str, shown: &str) -> Result<&'a str, String> {
    match claims.text(name) {
        "" => Err(format!("{shown} claim is missing")),
        text => Ok(text),
    }
}
