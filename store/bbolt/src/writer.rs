//! Writing a file in one pass from buckets and keys in order.

use std::io::{self, BufWriter, Seek, SeekFrom, Write};

use crate::format::{
    self, BUCKET_HEADER_BYTES, FIRST_PAGE, FREE_LIST_PAGE, IS_BUCKET, KEY_BYTES_MAX, PAGE_BYTES,
    VALUE_BYTES_MAX,
};
use crate::meta::Meta;
use crate::tree::{Pages, Tree};

/// Bytes gathered before they are written.
const BUFFER_BYTES: usize = 256 << 10;

#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("a {0} is not behind the one before it")]
    Order(&'static str),
    #[error("a {0} has {1} bytes, which the format does not allow")]
    Size(&'static str, usize),
}

/// Makes a file. Nothing can read it before [`Writer::finish`].
pub struct Writer<W: Write + Seek> {
    pages: Pages<BufWriter<W>>,
    buckets: Tree,
    last_name: Vec<u8>,
}

/// A bucket that is being filled. It is in the file after [`BucketWriter::finish`].
pub struct BucketWriter<'a, W: Write + Seek> {
    writer: &'a mut Writer<W>,
    name: Vec<u8>,
    tree: Tree,
    last_key: Vec<u8>,
}

impl<W: Write + Seek> Writer<W> {
    /// Begins a file at the start of `out`, which is empty.
    pub fn new(out: W) -> Result<Writer<W>, WriteError> {
        let mut out = BufWriter::with_capacity(BUFFER_BYTES, out);
        for _ in 0..FIRST_PAGE {
            out.write_all(&[0; PAGE_BYTES])?;
        }
        Ok(Writer {
            pages: Pages {
                out,
                next: FIRST_PAGE,
            },
            buckets: Tree::new(),
            last_name: Vec::new(),
        })
    }

    /// Begins a bucket. Names come in rising order.
    pub fn bucket(&mut self, name: &[u8]) -> Result<BucketWriter<'_, W>, WriteError> {
        check("bucket's name", name, &self.last_name)?;
        Ok(BucketWriter {
            writer: self,
            name: name.to_vec(),
            tree: Tree::new(),
            last_key: Vec::new(),
        })
    }

    /// Writes the root and the meta pages. The file is whole then, and not synced.
    pub fn finish(mut self) -> Result<W, WriteError> {
        let root = self.buckets.finish(&mut self.pages)?;
        let Pages { mut out, next } = self.pages;
        for transaction in [0, 1] {
            let meta = Meta {
                page_bytes: PAGE_BYTES as u32,
                root,
                free_list: FREE_LIST_PAGE,
                pages: next,
                transaction,
            };
            // A transaction's meta lies in the page of its parity.
            out.seek(SeekFrom::Start(transaction * PAGE_BYTES as u64))?;
            out.write_all(&meta.encode(transaction))?;
        }
        out.seek(SeekFrom::Start(FREE_LIST_PAGE * PAGE_BYTES as u64))?;
        let free_list = format::page_header(FREE_LIST_PAGE, format::page::FREE_LIST, 0, 0);
        out.write_all(&free_list)?;
        let out = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(out)
    }
}

impl<W: Write + Seek> BucketWriter<'_, W> {
    /// Adds a key. Keys come in rising order.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), WriteError> {
        check("key", key, &self.last_key)?;
        if value.len() > VALUE_BYTES_MAX {
            return Err(WriteError::Size("value", value.len()));
        }
        self.tree.put(&mut self.writer.pages, 0, key, value)?;
        self.last_key.clear();
        self.last_key.extend_from_slice(key);
        Ok(())
    }

    /// Writes the bucket's last pages and names it in the file.
    pub fn finish(self) -> Result<(), WriteError> {
        let writer = self.writer;
        let root = self.tree.finish(&mut writer.pages)?;
        let mut header = [0; BUCKET_HEADER_BYTES];
        header[..8].copy_from_slice(&root.to_le_bytes());
        writer
            .buckets
            .put(&mut writer.pages, IS_BUCKET, &self.name, &header)?;
        writer.last_name = self.name;
        Ok(())
    }
}

fn check(what: &'static str, key: &[u8], last: &[u8]) -> Result<(), WriteError> {
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        return Err(WriteError::Size(what, key.len()));
    }
    if key <= last {
        return Err(WriteError::Order(what));
    }
    Ok(())
}
