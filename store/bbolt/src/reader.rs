//! Opening a file: the metas, the size of a page, and the reading of one.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;

use crate::cursor::Cursor;
use crate::format::{BUCKET_HEADER_BYTES, PAGE_HEADER_BYTES, u32_at, u64_at};
use crate::meta::{META_PAGE_BYTES, Meta, page_sizes};
use crate::page::{Bounds, Page};

/// Most bytes that one page and what belongs to it may have: far above etcd's largest value, and a bound for a damaged
/// number.
const PAGE_SPAN_BYTES_MAX: u64 = 512 << 20;

/// A source of bytes that is read at places.
pub trait ReadAt {
    /// Fills the buffer from an offset, or fails.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

impl ReadAt for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(buffer, offset)
    }
}

impl ReadAt for [u8] {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let end = start.checked_add(buffer.len());
        let part = end.and_then(|end| self.get(start..end));
        buffer.copy_from_slice(part.ok_or_else(|| io::Error::from(ErrorKind::UnexpectedEof))?);
        Ok(())
    }
}

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it is no bbolt file: {0}")]
    NotBbolt(&'static str),
    #[error("it is cut off: {have} bytes are left of {need}")]
    Truncated { have: u64, need: u64 },
    #[error("page {id} is damaged: {what}")]
    Damaged { id: u64, what: String },
    #[error("there is no bucket {0}")]
    NoBucket(String),
}

/// A file that is read, a page at a time.
#[derive(Debug)]
pub struct Database<'a, R: ?Sized> {
    source: &'a R,
    meta: Meta,
}

impl<'a, R: ReadAt + ?Sized> Database<'a, R> {
    /// Reads the meta pages of the first `length` bytes of a source.
    pub fn open(source: &'a R, length: u64) -> Result<Self, ReadError> {
        let meta = newest_meta(source, length)?;
        let need = meta.pages.saturating_mul(u64::from(meta.page_bytes));
        if need > length {
            return Err(ReadError::Truncated { have: length, need });
        }
        Ok(Database { source, meta })
    }

    /// Bytes of all pages, used and free.
    pub fn bytes(&self) -> u64 {
        self.meta.pages * u64::from(self.meta.page_bytes)
    }

    /// Walks over the top-level buckets, in order of their names.
    pub fn buckets(&self) -> Result<Cursor<'_, R>, ReadError> {
        Cursor::new(self, self.page(self.meta.root, &Bounds::default(), true)?)
    }

    /// Walks over the keys of a top-level bucket.
    pub fn bucket(&self, name: &[u8]) -> Result<Cursor<'_, R>, ReadError> {
        let mut buckets = self.buckets()?;
        while let Some(entry) = buckets.next()? {
            if entry.key == name && entry.is_bucket {
                return self.bucket_at(entry.value);
            }
        }
        Err(ReadError::NoBucket(
            String::from_utf8_lossy(name).into_owned(),
        ))
    }

    /// Walks over the keys of a bucket whose entry was found.
    pub fn bucket_at(&self, value: &[u8]) -> Result<Cursor<'_, R>, ReadError> {
        let inline = |what: &str| ReadError::Damaged {
            id: 0,
            what: format!("a bucket inside a leaf: {what}"),
        };
        if value.len() < BUCKET_HEADER_BYTES {
            return Err(inline("its header is cut off"));
        }
        let root = match u64_at(value, 0) {
            0 => {
                let page = value[BUCKET_HEADER_BYTES..].to_vec();
                let page =
                    Page::new(page, &Bounds::default(), true).map_err(|what| inline(&what))?;
                if !page.is_leaf {
                    return Err(inline("it is a branch"));
                }
                page
            }
            id => self.page(id, &Bounds::default(), true)?,
        };
        Cursor::new(self, root)
    }

    /// Reads a page together with the pages behind it that belong to it.
    pub(crate) fn page(&self, id: u64, bounds: &Bounds, is_root: bool) -> Result<Page, ReadError> {
        let damaged = |what: String| ReadError::Damaged { id, what };
        if id < 2 || id >= self.meta.pages {
            return Err(damaged(format!(
                "there is none; the file has {} pages",
                self.meta.pages
            )));
        }
        let page_bytes = u64::from(self.meta.page_bytes);
        let mut bytes = vec![0; self.meta.page_bytes as usize];
        self.source.read_at(&mut bytes, id * page_bytes)?;
        let found = u64_at(&bytes, 0);
        if found != id {
            return Err(damaged(format!("it says that it is page {found}")));
        }
        let overflow = u64::from(u32_at(&bytes, PAGE_HEADER_BYTES - 4));
        let span_bytes = (overflow + 1) * page_bytes;
        if id + overflow >= self.meta.pages || span_bytes > PAGE_SPAN_BYTES_MAX {
            return Err(damaged(format!(
                "it claims {overflow} further pages, which there are not"
            )));
        }
        if overflow > 0 {
            // Within `PAGE_SPAN_BYTES_MAX`.
            bytes.resize(span_bytes as usize, 0);
            let (_, rest) = bytes.split_at_mut(self.meta.page_bytes as usize);
            self.source.read_at(rest, (id + 1) * page_bytes)?;
        }
        Page::new(bytes, bounds, is_root).map_err(damaged)
    }
}

/// The whole meta page of the newest transaction.
fn newest_meta<R: ReadAt + ?Sized>(source: &R, length: u64) -> Result<Meta, ReadError> {
    let (first, why) = match meta_at(source, 0, length)? {
        Ok(meta) => (Some(meta), ""),
        Err(why) => (None, why),
    };
    let second = match first {
        Some(first) => meta_at(source, first.page_bytes, length)?.ok(),
        None => {
            // Only the second meta tells how large a page is.
            let mut found = None;
            for size in page_sizes() {
                let meta = meta_at(source, size, length)?.ok();
                found = found.or(meta.filter(|meta| meta.page_bytes == size));
            }
            found
        }
    };
    let metas = [first, second].into_iter().flatten();
    metas
        .max_by_key(|meta| meta.transaction)
        .ok_or(ReadError::NotBbolt(why))
}

fn meta_at<R: ReadAt + ?Sized>(
    source: &R,
    at: u32,
    length: u64,
) -> io::Result<Result<Meta, &'static str>> {
    let mut bytes = [0; META_PAGE_BYTES];
    if u64::from(at) + META_PAGE_BYTES as u64 > length {
        return Ok(Err("it is too short"));
    }
    source.read_at(&mut bytes, u64::from(at))?;
    Ok(Meta::decode(&bytes))
}
