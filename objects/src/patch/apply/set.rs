//! Sets of fields: trees of steps in order, each of which says if the field itself is in the set and which fields below it are.

use std::cmp::Ordering;

use super::element::Element;

/// A path from the root of an object, step by step.
pub type FieldPath = Vec<Element>;

/// A set of fields. A node that is no member has members below it, so that an empty set has no nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Set {
    nodes: Vec<Node>,
}

/// A step of the paths in a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub element: Element,
    /// The field itself is in the set.
    pub member: bool,
    /// What is in the set below the field.
    pub below: Set,
}

impl Set {
    /// The set of these paths.
    #[must_use]
    pub fn of(paths: &[&[&str]]) -> Set {
        let mut set = Set::default();
        for path in paths {
            let path: FieldPath = path.iter().map(|name| Element::field(name)).collect();
            set.insert(&path);
        }
        set
    }

    /// A set of nodes in any order, without two of the same step.
    pub(super) fn from_nodes(mut nodes: Vec<Node>) -> Set {
        if !nodes.is_sorted_by(|left, right| left.element < right.element) {
            nodes.sort_by(|left, right| left.element.cmp(&right.element));
        }
        Set { nodes }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Adds a field. The root is never in a set.
    pub fn insert(&mut self, path: &[Element]) {
        let Some((first, rest)) = path.split_first() else {
            return;
        };
        let index = match self.nodes.binary_search_by(|node| node.element.cmp(first)) {
            Ok(index) => index,
            Err(index) => {
                self.nodes
                    .insert(index, Node::new(first.clone(), false, Set::default()));
                index
            }
        };
        let node = &mut self.nodes[index];
        if rest.is_empty() {
            node.member = true;
        } else {
            node.below.insert(rest);
        }
    }

    #[must_use]
    pub fn has(&self, path: &[Element]) -> bool {
        let Some((first, rest)) = path.split_first() else {
            return false;
        };
        self.get(first).is_some_and(|node| {
            if rest.is_empty() {
                node.member
            } else {
                node.below.has(rest)
            }
        })
    }

    pub(super) fn get(&self, element: &Element) -> Option<&Node> {
        let index = self
            .nodes
            .binary_search_by(|node| node.element.cmp(element))
            .ok()?;
        Some(&self.nodes[index])
    }

    pub(super) fn get_field(&self, name: &str) -> Option<&Node> {
        let index = self
            .nodes
            .binary_search_by(|node| node.element.cmp_field(name))
            .ok()?;
        Some(&self.nodes[index])
    }

    /// The fields that are in either.
    #[must_use]
    pub fn union(&self, other: &Set) -> Set {
        self.zip(other, |pair| match pair {
            Pair::Left(node) | Pair::Right(node) => Some(node.clone()),
            Pair::Both(left, right) => Node::kept(
                &left.element,
                left.member || right.member,
                left.below.union(&right.below),
            ),
        })
    }

    /// The fields that are in both.
    #[must_use]
    pub fn intersection(&self, other: &Set) -> Set {
        self.zip(other, |pair| match pair {
            Pair::Left(_) | Pair::Right(_) => None,
            Pair::Both(left, right) => Node::kept(
                &left.element,
                left.member && right.member,
                left.below.intersection(&right.below),
            ),
        })
    }

    /// The fields that are here and not there. A field stays when only what is below it is there, and the other way round.
    #[must_use]
    pub fn difference(&self, other: &Set) -> Set {
        self.zip(other, |pair| match pair {
            Pair::Left(node) => Some(node.clone()),
            Pair::Right(_) => None,
            Pair::Both(left, right) => Node::kept(
                &left.element,
                left.member && !right.member,
                left.below.difference(&right.below),
            ),
        })
    }

    /// The fields that are here and neither there nor below a field that is there.
    #[must_use]
    pub fn without(&self, other: &Set) -> Set {
        self.zip(other, |pair| match pair {
            Pair::Left(node) => Some(node.clone()),
            Pair::Right(_) => None,
            Pair::Both(_, right) if right.member => None,
            Pair::Both(left, right) => {
                Node::kept(&left.element, left.member, left.below.without(&right.below))
            }
        })
    }

    /// Whether all fields of this set are in the other one.
    #[must_use]
    pub fn is_subset(&self, other: &Set) -> bool {
        self.nodes.iter().all(|node| {
            other.get(&node.element).is_some_and(|there| {
                (there.member || !node.member) && node.below.is_subset(&there.below)
            })
        })
    }

    /// The fields below which no other field of the set is.
    #[must_use]
    pub fn leaves(&self) -> Set {
        let nodes = self
            .nodes
            .iter()
            .map(|node| {
                let below = node.below.leaves();
                Node::new(node.element.clone(), node.member && below.is_empty(), below)
            })
            .collect();
        Set { nodes }
    }

    /// All paths in upstream's order: at each place first its members, then what is below.
    #[must_use]
    pub fn paths(&self) -> Vec<FieldPath> {
        let mut paths = Vec::new();
        self.collect(&mut Vec::new(), &mut paths);
        paths
    }

    fn collect(&self, prefix: &mut FieldPath, paths: &mut Vec<FieldPath>) {
        for node in self.nodes.iter().filter(|node| node.member) {
            let mut path = prefix.clone();
            path.push(node.element.clone());
            paths.push(path);
        }
        for node in self.nodes.iter().filter(|node| !node.below.is_empty()) {
            prefix.push(node.element.clone());
            node.below.collect(prefix, paths);
            prefix.pop();
        }
    }

    /// Walks two sets in order and keeps what the callback gives.
    fn zip(&self, other: &Set, keep: impl Fn(Pair<'_>) -> Option<Node>) -> Set {
        let mut nodes = Vec::with_capacity(self.nodes.len());
        let (mut left, mut right) = (self.nodes.iter().peekable(), other.nodes.iter().peekable());
        loop {
            let ordering = match (left.peek(), right.peek()) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(left), Some(right)) => left.element.cmp(&right.element),
            };
            let kept = match ordering {
                Ordering::Less => left.next().and_then(|node| keep(Pair::Left(node))),
                Ordering::Greater => right.next().and_then(|node| keep(Pair::Right(node))),
                Ordering::Equal => left
                    .next()
                    .zip(right.next())
                    .and_then(|(left, right)| keep(Pair::Both(left, right))),
            };
            nodes.extend(kept);
        }
        Set { nodes }
    }
}

/// Nodes of two sets that stand at the same step, or one that stands alone.
enum Pair<'a> {
    Left(&'a Node),
    Right(&'a Node),
    Both(&'a Node, &'a Node),
}

impl Node {
    pub(super) fn new(element: Element, member: bool, below: Set) -> Node {
        Node {
            element,
            member,
            below,
        }
    }

    /// A node, unless it would say nothing.
    pub(super) fn kept(element: &Element, member: bool, below: Set) -> Option<Node> {
        (member || !below.is_empty()).then(|| Node::new(element.clone(), member, below))
    }
}

/// The path as conflicts and faults name it: `.spec.containers[name="web"].image`.
#[must_use]
pub fn path_text(path: &[Element]) -> String {
    path.iter().map(ToString::to_string).collect()
}
