//! The meta page: where everything else begins, under a checksum.

use crate::format::{PAGE_HEADER_BYTES, page, page_header, u32_at, u64_at};

const MAGIC: u32 = 0xED0C_DAED;
const VERSION: u32 = 2;
/// Magic, version, page size and flags (u32 each); root, sequence, free list, pages, transaction and checksum (u64 each).
const META_BYTES: usize = 64;
const CHECKSUM_AT: usize = META_BYTES - 8;
/// Page sizes that bbolt uses: the machine's.
const PAGE_BYTES_MIN: u32 = 1024;
const PAGE_BYTES_MAX: u32 = 64 << 10;

/// Header and meta.
pub(crate) const META_PAGE_BYTES: usize = PAGE_HEADER_BYTES + META_BYTES;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) page_bytes: u32,
    /// Page of the root bucket's tree.
    pub(crate) root: u64,
    pub(crate) free_list: u64,
    /// Pages in the file, used and free.
    pub(crate) pages: u64,
    /// The whole meta with the higher one counts.
    pub(crate) transaction: u64,
}

impl Meta {
    /// The beginning of the meta page with this id.
    pub(crate) fn encode(&self, id: u64) -> [u8; META_PAGE_BYTES] {
        let mut bytes = [0; META_PAGE_BYTES];
        bytes[..PAGE_HEADER_BYTES].copy_from_slice(&page_header(id, page::META, 0, 0));
        let meta = &mut bytes[PAGE_HEADER_BYTES..];
        meta[..4].copy_from_slice(&MAGIC.to_le_bytes());
        meta[4..8].copy_from_slice(&VERSION.to_le_bytes());
        meta[8..12].copy_from_slice(&self.page_bytes.to_le_bytes());
        meta[16..24].copy_from_slice(&self.root.to_le_bytes());
        meta[32..40].copy_from_slice(&self.free_list.to_le_bytes());
        meta[40..48].copy_from_slice(&self.pages.to_le_bytes());
        meta[48..56].copy_from_slice(&self.transaction.to_le_bytes());
        let checksum = fnv_64a(&meta[..CHECKSUM_AT]);
        meta[CHECKSUM_AT..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads the beginning of a meta page; an error says in a few words what is wrong.
    pub(crate) fn decode(bytes: &[u8; META_PAGE_BYTES]) -> Result<Meta, &'static str> {
        let meta = &bytes[PAGE_HEADER_BYTES..];
        if u32_at(meta, 0) != MAGIC {
            return Err("the magic number is missing");
        }
        if u32_at(meta, 4) != VERSION {
            return Err("the version of the format is unknown");
        }
        if u64_at(meta, CHECKSUM_AT) != fnv_64a(&meta[..CHECKSUM_AT]) {
            return Err("the checksum does not match");
        }
        let page_bytes = u32_at(meta, 8);
        if !page_bytes.is_power_of_two() || !(PAGE_BYTES_MIN..=PAGE_BYTES_MAX).contains(&page_bytes)
        {
            return Err("the page size is none");
        }
        Ok(Meta {
            page_bytes,
            root: u64_at(meta, 16),
            free_list: u64_at(meta, 32),
            pages: u64_at(meta, 40),
            transaction: u64_at(meta, 48),
        })
    }
}

/// Page sizes that a file may have, the smallest first.
pub(crate) fn page_sizes() -> impl Iterator<Item = u32> {
    std::iter::successors(Some(PAGE_BYTES_MIN), |size| {
        Some(size * 2).filter(|size| *size <= PAGE_BYTES_MAX)
    })
}

/// FNV-1a with 64 bits.
fn fnv_64a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_fnv_1a() {
        assert_eq!(fnv_64a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv_64a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv_64a(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn a_meta_comes_back_as_it_went_and_damage_shows() {
        let meta = Meta {
            page_bytes: 4096,
            root: 3,
            free_list: 2,
            pages: 9,
            transaction: 7,
        };
        let bytes = meta.encode(1);
        assert_eq!(Meta::decode(&bytes), Ok(meta));
        for at in PAGE_HEADER_BYTES..META_PAGE_BYTES {
            let mut damaged = bytes;
            damaged[at] ^= 1;
            assert!(Meta::decode(&damaged).is_err(), "byte {at}");
        }
    }
}
