//! The one watch of the store that all caches live from. It reads every folder once, follows the store from there, and reads
//! anew only when the store has forgotten what came between.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use objects::status::Status;
use parking_lot::RwLock;
use tokio::sync::{mpsc, oneshot};

use super::silence::{SILENCE_MAX, Silence};
use super::{Cache, Contents, Decode, Object, Position};
use crate::storage::{Change, Damaged, Part, Storage, WatchEnd};

/// Objects of one page while a folder is read.
const PAGE_OBJECTS: i64 = 1_000;
/// Folders that wait to be read.
const FOLDERS_MAX: usize = 1_024;
/// Pause before the store is tried again, doubled up to the most.
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(50);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(2);

/// All caches, and the way to add one.
#[derive(Debug)]
pub struct Feed {
    storage: Storage,
    /// What all keys begin with: `/registry`.
    prefix: String,
    caches: RwLock<BTreeMap<String, Arc<Cache>>>,
    position: Arc<Position>,
    folders: mpsc::Sender<(Arc<Cache>, oneshot::Sender<()>)>,
}

/// The changes of one revision, by their caches.
type Parts = Vec<(Arc<Cache>, Vec<(String, Seen)>)>;

/// What is under a key now.
#[derive(Debug)]
pub(super) enum Seen {
    Object(Object),
    /// Something that cannot be opened.
    Damaged(Damaged),
    Nothing,
}

/// The part of the feed that runs.
pub struct Runner {
    feed: Arc<Feed>,
    decode: Decode,
    folders: mpsc::Receiver<(Arc<Cache>, oneshot::Sender<()>)>,
    silence_max: Duration,
}

impl Feed {
    /// A feed of these folders. Nothing is read before the runner runs.
    #[must_use]
    pub fn new(
        storage: Storage,
        prefix: &str,
        folders: &[&str],
        decode: Decode,
    ) -> (Arc<Feed>, Runner) {
        let position = Arc::new(Position::default());
        let caches = folders
            .iter()
            .map(|folder| {
                (
                    (*folder).to_owned(),
                    Arc::new(Cache::new(folder, position.clone())),
                )
            })
            .collect();
        let (sender, receiver) = mpsc::channel(FOLDERS_MAX);
        let prefix = prefix.to_owned();
        let feed = Arc::new(Feed {
            storage,
            prefix,
            caches: RwLock::new(caches),
            position,
            folders: sender,
        });
        let runner = Runner {
            feed: feed.clone(),
            decode,
            folders: receiver,
            silence_max: SILENCE_MAX,
        };
        (feed, runner)
    }

    /// The cache of a folder.
    #[must_use]
    pub fn cache(&self, folder: &str) -> Option<Arc<Cache>> {
        self.caches.read().get(folder).cloned()
    }

    #[must_use]
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// Whether every folder was read.
    #[must_use]
    pub fn is_loaded(&self) -> bool {
        self.position.get() > 0 && self.caches.read().values().all(|cache| cache.is_loaded())
    }

    /// Makes the cache of a folder that has none, and waits until it is read.
    pub async fn add(&self, folder: &str) -> Result<Arc<Cache>, Status> {
        let cache = {
            let mut caches = self.caches.write();
            if let Some(cache) = caches.get(folder) {
                return Ok(cache.clone());
            }
            let cache = Arc::new(Cache::new(folder, self.position.clone()));
            caches.insert(folder.to_owned(), cache.clone());
            cache
        };
        let (sender, loaded) = oneshot::channel();
        let sent = self.folders.send((cache.clone(), sender)).await;
        if sent.is_err() || loaded.await.is_err() {
            return Err(Status::internal(format!("{folder} cannot be read now")));
        }
        Ok(cache)
    }

    /// Forgets a folder. Its watches end.
    pub fn remove(&self, folder: &str) {
        let removed = self.caches.write().remove(folder);
        if let Some(cache) = removed {
            cache.close();
        }
    }

    /// Waits until everything that was acknowledged before this call is in the caches.
    pub async fn barrier(&self) -> Result<(), Status> {
        let revision = self.storage.revision().await?;
        self.position.reach(revision).await;
        Ok(())
    }

