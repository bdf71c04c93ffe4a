//! A tree that grows from the left: pages are written as they fill, and one of each level is in memory.

use std::io::{self, Write};

use crate::format::{self, ELEMENT_BYTES, PAGE_BYTES, PAGE_HEADER_BYTES};

/// Where pages go, and the id of the next one.
pub(crate) struct Pages<W> {
    pub(crate) out: W,
    pub(crate) next: u64,
}

/// A page that is being filled.
#[derive(Default)]
struct Filling {
    elements: Vec<Element>,
    /// Keys and values, back to back.
    data: Vec<u8>,
}

struct Element {
    flags: u32,
    key_length: usize,
    value_length: usize,
    /// Of a branch: the page below.
    below: u64,
}

/// The level above the leaves is 1.
pub(crate) struct Tree {
    levels: Vec<Filling>,
}

impl Tree {
    pub(crate) fn new() -> Tree {
        Tree {
            levels: vec![Filling::default()],
        }
    }

    /// Adds a key behind all others.
    pub(crate) fn put<W: Write>(
        &mut self,
        pages: &mut Pages<W>,
        flags: u32,
        key: &[u8],
        value: &[u8],
    ) -> io::Result<()> {
        let leaf = &self.levels[0];
        if !leaf.elements.is_empty() && !leaf.has_room(key.len() + value.len()) {
            self.write_level(pages, 0)?;
        }
        let leaf = &mut self.levels[0];
        leaf.elements.push(Element {
            flags,
            key_length: key.len(),
            value_length: value.len(),
            below: 0,
        });
        leaf.data.extend_from_slice(key);
        leaf.data.extend_from_slice(value);
        Ok(())
    }

    /// Writes what is in memory; the id of the root page.
    pub(crate) fn finish<W: Write>(mut self, pages: &mut Pages<W>) -> io::Result<u64> {
        let mut level = 0;
        loop {
            if level + 1 == self.levels.len() {
                return pages.write(&self.levels[level], level == 0);
            }
            self.write_level(pages, level)?;
            level += 1;
        }
    }

    /// Writes the page of a level and names it in the level above.
    fn write_level<W: Write>(&mut self, pages: &mut Pages<W>, level: usize) -> io::Result<()> {
        let full = std::mem::take(&mut self.levels[level]);
        let below = pages.write(&full, level == 0)?;
        let key = full.first_key();
        if level + 1 == self.levels.len() {
            self.levels.push(Filling::default());
        }
        let above = &self.levels[level + 1];
        // A branch with one page below would make the tree higher without making it wider.
        if above.elements.len() >= 2 && !above.has_room(key.len()) {
            self.write_level(pages, level + 1)?;
        }
        let above = &mut self.levels[level + 1];
        above.elements.push(Element {
            flags: 0,
            key_length: key.len(),
            value_length: 0,
            below,
        });
        above.data.extend_from_slice(key);
        Ok(())
    }
}

impl Filling {
    fn bytes(&self) -> usize {
        PAGE_HEADER_BYTES + self.elements.len() * ELEMENT_BYTES + self.data.len()
    }

    fn has_room(&self, data_bytes: usize) -> bool {
        self.bytes() + ELEMENT_BYTES + data_bytes <= PAGE_BYTES
    }

    fn first_key(&self) -> &[u8] {
        let length = self
            .elements
            .first()
            .map_or(0, |element| element.key_length);
        &self.data[..length]
    }
}

impl<W: Write> Pages<W> {
    /// Writes a page, with as many pages behind it as its content needs; its id.
    fn write(&mut self, page: &Filling, is_leaf: bool) -> io::Result<u64> {
        let id = self.next;
        let count = page.bytes().div_ceil(PAGE_BYTES);
        let overflow = u32::try_from(count - 1).map_err(io::Error::other)?;
        let elements = u16::try_from(page.elements.len()).map_err(io::Error::other)?;
        let kind = if is_leaf {
            format::page::LEAF
        } else {
            format::page::BRANCH
        };
        self.out
            .write_all(&format::page_header(id, kind, elements, overflow))?;
        let mut data_at = 0;
        for (index, element) in page.elements.iter().enumerate() {
            let position = (page.elements.len() - index) * ELEMENT_BYTES + data_at;
            let position = u32::try_from(position).map_err(io::Error::other)?;
            data_at += element.key_length + element.value_length;
            self.out.write_all(&element.encode(position, is_leaf))?;
        }
        self.out.write_all(&page.data)?;
        let padding = count * PAGE_BYTES - page.bytes();
        self.out.write_all(&[0; PAGE_BYTES][..padding])?;
        self.next += count as u64;
        Ok(id)
    }
}

impl Element {
    fn encode(&self, position: u32, is_leaf: bool) -> [u8; ELEMENT_BYTES] {
        let size = |length: usize| {
            u32::try_from(length).expect("the writer bounds keys and values below that")
        };
        let mut bytes = [0; ELEMENT_BYTES];
        let key_size = size(self.key_length).to_le_bytes();
        if is_leaf {
            bytes[..4].copy_from_slice(&self.flags.to_le_bytes());
            bytes[4..8].copy_from_slice(&position.to_le_bytes());
            bytes[8..12].copy_from_slice(&key_size);
            bytes[12..].copy_from_slice(&size(self.value_length).to_le_bytes());
        } else {
            bytes[..4].copy_from_slice(&position.to_le_bytes());
            bytes[4..8].copy_from_slice(&key_size);
            bytes[8..].copy_from_slice(&self.below.to_le_bytes());
        }
        bytes
    }
}
