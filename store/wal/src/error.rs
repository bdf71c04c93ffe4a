//! Why a log cannot be opened, and the failure that ends a log.

use std::io;
use std::path::{Path, PathBuf};

/// Why a log cannot be opened. A failed open changes nothing on disk.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Records that were acknowledged are lost or unreadable. Serving or voting from what is left could
    /// undo an acknowledged write, so this replica must not. How it comes back is its owner's business.
    #[error(
        "the raft log in {} is damaged: {what}", directory.display()
    )]
    Damaged {
        directory: PathBuf,
        /// Which acknowledged records are missing, and where.
        what: String,
    },
    /// The log was written in a format this program does not know.
    #[error("{} has format version {version}, this program reads version {known}", path.display(), known = crate::format::FORMAT_VERSION)]
    Format { path: PathBuf, version: u8 },
    /// A file could not be read or made; `io::ErrorKind::StorageFull` says that the disk is full.
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

impl OpenError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> OpenError + use<> {
        let path = path.to_path_buf();
        move |source| OpenError::Io { path, source }
    }

    pub(crate) fn damaged(directory: &Path, what: String) -> OpenError {
        OpenError::Damaged {
            directory: directory.to_path_buf(),
            what,
        }
    }
}

/// The error that ended a log, kept so that every later operation gets it too.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    kind: io::ErrorKind,
    message: String,
}

impl Failure {
    pub(crate) fn new(error: &io::Error) -> Failure {
        Failure {
            kind: error.kind(),
            message: error.to_string(),
        }
    }

    pub(crate) fn error(&self) -> io::Error {
        io::Error::new(self.kind, self.message.clone())
    }
}
