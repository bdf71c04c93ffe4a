//! One page as it was read: every element is checked before anybody looks at it.

use std::ops::Range;

use crate::format::{self, ELEMENT_BYTES, PAGE_HEADER_BYTES, u16_at, u32_at, u64_at};

/// What a page may hold: keys from `low` on, below `high`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bounds {
    pub(crate) low: Option<Vec<u8>>,
    pub(crate) high: Option<Vec<u8>>,
}

/// A branch or a leaf whose elements lie inside it, with keys in order and within bounds.
#[derive(Debug)]
pub(crate) struct Page {
    bytes: Vec<u8>,
    elements: Vec<Element>,
    pub(crate) is_leaf: bool,
}

#[derive(Debug)]
struct Element {
    flags: u32,
    key: Range<usize>,
    value: Range<usize>,
    below: u64,
}

impl Page {
    /// Checks the bytes of a page with everything behind it that belongs to it; an error says what is wrong. Only a tree's
    /// first page may be empty.
    pub(crate) fn new(bytes: Vec<u8>, bounds: &Bounds, is_root: bool) -> Result<Page, String> {
        if bytes.len() < PAGE_HEADER_BYTES {
            return Err(format!("it has {} bytes", bytes.len()));
        }
        let flags = u16_at(&bytes, 8);
        let is_leaf = match flags {
            format::page::LEAF => true,
            format::page::BRANCH => false,
            other => return Err(format!("it is neither branch nor leaf (flags {other:#x})")),
        };
        let count = usize::from(u16_at(&bytes, 10));
        if PAGE_HEADER_BYTES + count * ELEMENT_BYTES > bytes.len() {
            return Err(format!("it has no room for its {count} elements"));
        }
        if count == 0 && !(is_leaf && is_root) {
            return Err("it has no elements".to_owned());
        }
        let mut elements: Vec<Element> = Vec::with_capacity(count);
        for index in 0..count {
            let element = element(&bytes, is_leaf, (index, count))
                .ok_or_else(|| format!("element {index} leads out of it"))?;
            let key = &bytes[element.key.clone()];
            let last = elements.last().map(|last| &bytes[last.key.clone()]);
            if last.is_some_and(|last| last >= key) {
                return Err(format!("key {index} is not behind the one before it"));
            }
            elements.push(element);
        }
        let page = Page {
            bytes,
            elements,
            is_leaf,
        };
        page.check_bounds(bounds)?;
        Ok(page)
    }

    fn check_bounds(&self, bounds: &Bounds) -> Result<(), String> {
        let Some(last) = self.len().checked_sub(1) else {
            return Ok(());
        };
        let too_low = bounds.low.as_deref().is_some_and(|low| self.key(0) < low);
        let too_high = bounds
            .high
            .as_deref()
            .is_some_and(|high| self.key(last) >= high);
        if too_low || too_high {
            return Err("its keys belong elsewhere in the tree".to_owned());
        }
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.elements.len()
    }

    pub(crate) fn key(&self, index: usize) -> &[u8] {
        &self.bytes[self.elements[index].key.clone()]
    }

    /// Of a leaf.
    pub(crate) fn value(&self, index: usize) -> &[u8] {
        &self.bytes[self.elements[index].value.clone()]
    }

    /// Whether a leaf's value is a bucket.
    pub(crate) fn is_bucket(&self, index: usize) -> bool {
        self.elements[index].flags & format::IS_BUCKET != 0
    }

    /// Of a branch: the page below, and what it may hold.
    pub(crate) fn below(&self, index: usize, bounds: &Bounds) -> (u64, Bounds) {
        let high = if index + 1 < self.len() {
            Some(self.key(index + 1).to_vec())
        } else {
            bounds.high.clone()
        };
        let low = Some(self.key(index).to_vec());
        (self.elements[index].below, Bounds { low, high })
    }
}

/// The element at an index, if it lies behind the elements and inside the page.
fn element(bytes: &[u8], is_leaf: bool, (index, count): (usize, usize)) -> Option<Element> {
    let at = PAGE_HEADER_BYTES + index * ELEMENT_BYTES;
    let (flags, position, key_size, value_size, below) = if is_leaf {
        let value_size = u32_at(bytes, at + 12);
        let (flags, position) = (u32_at(bytes, at), u32_at(bytes, at + 4));
        (flags, position, u32_at(bytes, at + 8), value_size, 0)
    } else {
        let (position, key_size) = (u32_at(bytes, at), u32_at(bytes, at + 4));
        (0, position, key_size, 0, u64_at(bytes, at + 8))
    };
    let key_start = at.checked_add(position as usize)?;
    let value_start = key_start.checked_add(key_size as usize)?;
    let value_end = value_start.checked_add(value_size as usize)?;
    let is_inside =
        key_start >= PAGE_HEADER_BYTES + count * ELEMENT_BYTES && value_end <= bytes.len();
    is_inside.then_some(Element {
        flags,
        key: key_start..value_start,
        value: value_start..value_end,
        below,
    })
}
