//! Watches every change a log makes to its directory, and can make one fail.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Debug, Default)]
pub(crate) struct Observer {
    pub(crate) fail_sync: AtomicBool,
    pub(crate) fail_create: AtomicBool,
}

impl Observer {
    pub(crate) fn create(&self, _path: &Path) -> io::Result<()> {
        if self.fail_create.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
    pub(crate) fn write(&self, _file: u64, _bytes: &[u8], _offset: u64) -> io::Result<()> {
        Ok(())
    }
    pub(crate) fn sync(&self, _file: u64) -> io::Result<()> {
        if self.fail_sync.load(Ordering::SeqCst) {
            return Err(io::Error::other("injected"));
        }
        Ok(())
    }
    pub(crate) fn rename(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        Ok(())
    }
    pub(crate) fn remove(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }
    pub(crate) fn sync_directory(&self) -> io::Result<()> {
        Ok(())
    }
}
