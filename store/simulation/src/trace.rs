//! Everything that happens in a run, with simulated times: hashed always, written to a file when one is given.

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// FNV-1a.
const HASH_START: u64 = 0xcbf2_9ce4_8422_2325;
const HASH_PRIME: u64 = 0x0100_0000_01b3;

/// Clones write into one trace.
#[derive(Clone)]
pub(crate) struct Trace(Arc<Mutex<Lines>>);

struct Lines {
    now: Duration,
    hash: u64,
    count: u64,
    file: Option<BufWriter<File>>,
}

impl Trace {
    pub(crate) fn new(path: Option<&Path>) -> io::Result<Self> {
        let file = path.map(File::create).transpose()?.map(BufWriter::new);
        Ok(Trace(Arc::new(Mutex::new(Lines {
            now: Duration::ZERO,
            hash: HASH_START,
            count: 0,
            file,
        }))))
    }

    fn with<T>(&self, work: impl FnOnce(&mut Lines) -> T) -> T {
        work(&mut self.0.lock().expect("no code under this lock panics"))
    }

    pub(crate) fn set_now(&self, now: Duration) {
        self.with(|lines| lines.now = now);
    }

    pub(crate) fn note(&self, what: fmt::Arguments<'_>) {
        self.with(|lines| {
            let line = format!("{:.3} {what}\n", lines.now.as_secs_f64());
            for byte in line.bytes() {
                lines.hash = (lines.hash ^ u64::from(byte)).wrapping_mul(HASH_PRIME);
            }
            lines.count += 1;
            if let Some(file) = &mut lines.file
                && let Err(error) = file.write_all(line.as_bytes())
            {
                eprintln!("the trace cannot be written: {error}");
                lines.file = None;
            }
        });
    }

    /// Hash and count of the lines so far.
    pub(crate) fn finish(&self) -> io::Result<(u64, u64)> {
        self.with(|lines| {
            if let Some(file) = &mut lines.file {
                file.flush()?;
            }
            Ok((lines.hash, lines.count))
        })
    }
}
