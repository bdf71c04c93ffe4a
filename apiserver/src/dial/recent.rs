//! How those are spoken to who were spoken to of late: certificates are read once.

use std::collections::VecDeque;

use parking_lot::Mutex;

use super::Tls;

/// Those that are kept ready.
const KNOWN_MAX: usize = 200;

/// TLS by what it was made from. Those used of late come last.
#[derive(Debug)]
pub(crate) struct Recent<K>(Mutex<VecDeque<(K, Tls)>>);

impl<K> Default for Recent<K> {
    fn default() -> Recent<K> {
        Recent(Mutex::default())
    }
}

impl<K: Clone + PartialEq> Recent<K> {
    /// What was made from a key, made anew if that was not wanted of late.
    pub(crate) fn get_or_make(
        &self,
        key: &K,
        make: impl FnOnce(&K) -> Result<Tls, String>,
    ) -> Result<Tls, String> {
        if let Some(tls) = self.known(key) {
            return Ok(tls);
        }
        let tls = make(key)?;
        let mut known = self.0.lock();
        known.retain(|(other, _)| other != key);
        if known.len() == KNOWN_MAX {
            known.pop_front();
        }
        known.push_back((key.clone(), tls.clone()));
        Ok(tls)
    }

    fn known(&self, key: &K) -> Option<Tls> {
        let mut known = self.0.lock();
        let at = known.iter().position(|(other, _)| other == key)?;
        let found = known.remove(at)?;
        let tls = found.1.clone();
        known.push_back(found);
        Some(tls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dial::Roots;

    #[test]
    fn what_was_made_is_kept_and_no_more_than_there_is_room_for() {
        let recent = Recent::default();
        let make = |_: &usize| Tls::new(Roots::Unverified, None);
        for key in [1, 2, 1] {
            recent.get_or_make(&key, make).unwrap();
        }
        let known = |recent: &Recent<usize>| -> Vec<usize> {
            recent.0.lock().iter().map(|(key, _)| *key).collect()
        };
        assert_eq!(known(&recent), [2, 1]);
        let again = recent.get_or_make(&1, |_| panic!("it is there"));
        again.unwrap();
        let failed = recent.get_or_make(&3, |_| Err("no certificate".to_owned()));
        assert!(failed.is_err());
        assert_eq!(known(&recent), [2, 1]);
        for key in 3..=KNOWN_MAX + 2 {
            recent.get_or_make(&key, make).unwrap();
        }
        assert_eq!(known(&recent).len(), KNOWN_MAX);
        assert_eq!(known(&recent)[0], 3);
    }
}
