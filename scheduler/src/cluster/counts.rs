//! Numbers and sets by node: small ones as lists, large ones as arrays.

use super::NodeIndex;

/// A list becomes an array once it has more than this share of the nodes, as a divisor.
const LIST_SHARE: usize = 8;

/// How many there are on each node; never negative.
#[derive(Debug, Clone)]
pub struct Counts {
    form: Form,
    /// Sum over all nodes.
    total: u64,
}

#[derive(Debug, Clone)]
enum Form {
    /// In order of nodes, without zeros.
    List(Vec<(NodeIndex, u32)>),
    /// By node.
    Array(Vec<u32>),
}

impl Default for Counts {
    fn default() -> Counts {
        Counts {
            form: Form::List(Vec::new()),
            total: 0,
        }
    }
}

impl Counts {
    /// How many there are on one node.
    #[must_use]
    pub fn get(&self, node: NodeIndex) -> u32 {
        match &self.form {
            Form::List(list) => list
                .binary_search_by_key(&node, |(node, _)| *node)
                .map_or(0, |at| list[at].1),
            Form::Array(array) => array.get(node.slot()).copied().unwrap_or(0),
        }
    }

    /// How many there are on all nodes.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Calls for each node that has any, in order of nodes.
    pub fn for_each(&self, mut call: impl FnMut(NodeIndex, u32)) {
        match &self.form {
            Form::List(list) => list.iter().for_each(|(node, count)| call(*node, *count)),
            Form::Array(array) => {
                for (slot, count) in array.iter().enumerate().filter(|(_, count)| **count > 0) {
                    call(NodeIndex(slot as u32), *count);
                }
            }
        }
    }

    /// One more on a node, of so many slots.
    pub(super) fn increment(&mut self, node: NodeIndex, slots: usize) {
        self.total += 1;
        if let Form::List(list) = &mut self.form {
            match list.binary_search_by_key(&node, |(node, _)| *node) {
                Ok(at) => list[at].1 += 1,
                Err(at) => list.insert(at, (node, 1)),
            }
            if list.len() > slots / LIST_SHARE + LIST_SHARE {
                let mut array = vec![0; slots.max(node.slot() + 1)];
                list.iter()
                    .for_each(|(node, count)| array[node.slot()] = *count);
                self.form = Form::Array(array);
            }
        } else if let Form::Array(array) = &mut self.form {
            if array.len() <= node.slot() {
                array.resize(slots.max(node.slot() + 1), 0);
            }
            array[node.slot()] += 1;
        }
    }

    /// One less on a node that has at least one.
    pub(super) fn decrement(&mut self, node: NodeIndex) {
        let found = match &mut self.form {
            Form::List(list) => {
                let at = list.binary_search_by_key(&node, |(node, _)| *node).ok();
                if let Some(at) = at {
                    list[at].1 -= 1;
                    if list[at].1 == 0 {
                        list.remove(at);
                    }
                }
                at.is_some()
            }
            Form::Array(array) => array.get_mut(node.slot()).is_some_and(|count| {
                let any = *count > 0;
                *count -= u32::from(any);
                any
            }),
        };
        debug_assert!(found, "a node has none to take away");
        self.total -= u64::from(found);
    }
}

/// A set of nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeSet(Vec<u64>);

impl NodeSet {
    /// Whether a node is in it.
    #[must_use]
    pub fn contains(&self, node: NodeIndex) -> bool {
        self.0
            .get(node.slot() / 64)
            .is_some_and(|word| word >> (node.slot() % 64) & 1 == 1)
    }

    /// Puts a node in.
    pub fn insert(&mut self, node: NodeIndex) {
        let at = node.slot() / 64;
        if self.0.len() <= at {
            self.0.resize(at + 1, 0);
        }
        self.0[at] |= 1 << (node.slot() % 64);
    }

    /// Takes a node out.
    pub fn remove(&mut self, node: NodeIndex) {
        if let Some(word) = self.0.get_mut(node.slot() / 64) {
            *word &= !(1 << (node.slot() % 64));
        }
    }

    /// How many are in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// All of them, in their order.
    pub fn iter(&self) -> impl Iterator<Item = NodeIndex> + '_ {
        self.0.iter().enumerate().flat_map(|(at, word)| {
            (0..64u32)
                .filter(move |bit| word >> bit & 1 == 1)
                .map(move |bit| NodeIndex(at as u32 * 64 + bit))
        })
    }
}

impl FromIterator<NodeIndex> for NodeSet {
    fn from_iter<I: IntoIterator<Item = NodeIndex>>(nodes: I) -> NodeSet {
        let mut set = NodeSet::default();
        nodes.into_iter().for_each(|node| set.insert(node));
        set
    }
}
