//! What was compiled of configurations, kept for as long as they do not change.

use std::collections::HashMap;
use std::sync::Arc;

use objects::{Value, meta};
use parking_lot::Mutex;

/// How many configurations are kept; with one more, all are made again.
const KEPT_MAX: usize = 1_024;

/// What is made of configurations, by their identity and version.
#[derive(Debug)]
pub struct Kept<T> {
    made: Mutex<HashMap<String, (String, Arc<T>)>>,
}

impl<T> Default for Kept<T> {
    fn default() -> Kept<T> {
        Kept {
            made: Mutex::default(),
        }
    }
}

impl<T> Kept<T> {
    /// What was made of this configuration, or is made now.
    pub fn get(&self, configuration: &Value, make: impl FnOnce() -> T) -> Arc<T> {
        let uid = meta::text(configuration, &["metadata", "uid"]);
        let version = meta::text(configuration, &["metadata", "resourceVersion"]);
        if let Some((known, made)) = self.made.lock().get(uid)
            && known == version
        {
            return made.clone();
        }
        let fresh = Arc::new(make());
        let mut made = self.made.lock();
        if made.len() >= KEPT_MAX && !made.contains_key(uid) {
            made.clear();
        }
        made.insert(uid.to_owned(), (version.to_owned(), fresh.clone()));
        fresh
    }
}
