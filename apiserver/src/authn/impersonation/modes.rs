//! The ways to be allowed to act as somebody else: for certain requests and kinds of users, or, as of old, for all requests.

use std::sync::Arc;

use objects::status::Status;

use crate::{
    attributes::Attributes,
    authn::{node_name, service_account_groups, split_service_account_name},
    authz::{Authorizer, forbidden},
    user::{ANONYMOUS, AUTHENTICATED, MASTERS, UNAUTHENTICATED, User},
};

const GROUP: &str = "authentication.k8s.io";
const NODES: &str = "system:nodes";
const NODE_NAME: &str = "authentication.kubernetes.io/node-name";

/// From how many groups or extra values on everything is asked about before each of them.
const MANY: usize = 4;

/// One of the ways, the narrowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// A service account acts as the node that its pod is on.
    AssociatedNode,
    ArbitraryNode,
    ServiceAccount,
    UserInfo,
    Legacy,
}

impl Mode {
    pub(super) const ALL: [Mode; 5] = [
        Mode::AssociatedNode,
        Mode::ArbitraryNode,
        Mode::ServiceAccount,
        Mode::UserInfo,
        Mode::Legacy,
    ];

    /// The name in verbs; none for the way of old.
    fn name(self) -> Option<&'static str> {
        match self {
            Mode::AssociatedNode => Some("associated-node"),
            Mode::ArbitraryNode => Some("arbitrary-node"),
            Mode::ServiceAccount => Some("serviceaccount"),
            Mode::UserInfo => Some("user-info"),
            Mode::Legacy => None,
        }
    }

    /// Whether somebody may act as a user this way; nothing if the way is not for such users.
    pub(super) fn check(
        self,
        authorizer: &dyn Authorizer,
        request: &Attributes,
        wanted: &User,
    ) -> Option<Result<User, Status>> {
        if !self.is_for(&request.user, wanted) {
            return None;
        }
        let check = Check {
            mode: self,
            authorizer,
            requestor: self.requestor(request),
        };
        Some(check.all(request, wanted))
    }

    fn is_for(self, requestor: &User, wanted: &User) -> bool {
        let name_alone =
            wanted.uid.is_empty() && wanted.groups.is_empty() && wanted.extra.is_empty();
        let node = node_name(&wanted.name);
        let account = split_service_account_name(&wanted.name);
        match self {
            Mode::AssociatedNode => {
                let own = requestor.extra.get(NODE_NAME).map(Vec::as_slice);
                let is_own = matches!((own, node), (Some([own]), Some(node)) if own == node);
                name_alone && is_own && split_service_account_name(&requestor.name).is_some()
            }
            Mode::ArbitraryNode => name_alone && node.is_some(),
            Mode::ServiceAccount => name_alone && account.is_some(),
            Mode::UserInfo => node.is_none() && account.is_none(),
            Mode::Legacy => true,
        }
    }

    /// Who is asked about. What a pod of a service account is called makes no difference to what it may do.
    fn requestor(self, request: &Attributes) -> Arc<User> {
        if self != Mode::AssociatedNode {
            return request.user.clone();
        }
        let keys = request.user.extra.keys().cloned().collect();
        let key = "authentication.kubernetes.io/associated-node-keys".to_owned();
        Arc::new(User {
            extra: [(key, keys)].into(),
            ..(*request.user).clone()
        })
    }
}

struct Check<'a> {
    mode: Mode,
    authorizer: &'a dyn Authorizer,
    requestor: Arc<User>,
}

