//! The file of the audit log: events wait in a bounded queue, and whoever has one waits for room in it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use daemon::CancellationToken;
use tokio::sync::mpsc;

use super::event::Event;
use crate::clock;

/// Events that wait to be written; who comes with one more waits.
const QUEUE_EVENTS_MAX: usize = 4_096;
/// Events that are written together.
const BATCH_EVENTS_MAX: usize = 256;
const MEBIBYTE: u64 = 1 << 20;
const DAY_SECONDS: i64 = 86_400;

/// How an event is a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    Json,
    Legacy,
}

/// When a file is full, and how long full ones are kept; 0 is for ever.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rotation {
    pub age_days_max: u32,
    pub backups_max: u32,
    pub size_mebibytes_max: u32,
}

/// Where events go.
#[derive(Debug)]
pub struct Log {
    target: Target,
    format: Format,
}

#[derive(Debug)]
enum Target {
    Output,
    File(Rotated),
}

/// What writes events while it runs.
#[derive(Debug)]
pub struct Writer {
    log: Log,
    events: mpsc::Receiver<Event>,
}

/// A file that is put aside when it is full.
#[derive(Debug)]
struct Rotated {
    path: PathBuf,
    rotation: Rotation,
    file: File,
    bytes: u64,
}

impl Log {
    /// A log in a file, or on standard output for `-`.
    ///
    /// # Errors
    ///
    /// If the file cannot be opened.
    pub fn open(path: &Path, rotation: Rotation, format: Format) -> io::Result<Log> {
        let target = if path == Path::new("-") {
            Target::Output
        } else {
            Target::File(Rotated::open(path, rotation)?)
        };
        Ok(Log { target, format })
    }

    pub(super) fn writer(self) -> (mpsc::Sender<Event>, Writer) {
        let (sender, events) = mpsc::channel(QUEUE_EVENTS_MAX);
        (sender, Writer { log: self, events })
    }

    fn write(&mut self, events: &[Event]) {
        for event in events {
            let mut line = match self.format {
                Format::Json => event.json().to_string(),
                Format::Legacy => event.legacy(),
            };
            line.push('\n');
            let written = match &mut self.target {
                Target::Output => io::stdout().write_all(line.as_bytes()),
                Target::File(file) => file.write(line.as_bytes()),
            };
            if let Err(error) = written {
                tracing::error!(%error, "an event is not in the audit log");
            }
        }
    }
}

impl Writer {
    /// Writes events until it is told to stop, and then those that wait.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), tokio::task::JoinError> {
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled(), if !self.events.is_closed() => self.events.close(),
                count = self.events.recv_many(&mut batch, BATCH_EVENTS_MAX) => {
                    if count == 0 {
                        return Ok(());
                    }
                    let (mut log, events) = (self.log, std::mem::take(&mut batch));
                    self.log = tokio::task::spawn_blocking(move || {
                        log.write(&events);
                        log
                    })
                    .await?;
                }
            }
        }
    }
}

