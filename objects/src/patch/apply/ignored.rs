//! The fields that a write by a subresource does not own, whatever it says about them.

use super::element::Element;
use super::set::{Node, Set};

/// Which fields a write leaves as they are, and so does not own.
#[derive(Debug, Clone)]
pub enum Ignored {
    /// These and all below them: the status of a write to the object itself, the spec of one to its status.
    Fields(Set),
    /// All but what is on the way to, at or below these.
    AllBut(Vec<Pattern>),
}

/// A path of fields; none stands for any step, as to the elements of a list.
pub type Pattern = Vec<Option<Box<str>>>;

impl Ignored {
    /// Nothing is ignored.
    #[must_use]
    pub fn nothing() -> Ignored {
        Ignored::Fields(Set::default())
    }

    /// The set without what is ignored.
    #[must_use]
    pub fn filter(&self, set: &Set) -> Set {
        match self {
            Ignored::Fields(fields) => set.without(fields),
            Ignored::AllBut(patterns) => {
                let patterns: Vec<&[Option<Box<str>>]> =
                    patterns.iter().map(Vec::as_slice).collect();
                matching(set, &patterns)
            }
        }
    }
}

fn matching(set: &Set, patterns: &[&[Option<Box<str>>]]) -> Set {
    if patterns.iter().any(|pattern| pattern.is_empty()) {
        return set.clone();
    }
    let nodes = set.nodes().iter().filter_map(|node| {
        let rest: Vec<&[Option<Box<str>>]> = patterns
            .iter()
            .filter_map(|pattern| pattern.split_first())
            .filter(|(first, _)| matches(first.as_deref(), &node.element))
            .map(|(_, rest)| rest)
            .collect();
        if rest.is_empty() {
            return None;
        }
        Node::kept(&node.element, node.member, matching(&node.below, &rest))
    });
    Set::from_nodes(nodes.collect())
}

fn matches(step: Option<&str>, element: &Element) -> bool {
    step.is_none_or(|name| element.cmp_field(name).is_eq())
}
