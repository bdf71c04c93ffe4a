//! The kinds of processes above the stores.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a process above the stores does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Component {
    /// Speaks to the stores; everybody else speaks to it.
    Apiserver,
    /// All controllers; one of three leads.
    Controllers,
    /// Gives pods their nodes; one of three leads.
    Scheduler,
    /// Simulates some nodes of its own.
    Node,
}

impl Component {
    /// What the program is told first.
    pub(super) fn command(self) -> &'static str {
        match self {
            Component::Apiserver => "apiserver",
            Component::Controllers => "controllers",
            Component::Scheduler => "scheduler",
            Component::Node => "node",
        }
    }

    /// The name of the lease in `kube-system` whose holder leads.
    pub(crate) fn lease(self) -> Option<&'static str> {
        match self {
            Component::Controllers => Some("kube-controller-manager"),
            Component::Scheduler => Some("kube-scheduler"),
            Component::Apiserver | Component::Node => None,
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.command())
    }
}
