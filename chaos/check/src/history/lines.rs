//! Histories as lines of JSON, one record a line.

use std::io::{self, BufRead, Read, Write};

use thiserror::Error;

use super::Record;

/// The longest line that is read, in bytes: a txn of 128 values of etcd's 1.5 MiB and room for escapes.
pub const LINE_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// Why a history could not be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The source failed.
    #[error("line {line}: {source}")]
    Io {
        /// From 1.
        line: u64,
        /// The failure.
        source: io::Error,
    },
    /// A line is no record.
    #[error("line {line}: {source}")]
    Malformed {
        /// From 1.
        line: u64,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The last line has no end: the recorder was cut off while it wrote. Everything before is whole.
    #[error("line {line}: the history was cut off here")]
    CutOff {
        /// From 1.
        line: u64,
    },
    /// A line is longer than [`LINE_BYTES_MAX`].
    #[error("line {line}: longer than {LINE_BYTES_MAX} bytes")]
    TooLong {
        /// From 1.
        line: u64,
    },
}

/// Writes records, one a line. Hand it something buffered.
#[derive(Debug)]
pub struct Writer<W> {
    target: W,
}

impl<W: Write> Writer<W> {
    /// Writes to `target`.
    pub fn new(target: W) -> Self {
        Self { target }
    }

    /// Writes one record.
    ///
    /// # Errors
    /// What the target gives; the line may then be there in part.
    pub fn write(&mut self, record: &Record) -> io::Result<()> {
        serde_json::to_writer(&mut self.target, record)?;
        self.target.write_all(b"\n")
    }

    /// Flushes the target and gives it back.
    ///
    /// # Errors
    /// What the target gives.
    pub fn finish(mut self) -> io::Result<W> {
        self.target.flush()?;
        Ok(self.target)
    }
}

/// Reads records, one a line. It ends at the end of the source or after the first error.
#[derive(Debug)]
pub struct Reader<R> {
    source: R,
    line: u64,
    buffer: Vec<u8>,
    ended: bool,
}

impl<R: BufRead> Reader<R> {
    /// Reads from `source`.
    pub fn new(source: R) -> Self {
        Self {
            source,
            line: 0,
            buffer: Vec::new(),
            ended: false,
        }
    }

    fn read(&mut self) -> Result<Option<Record>, ReadError> {
        self.line += 1;
        let line = self.line;
        self.buffer.clear();
        let read = (&mut self.source)
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut self.buffer)
            .map_err(|source| ReadError::Io { line, source })?;
        if read == 0 {
            return Ok(None);
        }
        if self.buffer.last() != Some(&b'\n') {
            let full = u64::try_from(read).is_ok_and(|read| read == LINE_BYTES_MAX);
            return Err(if full {
                ReadError::TooLong { line }
            } else {
                ReadError::CutOff { line }
            });
        }
        serde_json::from_slice(&self.buffer)
            .map(Some)
            .map_err(|source| ReadError::Malformed { line, source })
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Record, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let item = self.read().transpose();
        self.ended = !matches!(item, Some(Ok(_)));
        item
    }
}
