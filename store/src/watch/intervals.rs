//! Which of many key ranges hold a key: a treap over range starts in which every node knows how far its subtree reaches.
//!
//! Ranges [a,c) [b,z) [d,e), looked up with "m": at [b,z) the left child [a,c) is skipped because its subtree reaches
//! only to "c", and the right child [d,e) because its subtree reaches only to "e".

use bytes::Bytes;

/// Where a range ends, exclusive. The order of the variants makes `Never` the greatest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    At(Bytes),
    Never,
}

impl End {
    fn is_after(&self, key: &[u8]) -> bool {
        match self {
            End::At(end) => key < &end[..],
            End::Never => true,
        }
    }
}

/// Ranges, each with the numbers of those who asked for it.
#[derive(Debug)]
pub(super) struct Intervals {
    nodes: Vec<Node>,
    free: Vec<u32>,
    root: u32,
    random: u64,
}

#[derive(Debug)]
struct Node {
    start: Bytes,
    end: End,
    /// The greatest end in this subtree.
    reach: End,
    priority: u64,
    left: u32,
    right: u32,
    numbers: Vec<u32>,
}

/// The child of a leaf.
const NONE: u32 = u32::MAX;

impl Intervals {
    /// `seed` decides the shape of the tree, so clients must not know it.
    pub(super) fn new(seed: u64) -> Intervals {
        Intervals {
            nodes: Vec::new(),
            free: Vec::new(),
            root: NONE,
            random: seed | 1,
        }
    }

    pub(super) fn insert(&mut self, start: Bytes, end: End, number: u32) {
        self.root = self.insert_below(self.root, start, end, number);
    }

    pub(super) fn remove(&mut self, start: &Bytes, end: &End, number: u32) {
        self.root = self.remove_below(self.root, start, end, number);
    }

    /// Appends the numbers of every range that holds `key`.
    pub(super) fn find(&self, key: &[u8], found: &mut Vec<u32>) {
        self.find_below(self.root, key, found);
    }

    fn find_below(&self, at: u32, key: &[u8], found: &mut Vec<u32>) {
        let Some(node) = self.nodes.get(at as usize) else {
            return;
        };
        if !node.reach.is_after(key) {
            return;
        }
        self.find_below(node.left, key, found);
        if &node.start[..] <= key {
            if node.end.is_after(key) {
                found.extend_from_slice(&node.numbers);
            }
            self.find_below(node.right, key, found);
        }
    }

    fn insert_below(&mut self, at: u32, start: Bytes, end: End, number: u32) -> u32 {
        if at == NONE {
            return self.leaf(start, end, number);
        }
        let node = &mut self.nodes[at as usize];
        let (left, right) = (node.left, node.right);
        match (&start, &end).cmp(&(&node.start, &node.end)) {
            std::cmp::Ordering::Equal => {
                node.numbers.push(number);
                return at;
            }
            std::cmp::Ordering::Less => {
                let child = self.insert_below(left, start, end, number);
                self.nodes[at as usize].left = child;
                if self.priority(child) > self.priority(at) {
                    return self.rotate_right(at);
                }
            }
            std::cmp::Ordering::Greater => {
                let child = self.insert_below(right, start, end, number);
                self.nodes[at as usize].right = child;
                if self.priority(child) > self.priority(at) {
                    return self.rotate_left(at);
                }
            }
        }
        self.update_reach(at);
        at
    }

    fn remove_below(&mut self, at: u32, start: &Bytes, end: &End, number: u32) -> u32 {
        if at == NONE {
            return NONE;
        }
        let node = &mut self.nodes[at as usize];
        let (left, right) = (node.left, node.right);
        match (start, end).cmp(&(&node.start, &node.end)) {
            std::cmp::Ordering::Equal => {
                node.numbers.retain(|other| *other != number);
                if !node.numbers.is_empty() {
                    return at;
                }
                node.start = Bytes::new();
                node.end = End::Never;
                node.reach = End::Never;
                self.free.push(at);
                return self.merge(left, right);
            }
            std::cmp::Ordering::Less => {
                let child = self.remove_below(left, start, end, number);
                self.nodes[at as usize].left = child;
            }
            std::cmp::Ordering::Greater => {
                let child = self.remove_below(right, start, end, number);
                self.nodes[at as usize].right = child;
            }
        }
        self.update_reach(at);
        at
    }

    /// Joins two subtrees of which every range of `left` sorts before every range of `right`.
    fn merge(&mut self, left: u32, right: u32) -> u32 {
        if left == NONE {
            return right;
        }
        if right == NONE {
            return left;
        }
        if self.priority(left) > self.priority(right) {
            let child = self.merge(self.nodes[left as usize].right, right);
            self.nodes[left as usize].right = child;
            self.update_reach(left);
            left
        } else {
            let child = self.merge(left, self.nodes[right as usize].left);
            self.nodes[right as usize].left = child;
            self.update_reach(right);
            right
        }
    }

    fn leaf(&mut self, start: Bytes, end: End, number: u32) -> u32 {
        // xorshift64
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let reach = end.clone();
        let node = Node {
            start,
            end,
            reach,
            priority: self.random,
            left: NONE,
            right: NONE,
            numbers: vec![number],
        };
        if let Some(at) = self.free.pop() {
            self.nodes[at as usize] = node;
            return at;
        }
        let at = u32::try_from(self.nodes.len()).expect("fewer than 2^32 ranges fit in memory");
        self.nodes.push(node);
        at
    }

    fn rotate_right(&mut self, at: u32) -> u32 {
        let top = self.nodes[at as usize].left;
        self.nodes[at as usize].left = self.nodes[top as usize].right;
        self.nodes[top as usize].right = at;
        self.update_reach(at);
        self.update_reach(top);
        top
    }

    fn rotate_left(&mut self, at: u32) -> u32 {
        let top = self.nodes[at as usize].right;
        self.nodes[at as usize].right = self.nodes[top as usize].left;
        self.nodes[top as usize].left = at;
        self.update_reach(at);
        self.update_reach(top);
        top
    }

    fn update_reach(&mut self, at: u32) {
        let node = &self.nodes[at as usize];
        let mut reach = &node.end;
        for child in [node.left, node.right] {
            if let Some(child) = self.nodes.get(child as usize) {
                reach = reach.max(&child.reach);
            }
        }
        let reach = reach.clone();
        self.nodes[at as usize].reach = reach;
    }

    fn priority(&self, at: u32) -> u64 {
        self.nodes[at as usize].priority
    }
}
