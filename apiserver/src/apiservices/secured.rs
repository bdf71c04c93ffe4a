//! How the servers of other APIs are spoken to, kept ready for those spoken to of late.

use std::collections::VecDeque;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;

use crate::dial::{Identity, Roots, Tls};

/// Bundles whose certificates are kept ready.
const KNOWN_MAX: usize = 200;

/// Whose certificates are believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Believed {
    Everybody,
    /// Those of the authorities in a bundle in base64; of those that the machine trusts if there is none.
    Bundle(String),
}

/// Those used of late come last.
#[derive(Debug, Default)]
pub(super) struct Secured(Mutex<VecDeque<(Believed, Tls)>>);

impl Secured {
    /// How streams are secured towards those who are believed, made anew if that was not wanted of late. One identity is shown to all.
    pub(super) fn tls(
        &self,
        believed: Believed,
        identity: Option<Identity<'_>>,
    ) -> Result<Tls, String> {
        if let Some(tls) = self.known(&believed) {
            return Ok(tls);
        }
        let tls = make(&believed, identity)?;
        let mut known = self.0.lock();
        if known.len() == KNOWN_MAX {
            known.pop_front();
        }
        known.push_back((believed, tls.clone()));
        Ok(tls)
    }

    fn known(&self, believed: &Believed) -> Option<Tls> {
        let mut known = self.0.lock();
        let at = known.iter().position(|(other, _)| other == believed)?;
        let found = known.remove(at)?;
        let tls = found.1.clone();
        known.push_back(found);
        Some(tls)
    }
}

fn make(believed: &Believed, identity: Option<Identity<'_>>) -> Result<Tls, String> {
    let Believed::Bundle(bundle) = believed else {
        return Tls::new(Roots::Unverified, identity);
    };
    let bundle = STANDARD.decode(bundle).map_err(|error| error.to_string())?;
    let roots = if bundle.is_empty() {
        Roots::System
    } else {
        Roots::Bundle(&bundle)
    };
    Tls::new(roots, identity)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_is_kept_and_no_more_than_there_is_room_for() {
        let secured = Secured::default();
        let system = Believed::Bundle(String::new());
        secured.tls(system.clone(), None).unwrap();
        secured.tls(Believed::Everybody, None).unwrap();
        secured.tls(system.clone(), None).unwrap();
        let known = |secured: &Secured| -> Vec<Believed> {
            let known = secured.0.lock();
            known.iter().map(|(believed, _)| believed.clone()).collect()
        };
        assert_eq!(known(&secured), [Believed::Everybody, system]);
        assert!(secured.tls(Believed::Bundle("?".to_owned()), None).is_err());
        let tls = secured.tls(Believed::Everybody, None).unwrap();
        let mut full = secured.0.lock();
        full.resize(KNOWN_MAX, (Believed::Everybody, tls));
        drop(full);
        secured
            .tls(Believed::Bundle(STANDARD.encode(" ")), None)
            .ok();
        assert_eq!(known(&secured).len(), KNOWN_MAX);
    }
}