impl Rotated {
    fn open(path: &Path, rotation: Rotation) -> io::Result<Rotated> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = append(path)?;
        let bytes = file.metadata()?.len();
        Ok(Rotated {
            path: path.to_owned(),
            rotation,
            file,
            bytes,
        })
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let size_max = u64::from(self.rotation.size_mebibytes_max) * MEBIBYTE;
        if size_max > 0 && self.bytes > 0 && self.bytes + line.len() as u64 > size_max {
            // A line is written wherever it can be: a full file is better than none.
            if let Err(error) = self.rotate() {
                tracing::error!(%error, "the audit log cannot be put aside");
            } else if let Err(error) = self.forget(clock::now_seconds()) {
                tracing::error!(%error, "old audit logs cannot be removed");
            }
        }
        self.file.write_all(line)?;
        self.bytes += line.len() as u64;
        Ok(())
    }

    /// Puts the file aside and begins another; the old one stays in use until that is there.
    fn rotate(&mut self) -> io::Result<()> {
        let mut micros = clock::now_micros();
        // Files that are full within one millisecond do not take each other's name.
        while self.backup(micros).exists() {
            micros += 1_000;
        }
        match fs::rename(&self.path, self.backup(micros)) {
            // Somebody else has put it aside.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.file = append(&self.path)?;
        self.bytes = 0;
        Ok(())
    }

    /// Stem and extension of the file's name: what backups have around their time.
    fn name(&self) -> (String, String) {
        let text = |part: Option<&std::ffi::OsStr>| {
            part.map_or_else(String::new, |part| part.to_string_lossy().into_owned())
        };
        let extension = text(self.path.extension());
        let dotted = if extension.is_empty() {
            extension
        } else {
            format!(".{extension}")
        };
        (text(self.path.file_stem()), dotted)
    }

    /// The name of a file that is put aside: `audit-2026-01-31T12-00-00.000.log`.
    fn backup(&self, micros: i64) -> PathBuf {
        let (stem, extension) = self.name();
        let seconds = clock::text(micros.div_euclid(1_000_000)).replace(':', "-");
        let millis = micros.rem_euclid(1_000_000) / 1_000;
        let seconds = seconds.trim_end_matches('Z');
        self.path
            .with_file_name(format!("{stem}-{seconds}.{millis:03}{extension}"))
    }

    /// Removes the files that are too many or too old.
    fn forget(&self, now_seconds: i64) -> io::Result<()> {
        let (stem, extension) = self.name();
        let folder = self
            .path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let mut backups = Vec::new();
        for entry in fs::read_dir(folder.unwrap_or(Path::new(".")))? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let time = name
                .strip_prefix(&format!("{stem}-"))
                .and_then(|rest| rest.strip_suffix(&extension))
                .and_then(seconds_of_backup);
            if let Some(seconds) = time {
                backups.push((seconds, path));
            }
        }
        backups.sort();
        let kept = match self.rotation.backups_max {
            0 => backups.len(),
            count => count as usize,
        };
        let too_many = backups.len().saturating_sub(kept);
        let age_max = i64::from(self.rotation.age_days_max) * DAY_SECONDS;
        for (at, (seconds, path)) in backups.iter().enumerate() {
            if at < too_many || (age_max > 0 && now_seconds - seconds > age_max) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    // It tells who does what: its owner's alone.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// The time in a name: `2026-01-31T12-00-00.000`.
fn seconds_of_backup(text: &str) -> Option<i64> {
    let (day, rest) = text.split_once('T')?;
    let (time, _millis) = rest.split_once('.')?;
    clock::seconds(&format!("{day}T{}Z", time.replace('-', ":")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_full_file_is_put_aside_and_goes_on_nothing_lost() {
        let folder = tempfile::tempdir().unwrap();
        let rotation = Rotation {
            size_mebibytes_max: 1,
            ..Rotation::default()
        };
        let mut file = Rotated::open(&folder.path().join("audit.log"), rotation).unwrap();
        let line = vec![b'x'; 700 << 10];
        file.write(&line).unwrap();
        file.write(&line).unwrap();
        let names = names(folder.path());
        assert_eq!(names.len(), 2, "{names:?}");
        let sizes: u64 = names
            .iter()
            .map(|name| fs::metadata(folder.path().join(name)).unwrap().len())
            .sum();
        assert_eq!(sizes, 2 * (700 << 10));
    }

    #[test]
    fn a_file_that_is_put_aside_takes_no_other_ones_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let mut file = Rotated::open(&path, Rotation::default()).unwrap();
        file.write(b"own").unwrap();
        let now = clock::now_micros();
        for millis in 0..1_000 {
            fs::write(file.backup(now + millis * 1_000), "other").unwrap();
        }
        file.rotate().unwrap();
        let texts = names(folder.path()).into_iter();
        let texts = texts.map(|name| fs::read_to_string(folder.path().join(name)).unwrap());
        let count = |wanted: &str| texts.clone().filter(|text| text == wanted).count();
        assert_eq!((count("other"), count("own"), count("")), (1_000, 1, 1));
    }

    #[test]
    fn a_full_file_that_cannot_be_put_aside_is_written_on() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("logs");
        let rotation = Rotation {
            size_mebibytes_max: 1,
            ..Rotation::default()
        };
        let mut file = Rotated::open(&inner.join("audit.log"), rotation).unwrap();
        let line = vec![b'x'; 700 << 10];
        file.write(&line).unwrap();
        fs::remove_dir_all(&inner).unwrap();
        file.write(&line).unwrap();
        assert_eq!(file.file.metadata().unwrap().len(), 2 * (700 << 10));
        fs::create_dir(&inner).unwrap();
        file.write(&line).unwrap();
        assert_eq!(names(&inner), ["audit.log"]);
        assert_eq!(file.file.metadata().unwrap().len(), 700 << 10);
    }

    #[test]
    fn old_files_and_those_that_are_too_many_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let rotation = Rotation {
            age_days_max: 2,
            backups_max: 2,
            size_mebibytes_max: 1,
        };
        let file = Rotated::open(&path, rotation).unwrap();
        let day = DAY_SECONDS * 1_000_000;
        for days in [10, 11, 12, 13] {
            fs::write(file.backup(days * day), "").unwrap();
        }
        fs::write(folder.path().join("audit-notes.log"), "").unwrap();
        file.forget(14 * DAY_SECONDS).unwrap();
        assert_eq!(
            names(folder.path()),
            [
                "audit-1970-01-13T00-00-00.000.log",
                "audit-1970-01-14T00-00-00.000.log",
                "audit-notes.log",
                "audit.log",
            ]
        );
        file.forget(17 * DAY_SECONDS).unwrap();
        assert_eq!(names(folder.path()), ["audit-notes.log", "audit.log"]);
    }
}