    /// The cache that a key belongs to, and the rest of the key.
    fn place<'a>(&self, key: &'a str) -> Option<(Arc<Cache>, &'a str)> {
        let path = key.strip_prefix(&self.prefix)?;
        let caches = self.caches.read();
        let upto = (Bound::Unbounded, Bound::Included(path));
        let (folder, cache) = caches.range::<str, _>(upto).next_back()?;
        let rest = path.strip_prefix(folder.as_str())?;
        Some((cache.clone(), rest))
    }
}

impl Runner {
    /// Feeds the caches until it is dropped.
    pub async fn run(mut self) {
        let mut pause = RETRY_PAUSE_MIN;
        loop {
            let result = match self.load().await {
                Ok(revision) => {
                    pause = RETRY_PAUSE_MIN;
                    self.follow(revision).await
                }
                Err(status) => Err(status),
            };
            match result {
                Ok(()) => tracing::warn!(
                    "the store has forgotten what came since it was read; reading all of it anew"
                ),
                Err(status) => {
                    tracing::warn!(error = %status, "cannot read the store; trying again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(RETRY_PAUSE_MAX);
                }
            }
        }
    }

    /// Reads all folders at one revision.
    async fn load(&mut self) -> Result<i64, Status> {
        let caches: Vec<Arc<Cache>> = self.feed.caches.read().values().cloned().collect();
        let revision = self.feed.storage.revision().await?;
        for cache in caches {
            self.load_folder(&cache, revision).await?;
        }
        self.feed.position.advance(revision);
        Ok(revision)
    }

    /// Reads the folders whose reading was interrupted.
    async fn load_missing(&self) -> Result<(), Status> {
        let caches: Vec<Arc<Cache>> = self.feed.caches.read().values().cloned().collect();
        for cache in caches.iter().filter(|cache| !cache.is_loaded()) {
            let now = self.feed.storage.revision().await?;
            self.load_folder(cache, now).await?;
        }
        Ok(())
    }

    /// Reads the folders anew in which something could not be opened.
    async fn load_damaged(&self) -> Result<(), Status> {
        let caches: Vec<Arc<Cache>> = self.feed.caches.read().values().cloned().collect();
        for cache in caches.iter().filter(|cache| cache.damaged("").is_some()) {
            let now = self.feed.storage.revision().await?;
            self.load_folder(cache, now).await?;
        }
        Ok(())
    }

    async fn load_folder(&self, cache: &Cache, revision: i64) -> Result<(), Status> {
        let folder = format!("{}{}", self.feed.prefix, cache.folder);
        let mut contents = Contents::default();
        let mut start = Bytes::new();
        loop {
            let part = Part {
                start,
                limit: PAGE_OBJECTS,
                revision,
            };
            let page = self.feed.storage.list(folder.as_bytes(), part).await?;
            for stored in &page.items {
                let key = String::from_utf8_lossy(&stored.key);
                let Some(rest) = key.strip_prefix(folder.as_str()) else {
                    continue;
                };
                if let Some(object) = self.decode(&key, &stored.value, stored.revision) {
                    contents.objects.insert(Arc::from(rest), Arc::new(object));
                }
            }
            let end = page.end().filter(|_| page.more);
            for damaged in page.damaged {
                let key = String::from_utf8_lossy(&damaged.key).into_owned();
                if let Some(rest) = key.strip_prefix(folder.as_str()) {
                    tell(&key, &damaged.why);
                    contents.damaged.insert(rest.to_owned(), damaged);
                }
            }
            match end {
                Some(end) => start = end,
                None => break,
            }
        }
        cache.reset(contents, revision);
        Ok(())
    }

    /// Follows the store. Ends well when the store has forgotten what comes next.
    async fn follow(&mut self, mut revision: i64) -> Result<(), Status> {
        let mut pause = RETRY_PAUSE_MIN;
        loop {
            match self.follow_one(&mut revision, &mut pause).await {
                Ok(WatchEnd::Compacted) => return Ok(()),
                Ok(WatchEnd::Lost(why)) => {
                    tracing::info!(why, "the watch of the store was lost; watching on")
                }
                Err(status) => {
                    tracing::warn!(error = %status, "cannot watch the store; trying again")
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RETRY_PAUSE_MAX);
        }
    }

    /// Follows one watch to its end, and moves the revision behind which the next one goes on.
    async fn follow_one(
        &mut self,
        revision: &mut i64,
        pause: &mut Duration,
    ) -> Result<WatchEnd, Status> {
        let prefix = format!("{}/", self.feed.prefix);
        let mut watch = self
            .feed
            .storage
            .watch(prefix.as_bytes(), *revision + 1)
            .await?;
        self.load_missing().await?;
        // Reading them may have failed when the keys were replaced.
        self.load_damaged().await?;
        // Whoever waits may have asked the watch before this one.
        watch.ask_progress().await?;
        let mut silence = Silence::new(self.silence_max);
        loop {
            tokio::select! {
                () = silence.look(&self.feed.position) => {
                    return Ok(watch.leave("the member tells nothing while others have more"));
                }
                () = self.feed.position.asked.notified() => watch.ask_progress().await?,
                () = self.feed.storage.encryption().replaced() => self.load_damaged().await?,
                Some((cache, loaded)) = self.folders.recv() => {
                    let now = self.feed.storage.revision().await?;
                    self.load_folder(&cache, now).await?;
                    // Nobody waits any more where a request was given up.
                    let _ = loaded.send(());
                }
                changes = watch.next() => match changes {
                    Ok(changes) => {
                        *pause = RETRY_PAUSE_MIN;
                        *revision = self.take(changes).max(*revision);
                    }
                    Err(end) => return Ok(end),
                },
            }
        }
    }

    /// Applies changes that the store told together, and gives the revision up to which everything was told.
    fn take(&self, changes: Vec<Change>) -> i64 {
        let mut newest = 0;
        let mut changes = changes.into_iter().peekable();
        while let Some(change) = changes.next() {
            let revision = change.revision();
            // A transaction writes many keys at one revision, and nobody may see a part of it.
            let mut parts = Parts::default();
            self.sort_in(change, &mut parts);
            while let Some(change) = changes.next_if(|next| next.revision() == revision) {
                self.sort_in(change, &mut parts);
            }
            for (cache, changes) in parts {
                cache.apply(changes, revision);
            }
            self.feed.position.advance(revision);
            newest = revision;
        }
        newest
    }

    /// Puts a change to those of its cache.
    fn sort_in(&self, change: Change, parts: &mut Parts) {
        let (key, seen) = match change {
            Change::Progress(_) => return,
            Change::Put(stored) => {
                let key = String::from_utf8_lossy(&stored.key).into_owned();
                let object = self.decode(&key, &stored.value, stored.revision);
                (key, object.map_or(Seen::Nothing, Seen::Object))
            }
            Change::Damaged(damaged) => {
                let key = String::from_utf8_lossy(&damaged.key).into_owned();
                tell(&key, &damaged.why);
                (key, Seen::Damaged(damaged))
            }
            Change::Deleted { key, .. } => {
                (String::from_utf8_lossy(&key).into_owned(), Seen::Nothing)
            }
        };
        let Some((cache, rest)) = self.feed.place(&key) else {
            return;
        };
        match parts
            .iter_mut()
            .find(|(other, _)| Arc::ptr_eq(other, &cache))
        {
            Some((_, changes)) => changes.push((rest.to_owned(), seen)),
            None => parts.push((cache, vec![(rest.to_owned(), seen)])),
        }
    }

    /// An object that cannot be read is as one that is not there; the log says so.
    fn decode(&self, key: &str, value: &[u8], revision: i64) -> Option<Object> {
        if let Some(object) = Object::of_text(value, revision) {
            return Some(object);
        }
        match (self.decode)(key, value) {
            Ok(value) => Some(Object::new(value, revision)),
            Err(why) => {
                tell(key, &why);
                None
            }
        }
    }
}

fn tell(key: &str, why: &str) {
    tracing::error!(key, why, "an object in the store cannot be read");
}

#[cfg(test)]
mod tests;