impl Check<'_> {
    fn all(&self, request: &Attributes, wanted: &User) -> Result<User, Status> {
        if let Some(mode) = self.mode.name() {
            self.allowed(&Attributes {
                user: self.requestor.clone(),
                verb: format!("impersonate-on:{mode}:{}", request.verb),
                ..request.clone()
            })?;
        }
        let mut user = wanted.clone();
        self.name(wanted, &mut user)?;
        if !wanted.uid.is_empty() {
            self.allowed(&self.asked(GROUP, "uids", &wanted.uid))?;
        }
        self.groups(wanted)?;
        self.extra(wanted)?;
        let group = if user.name == ANONYMOUS {
            UNAUTHENTICATED
        } else if user.is_in(UNAUTHENTICATED) {
            return Ok(user);
        } else {
            AUTHENTICATED
        };
        if !user.is_in(group) {
            user.groups.push(group.to_owned());
        }
        Ok(user)
    }

    fn allowed(&self, asked: &Attributes) -> Result<(), Status> {
        let decision = self.authorizer.authorize(asked);
        if decision.is_allowed() {
            return Ok(());
        }
        Err(forbidden(asked, decision.reason()))
    }

    fn asked(&self, group: &str, resource: &str, name: &str) -> Attributes {
        let verb = match self.mode.name() {
            Some(mode) => format!("impersonate:{mode}"),
            None => "impersonate".to_owned(),
        };
        Attributes {
            user: self.requestor.clone(),
            verb,
            group: group.to_owned(),
            version: "v1".to_owned(),
            resource: resource.to_owned(),
            name: name.to_owned(),
            ..Attributes::default()
        }
    }

    /// The group of users and groups: the way of old knows them without one.
    fn group(&self) -> &'static str {
        if self.is_constrained() { GROUP } else { "" }
    }

    fn is_constrained(&self) -> bool {
        self.mode != Mode::Legacy
    }

    fn name(&self, wanted: &User, user: &mut User) -> Result<(), Status> {
        let mut asked = self.asked(self.group(), "users", &wanted.name);
        if let Some(node) = node_name(&wanted.name).filter(|_| self.is_constrained()) {
            asked.resource = "nodes".to_owned();
            asked.name = match self.mode {
                Mode::AssociatedNode => "*".to_owned(),
                _ => node.to_owned(),
            };
            user.groups = vec![NODES.to_owned()];
        } else if let Some((namespace, name)) = split_service_account_name(&wanted.name) {
            asked.resource = "serviceaccounts".to_owned();
            asked.namespace = namespace.to_owned();
            asked.name = name.to_owned();
            if wanted.groups.is_empty() {
                user.groups = service_account_groups(namespace);
            }
        }
        self.allowed(&asked)
    }

    fn groups(&self, wanted: &User) -> Result<(), Status> {
        let asked = |name: &str| self.asked(self.group(), "groups", name);
        if self.is_constrained() {
            if wanted.is_in("") {
                let why = "impersonating the empty string group is not allowed";
                return Err(forbidden(&asked(""), why));
            }
            if wanted.is_in(MASTERS) {
                let why = "impersonating the system:masters group is not allowed";
                return Err(forbidden(&asked(MASTERS), why));
            }
            if wanted.groups.len() >= MANY && self.allowed(&asked("*")).is_ok() {
                return Ok(());
            }
        }
        wanted
            .groups
            .iter()
            .try_for_each(|group| self.allowed(&asked(group)))
    }

    fn extra(&self, wanted: &User) -> Result<(), Status> {
        let asked = |key: &str, value: &str| Attributes {
            subresource: key.to_owned(),
            ..self.asked(GROUP, "userextras", value)
        };
        if self.is_constrained() && !wanted.extra.is_empty() {
            for (key, values) in &wanted.extra {
                if let Err(why) = check_extra(key, values) {
                    return Err(forbidden(&asked("", ""), &why));
                }
            }
            let count: usize = wanted.extra.values().map(Vec::len).sum();
            if count >= MANY && self.allowed(&asked("*", "*")).is_ok() {
                return Ok(());
            }
        }
        for (key, values) in &wanted.extra {
            for value in values {
                self.allowed(&asked(key, value))?;
            }
        }
        Ok(())
    }
}

/// What the newer ways ask of extra fields: keys with a domain, and values.
fn check_extra(key: &str, values: &[String]) -> Result<(), String> {
    if key.is_empty() {
        return Err("impersonating the empty string key in extra is not allowed".to_owned());
    }
    if !is_domain_path(key) {
        return Err(format!(
            "impersonating an invalid key in extra is not allowed: extra.key: Invalid value: {key:?}: must be a domain-prefixed path (such as \"acme.io/foo\")"
        ));
    }
    if key.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(format!(
            "impersonating a non-lowercase key in extra is not allowed: {key:?}"
        ));
    }
    if values.iter().any(String::is_empty) {
        return Err("impersonating the empty string value in extra is not allowed".to_owned());
    }
    Ok(())
}

fn is_domain_path(key: &str) -> bool {
    let Some((domain, path)) = key.split_once('/') else {
        return false;
    };
    let label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(inner)
    };
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&byte);
    domain.split('.').all(label) && !path.is_empty() && path.bytes().all(letter)
}
