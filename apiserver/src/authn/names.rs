//! The user names and groups of service accounts.

const PREFIX: &str = "system:serviceaccount:";
const NODE_PREFIX: &str = "system:node:";

/// The most bytes of a namespace's name.
const NAMESPACE_BYTES_MAX: usize = 63;

/// The most bytes of a service account's or node's name.
const NAME_BYTES_MAX: usize = 253;

/// The user name of a service account.
#[must_use]
pub fn service_account_name(namespace: &str, name: &str) -> String {
    format!("{PREFIX}{namespace}:{name}")
}

/// The groups of a service account: all of them, and those of its namespace.
#[must_use]
pub fn service_account_groups(namespace: &str) -> Vec<String> {
    let all = "system:serviceaccounts";
    vec![all.to_owned(), format!("{all}:{namespace}")]
}

/// Namespace and name of a service account's user name; nothing if it is not one.
#[must_use]
pub fn split_service_account_name(user: &str) -> Option<(&str, &str)> {
    let (namespace, name) = user.strip_prefix(PREFIX)?.split_once(':')?;
    let valid = is_label(namespace)
        && namespace.len() <= NAMESPACE_BYTES_MAX
        && name.len() <= NAME_BYTES_MAX
        && name.split('.').all(is_label);
    valid.then_some((namespace, name))
}

/// The name of the node of a node's user name; nothing if it is not one.
pub(crate) fn node_name(user: &str) -> Option<&str> {
    let name = user.strip_prefix(NODE_PREFIX)?;
    (name.len() <= NAME_BYTES_MAX && name.split('.').all(is_label)).then_some(name)
}

/// Whether a text is made of small letters, digits and inner dashes.
fn is_label(text: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(|byte| *byte != b'-');
    let bytes = text.as_bytes();
    edge(bytes.first())
        && edge(bytes.last())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-')
}
