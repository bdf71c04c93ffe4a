//! Files in the format of bbolt, the database inside etcd: written in one pass, read with suspicion.
//!
//! A file is pages. Two meta pages say where the root bucket's tree begins; its leaves name the top-level buckets, each
//! a tree of its own or, when small, a page inside the leaf. [`Writer`] makes files of top-level buckets from keys in
//! order and holds one page of each level in memory. [`Database`] reads any file of bbolt's, a page at a time, and checks
//! what it reads: a damaged file gives an error, never a panic or an endless walk.

mod cursor;
mod format;
mod meta;
mod page;
mod reader;
#[cfg(test)]
mod tests;
mod tree;
mod writer;

pub use cursor::{Cursor, Entry};
pub use reader::{Database, ReadAt, ReadError};
pub use writer::{BucketWriter, WriteError, Writer};
