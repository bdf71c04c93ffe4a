//! Sizes and numbers of the format. Everything is little-endian.

/// Bytes of a page that the writer makes: those of etcd on nearly every machine.
pub(crate) const PAGE_BYTES: usize = 4096;
/// Id u64, flags u16, count u16, overflow u32.
pub(crate) const PAGE_HEADER_BYTES: usize = 16;
/// Of a leaf: flags, position, key size, value size, u32 each. Of a branch: position u32, key size u32, page u64.
/// Positions count from the element.
pub(crate) const ELEMENT_BYTES: usize = 16;
/// Root page u64 (0: the page follows), sequence u64.
pub(crate) const BUCKET_HEADER_BYTES: usize = 16;

/// Longest key.
pub(crate) const KEY_BYTES_MAX: usize = 32_768;
/// Longest value.
pub(crate) const VALUE_BYTES_MAX: usize = (1 << 31) - 2;

/// Flags of a page.
pub(crate) mod page {
    pub(crate) const BRANCH: u16 = 0x01;
    pub(crate) const LEAF: u16 = 0x02;
    pub(crate) const META: u16 = 0x04;
    pub(crate) const FREE_LIST: u16 = 0x10;
}

/// Flag of a leaf's element whose value is a bucket.
pub(crate) const IS_BUCKET: u32 = 1;

/// Pages before the first that holds data: two metas and the free list.
pub(crate) const FIRST_PAGE: u64 = 3;
/// Where the writer puts the free list.
pub(crate) const FREE_LIST_PAGE: u64 = 2;

/// The header of a page.
pub(crate) fn page_header(id: u64, flags: u16, count: u16, overflow: u32) -> [u8; 16] {
    let mut header = [0; PAGE_HEADER_BYTES];
    header[..8].copy_from_slice(&id.to_le_bytes());
    header[8..10].copy_from_slice(&flags.to_le_bytes());
    header[10..12].copy_from_slice(&count.to_le_bytes());
    header[12..].copy_from_slice(&overflow.to_le_bytes());
    header
}

/// The u16 at `at`; the caller knows that it is there.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    let mut number = [0; 2];
    number.copy_from_slice(&bytes[at..at + 2]);
    u16::from_le_bytes(number)
}

/// The u32 at `at`; the caller knows that it is there.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(number)
}

/// The u64 at `at`; the caller knows that it is there.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(number)
}
