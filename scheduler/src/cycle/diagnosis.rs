//! Why a pod got no node, and how that is said.

use std::{borrow::Cow, collections::HashMap};

use crate::{
    cluster::NodeIndex,
    framework::{Reasons, Verdict},
    profile::{PluginSet, Profile},
};

/// A node that does not fit.
#[derive(Debug)]
pub struct Rejected {
    pub node: NodeIndex,
    /// Place of the plugin that rejected it.
    pub plugin: usize,
    pub verdict: Verdict,
}

/// Why no node fits.
#[derive(Debug)]
pub struct Diagnosis {
    nodes_all: usize,
    /// Nodes that were looked at.
    rejected: Vec<Rejected>,
    /// All nodes at once.
    pod_rejected: Option<(usize, Verdict)>,
    /// Reason for nodes that were not looked at.
    narrowed: Option<String>,
    plugins: PluginSet,
}

impl Diagnosis {
    pub(super) fn new(nodes_all: usize) -> Diagnosis {
        Diagnosis {
            nodes_all,
            rejected: Vec::new(),
            pod_rejected: None,
            narrowed: None,
            plugins: PluginSet::default(),
        }
    }

    pub(super) fn reject(&mut self, node: NodeIndex, plugin: usize, verdict: Verdict) {
        self.plugins.insert(plugin);
        self.rejected.push(Rejected {
            node,
            plugin,
            verdict,
        });
    }

    pub(super) fn reject_pod(&mut self, plugin: usize, verdict: Verdict) {
        self.plugins.insert(plugin);
        self.pod_rejected = Some((plugin, verdict));
    }

    pub(super) fn narrow(&mut self, profile: &Profile, by: PluginSet) {
        by.iter().for_each(|place| self.plugins.insert(place));
        let mut names: Vec<_> = profile.names_of(by).collect();
        names.sort_unstable();
        self.narrowed = Some(format!(
            "node(s) didn't satisfy plugin(s) [{}]",
            names.join(" ")
        ));
    }

    /// The plugins that rejected a node or the pod.
    #[must_use]
    pub fn plugins(&self) -> PluginSet {
        self.plugins
    }

    /// The nodes that were looked at, with what was wrong.
    #[must_use]
    pub fn rejected(&self) -> &[Rejected] {
        &self.rejected
    }

    /// The plugin that rejected all nodes at once, by its place, and what it said.
    #[must_use]
    pub fn of_pod(&self) -> Option<(usize, &Verdict)> {
        let (plugin, verdict) = self.pod_rejected.as_ref()?;
        Some((*plugin, verdict))
    }

    /// What keeps nodes from being looked at.
    #[must_use]
    pub fn narrowed(&self) -> Option<&str> {
        self.narrowed.as_deref()
    }

    /// Nodes that might fit if pods were gone; `None` stands for all.
    pub(super) fn curable(&self) -> Option<Vec<NodeIndex>> {
        match &self.pod_rejected {
            Some((_, Verdict::Unschedulable(_))) => None,
            Some(_) => Some(Vec::new()),
            None => {
                let curable = |one: &&Rejected| matches!(one.verdict, Verdict::Unschedulable(_));
                Some(
                    self.rejected
                        .iter()
                        .filter(curable)
                        .map(|one| one.node)
                        .collect(),
                )
            }
        }
    }

    /// Whether preemption cannot help on a node.
    pub(super) fn is_unresolvable(&self, node: NodeIndex) -> bool {
        match &self.pod_rejected {
            Some((_, verdict)) => matches!(verdict, Verdict::Unresolvable(_)),
            None => self
                .rejected
                .iter()
                .find(|one| one.node == node)
                .is_none_or(|one| matches!(one.verdict, Verdict::Unresolvable(_))),
        }
    }

    /// In upstream's words: `0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint(s).`
    #[must_use]
    pub fn message(&self) -> String {
        if self.nodes_all == 0 {
            return "no nodes available to schedule pods".to_owned();
        }
        if let Some((_, Verdict::Unschedulable(why) | Verdict::Unresolvable(why))) =
            &self.pod_rejected
        {
            let reasons: Vec<&str> = why.iter().map(Cow::as_ref).collect();
            return format!(
                "0/{} nodes are available: {}.",
                self.nodes_all,
                reasons.join(", ")
            );
        }
        let mut counts = Histogram::default();
        for one in &self.rejected {
            if let Verdict::Unschedulable(why) | Verdict::Unresolvable(why) = &one.verdict {
                counts.add(why);
            }
        }
        if let Some(narrowed) = &self.narrowed {
            counts.add_many(narrowed, self.nodes_all.saturating_sub(self.rejected.len()));
        }
        counts.message(self.nodes_all)
    }
}

/// How often each reason was given.
#[derive(Default)]
pub(super) struct Histogram<'a>(HashMap<&'a str, usize>);

impl<'a> Histogram<'a> {
    pub(super) fn add(&mut self, reasons: &'a Reasons) {
        reasons.iter().for_each(|reason| self.add_many(reason, 1));
    }

    pub(super) fn add_many(&mut self, reason: &'a str, times: usize) {
        if times > 0 {
            *self.0.entry(reason).or_default() += times;
        }
    }

    pub(super) fn message(&self, nodes_all: usize) -> String {
        let mut parts: Vec<String> = self
            .0
            .iter()
            .map(|(reason, count)| format!("{count} {reason}"))
            .collect();
        parts.sort_unstable();
        let tail = if parts.is_empty() {
            String::new()
        } else {
            format!(" {}.", parts.join(", "))
        };
        format!("0/{nodes_all} nodes are available:{tail}")
    }
}
