//! Encryption at rest: between the store, which has sealed values, and everybody else, who sees plain ones.

mod cipher;
mod file;
mod rules;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use objects::catalog::Catalog;
use parking_lot::RwLock;
use sha2::{Digest, Sha256};
use tokio::sync::Notify;

use self::rules::Rules;

/// How often the file is looked at for a change.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// A value as it was before it was sealed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Opened {
    pub(super) value: Bytes,
    /// Whether it would be sealed otherwise today: the next update writes it even where it changes nothing.
    pub(super) is_stale: bool,
}

/// What seals and opens values by their keys. Clones share their rules.
#[derive(Debug, Clone)]
pub struct Encryption {
    /// What all keys begin with.
    prefix: Arc<str>,
    /// The resource of each folder of the built-in kinds.
    folders: Arc<BTreeMap<&'static str, (&'static str, &'static str)>>,
    rules: Arc<RwLock<Arc<Rules>>>,
    /// Rules have taken the place of others.
    replaced: Arc<Notify>,
}

/// A configuration in a file, and what the file was when it was read.
#[derive(Debug)]
pub struct Source {
    file: PathBuf,
    digest: [u8; 32],
}

impl Encryption {
    /// Nothing is sealed, and what is sealed cannot be read.
    #[must_use]
    pub fn none(prefix: &str) -> Encryption {
        Encryption::with(prefix, Rules::default())
    }

    /// Encryption as a file says.
    ///
    /// # Errors
    ///
    /// What is wrong with the file.
    pub fn read(prefix: &str, file: &Path) -> Result<(Encryption, Source), String> {
        let (rules, digest) = load(file)?;
        let source = Source {
            file: file.to_owned(),
            digest,
        };
        Ok((Encryption::with(prefix, rules), source))
    }

    fn with(prefix: &str, rules: Rules) -> Encryption {
        let mut folders = BTreeMap::new();
        for resource in &Catalog::builtin().resources {
            let resource_name = (resource.group.as_str(), resource.plural.as_str());
            let folder = folders.entry(resource.storage.as_str());
            // Of several groups that share a folder, as events do, the core group names it.
            folder
                .and_modify(|known| {
                    if resource.group.is_empty() {
                        *known = resource_name;
                    }
                })
                .or_insert(resource_name);
        }
        Encryption {
            prefix: prefix.into(),
            folders: Arc::new(folders),
            rules: Arc::new(RwLock::new(Arc::new(rules))),
            replaced: Arc::new(Notify::new()),
        }
    }

    /// The value as it is stored under a key.
    pub(super) fn seal(&self, key: &[u8], value: Bytes) -> Result<Bytes, String> {
        let rules = self.rules.read().clone();
        match self.resource(key) {
            Some((group, plural)) => rules.seal(group, plural, key, value),
            None => Ok(value),
        }
    }

    /// The value that is stored under a key.
    pub(super) fn open(&self, key: &[u8], stored: Bytes) -> Result<Opened, String> {
        let rules = self.rules.read().clone();
        match self.resource(key) {
            Some((group, plural)) => rules.open(group, plural, key, stored),
            None => Ok(Opened {
                value: stored,
                is_stale: false,
            }),
        }
    }

    /// The group and the plural name of what a key holds; none of what is no object of a resource.
    fn resource<'a>(&'a self, key: &'a [u8]) -> Option<(&'a str, &'a str)> {
        let path = std::str::from_utf8(key).ok()?.strip_prefix(&*self.prefix)?;
        let upto = (Bound::Unbounded, Bound::Included(path));
        if let Some((folder, resource)) = self.folders.range::<str, _>(upto).next_back()
            && path.starts_with(folder)
        {
            return Some(*resource);
        }
        // Custom resources have the folder `/group/plural/`, and a group of theirs has a dot.
        let mut parts = path.strip_prefix('/')?.splitn(3, '/');
        let (group, plural) = (parts.next()?, parts.next()?);
        (parts.next().is_some() && group.contains('.')).then_some((group, plural))
    }

    /// Waits until other rules are in force: what could not be read before may be readable.
    pub(crate) async fn replaced(&self) {
        self.replaced.notified().await;
    }

    /// Takes the rules of a file anew whenever it changes. A file that cannot be used changes nothing, and the log says so.
    pub async fn follow(&self, mut source: Source) {
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            self.look(&mut source);
        }
    }

    fn look(&self, source: &mut Source) {
        let digest = match std::fs::read(&source.file) {
            Ok(bytes) => Sha256::digest(bytes).into(),
            Err(error) => {
                let file = source.file.display();
                return tracing::warn!(%file, %error, "cannot read the encryption configuration");
            }
        };
        if digest == source.digest {
            return;
        }
        // A bad file is told of once and not at every look.
        source.digest = digest;
        match load(&source.file) {
            Ok((rules, digest)) => {
                source.digest = digest;
                *self.rules.write() = Arc::new(rules);
                self.replaced.notify_one();
                tracing::info!("the encryption configuration was read anew");
            }
            Err(error) => {
                tracing::error!(error, "the encryption configuration stays as it was");
            }
        }
    }
}

fn load(file: &Path) -> Result<(Rules, [u8; 32]), String> {
    let shown = format!("{:?}", file.display().to_string());
    let bytes = std::fs::read(file)
        .map_err(|error| format!("error while parsing file: error while loading file: error reading encryption provider configuration file {shown}: {error}"))?;
    if bytes.is_empty() {
        return Err(format!(
            "error while parsing file: error while loading file: encryption provider configuration file {shown} is empty"
        ));
    }
    let rules = file::parse(&bytes).map_err(|fault| match fault {
        file::Fault::Unreadable(why) => format!(
            "error while parsing file: error decoding encryption provider configuration file {shown}: {why}"
        ),
        file::Fault::Invalid(why) => format!("error while parsing file: {why}"),
        file::Fault::Masked(why) => format!("error while building transformers: {why}"),
    })?;
    Ok((rules, Sha256::digest(&bytes).into()))
}
