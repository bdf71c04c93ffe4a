//! Tokens with which new nodes come in: secrets of `kube-system` that say what they are for and until when.

use std::collections::BTreeSet;

use base64::{Engine, engine::general_purpose::STANDARD};
use objects::{Value, meta};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{objects_view::ObjectsView, user::User};

const ID_BYTES: usize = 6;
const SECRET_BYTES: usize = 16;
const GROUP_DEFAULT: &str = "system:bootstrappers";
/// The most bytes of a group's name after the prefix.
const GROUP_BYTES_MAX: usize = 256;

/// Whose token it is; nobody if there is no such secret, or it does not let anybody in.
pub(super) fn identify(token: &str, view: &dyn ObjectsView, now_seconds: i64) -> Option<User> {
    let (id, secret) = token.split_once('.')?;
    let plain = |text: &str, length| {
        let small = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        text.len() == length && text.bytes().all(small)
    };
    if !plain(id, ID_BYTES) || !plain(secret, SECRET_BYTES) {
        return None;
    }
    let object = view.get(
        "",
        "secrets",
        "kube-system",
        &format!("bootstrap-token-{id}"),
    )?;
    let good = !meta::is_deleting(&object)
        && meta::text(&object, &["type"]) == "bootstrap.kubernetes.io/token"
        && same(&data(&object, "token-secret"), secret)
        && data(&object, "token-id") == id
        && !has_expired(&object, now_seconds)
        && data(&object, "usage-bootstrap-authentication") == "true";
    if !good {
        return None;
    }
    Some(User {
        name: format!("system:bootstrap:{id}"),
        groups: groups(&data(&object, "auth-extra-groups"))?,
        ..User::default()
    })
}

/// A value of the secret; empty where there is none.
fn data(secret: &Value, key: &str) -> String {
    let bytes = STANDARD.decode(meta::text(secret, &["data", key]));
    bytes
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .unwrap_or_default()
}

/// Whether two texts are the same, without telling by the time it takes where they differ.
fn same(stored: &str, given: &str) -> bool {
    let differences = stored
        .bytes()
        .zip(given.bytes())
        .fold(0, |sum, (a, b)| sum | (a ^ b));
    stored.len() == given.len() && differences == 0
}

/// Whether the secret has ended. An end that cannot be read has passed.
fn has_expired(secret: &Value, now_seconds: i64) -> bool {
    let end = data(secret, "expiration");
    !end.is_empty()
        && OffsetDateTime::parse(&end, &Rfc3339)
            .map_or(true, |end| end.unix_timestamp() <= now_seconds)
}

/// The groups in their order; nothing if one of them is not for bootstrappers.
fn groups(listed: &str) -> Option<Vec<String>> {
    let mut groups = BTreeSet::from([GROUP_DEFAULT]);
    for group in listed.split(',').filter(|_| !listed.is_empty()) {
        let own = group.strip_prefix("system:bootstrappers:")?;
        let inner = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b':' | b'-')
        };
        let ends_well = own
            .bytes()
            .last()
            .is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if !ends_well || own.len() > GROUP_BYTES_MAX || !own.bytes().all(inner) {
            return None;
        }
        groups.insert(group);
    }
    Some(groups.into_iter().map(str::to_owned).collect())
}
