//! The authorizers of `--authorization-mode`, asked one after the other.

use std::sync::Arc;

use super::{Authorizer, Decision, Rule, Rules, node::Node, rbac::Rbac};
use crate::{
    attributes::Attributes,
    objects_view::ObjectsView,
    user::{MASTERS, User},
};

/// One of the ways to decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    AlwaysAllow,
    AlwaysDeny,
    Node,
    Rbac,
}

impl Mode {
    /// The modes of a flag's value, which are separated by commas.
    ///
    /// # Errors
    /// A text for the operator: a mode that does not exist, is not offered, or stands there twice.
    pub fn parse_list(flag: &str) -> Result<Vec<Mode>, String> {
        let mut modes = Vec::new();
        for name in flag.split(',').filter(|name| !name.is_empty()) {
            let mode = match name {
                "AlwaysAllow" => Mode::AlwaysAllow,
                "AlwaysDeny" => Mode::AlwaysDeny,
                "Node" => Mode::Node,
                "RBAC" => Mode::Rbac,
                "Webhook" | "ABAC" => {
                    return Err(format!(
                        "authorization-mode {name:?} is not offered by this server"
                    ));
                }
                _ => return Err(format!("authorization-mode {name:?} is not a valid mode")),
            };
            if modes.contains(&mode) {
                return Err(format!(
                    "authorization-mode {name:?} has mode specified more than once"
                ));
            }
            modes.push(mode);
        }
        if modes.is_empty() {
            return Err("at least one authorization-mode must be passed".to_owned());
        }
        Ok(modes)
    }
}

/// Everybody may do everything.
pub struct AlwaysAllow;

/// Nobody but the masters may do anything.
pub struct AlwaysDeny;

impl Authorizer for AlwaysAllow {
    fn authorize(&self, _: &Attributes) -> Decision {
        Decision::allow()
    }

    fn rules_for(&self, _: &User, _: &str) -> Rules {
        let all = || vec!["*".to_owned()];
        let resources = Rule {
            verbs: all(),
            groups: all(),
            resources: all(),
            ..Rule::default()
        };
        let urls = Rule {
            verbs: all(),
            non_resource_urls: all(),
            ..Rule::default()
        };
        Rules {
            rules: vec![resources, urls],
            ..Rules::default()
        }
    }
}

impl Authorizer for AlwaysDeny {
    fn authorize(&self, _: &Attributes) -> Decision {
        Decision::no_opinion("Everything is forbidden.")
    }

    fn rules_for(&self, _: &User, _: &str) -> Rules {
        Rules::default()
    }
}

/// Several authorizers: the first with an opinion decides. The masters may do everything before anybody is asked.
pub struct Union {
    members: Vec<Box<dyn Authorizer>>,
}

impl Union {
    #[must_use]
    pub fn new(members: Vec<Box<dyn Authorizer>>) -> Union {
        Union { members }
    }

    /// The authorizers of these modes, in their order.
    #[must_use]
    pub fn of_modes(modes: &[Mode], view: &Arc<dyn ObjectsView>) -> Union {
        let member = |mode: &Mode| -> Box<dyn Authorizer> {
            match mode {
                Mode::AlwaysAllow => Box::new(AlwaysAllow),
                Mode::AlwaysDeny => Box::new(AlwaysDeny),
                Mode::Node => Box::new(Node::new(view.clone())),
                Mode::Rbac => Box::new(Rbac::new(view.clone())),
            }
        };
        Union::new(modes.iter().map(member).collect())
    }
}

impl Authorizer for Union {
    fn authorize(&self, attributes: &Attributes) -> Decision {
        if attributes.user.is_in(MASTERS) {
            return Decision::allow();
        }
        let mut reasons: Vec<String> = Vec::new();
        for member in &self.members {
            match member.authorize(attributes) {
                Decision::NoOpinion { reason } if reason.is_empty() => {}
                Decision::NoOpinion { reason } => reasons.push(reason),
                decided => return decided,
            }
        }
        Decision::no_opinion(reasons.join("\n"))
    }

    fn rules_for(&self, user: &User, namespace: &str) -> Rules {
        let mut all = Rules::default();
        for member in &self.members {
            let own = member.rules_for(user, namespace);
            all.rules.extend(own.rules);
            all.incomplete |= own.incomplete;
            all.errors.extend(own.errors);
        }
        all
    }
}
