//! Who sends a request.

use std::collections::BTreeMap;

use objects::Value;
use serde_json::json;

/// An identity that authentication found, or that an allowed impersonation put in its place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub uid: String,
    pub groups: Vec<String>,
    pub extra: BTreeMap<String, Vec<String>>,
}

/// Whoever did not say who it is.
pub const ANONYMOUS: &str = "system:anonymous";
/// The group of whoever did not say who it is.
pub const UNAUTHENTICATED: &str = "system:unauthenticated";
/// The group of everybody else.
pub const AUTHENTICATED: &str = "system:authenticated";
/// The group that may do everything, whatever the rules say.
pub const MASTERS: &str = "system:masters";
/// The server itself, towards itself.
pub const APISERVER: &str = "system:apiserver";

impl User {
    #[must_use]
    pub fn anonymous() -> User {
        User {
            name: ANONYMOUS.to_owned(),
            groups: vec![UNAUTHENTICATED.to_owned()],
            ..User::default()
        }
    }

    #[must_use]
    pub fn apiserver() -> User {
        User {
            name: APISERVER.to_owned(),
            groups: vec![MASTERS.to_owned(), AUTHENTICATED.to_owned()],
            ..User::default()
        }
    }

    /// The user as Kubernetes' `UserInfo`, without what it does not have.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut info = json!({});
        for (field, text) in [("username", &self.name), ("uid", &self.uid)] {
            if !text.is_empty() {
                info[field] = json!(text);
            }
        }
        if !self.groups.is_empty() {
            info["groups"] = json!(self.groups);
        }
        if !self.extra.is_empty() {
            info["extra"] = json!(self.extra);
        }
        info
    }

    #[must_use]
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|own| own == group)
    }
}
