//! Which resources are sealed by what: the first provider of a resource writes, all of them read.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::Opened;
use super::cipher::Cipher;

/// What everything sealed begins with.
const SEALED: &[u8] = b"k8s:enc:";

/// The providers of each resource; group and plural name may be `*`.
#[derive(Debug, Default)]
pub(super) struct Rules {
    by_resource: BTreeMap<(String, String), Vec<Provider>>,
}

/// One way to store a value.
#[derive(Debug, Clone)]
pub(super) enum Provider {
    /// As it is.
    Identity,
    Keyed(std::sync::Arc<Keyed>),
}

/// A cipher and its keys. A value says by which of them it was sealed.
#[derive(Debug)]
pub(super) struct Keyed {
    /// `k8s:enc:aesgcm:v1:`.
    pub(super) prefix: &'static str,
    /// By their names; the first seals.
    pub(super) keys: Vec<(String, Cipher)>,
    /// What is said of a value whose key is not here.
    pub(super) unknown: &'static str,
}

impl Rules {
    /// Adds providers of a resource, behind those that it has.
    ///
    /// # Errors
    ///
    /// If an earlier rule is for the resource already, by a `*`.
    pub(super) fn add(&mut self, resource: &str, providers: &[Provider]) -> Result<(), String> {
        let (group, plural) = parse_resource(resource);
        for (masking_group, masking) in [(group, "*"), ("*", "*")] {
            let key = (masking_group.to_owned(), masking.to_owned());
            if self.by_resource.contains_key(&key) {
                return Err(format!(
                    "resource {:?} is masked by earlier rule {:?}",
                    text(group, plural),
                    text(masking_group, masking)
                ));
            }
        }
        self.by_resource
            .entry((group.to_owned(), plural.to_owned()))
            .or_default()
            .extend_from_slice(providers);
        Ok(())
    }

    fn providers(&self, group: &str, plural: &str) -> Option<&[Provider]> {
        let find = |group: &str, plural: &str| {
            self.by_resource
                .get(&(group.to_owned(), plural.to_owned()))
                .map(Vec::as_slice)
        };
        if self.by_resource.is_empty() {
            return None;
        }
        find(group, plural)
            .or_else(|| find(group, "*"))
            .or_else(|| find("*", "*"))
    }

    pub(super) fn seal(
        &self,
        group: &str,
        plural: &str,
        key: &[u8],
        value: Bytes,
    ) -> Result<Bytes, String> {
        match self.providers(group, plural).and_then(<[Provider]>::first) {
            None | Some(Provider::Identity) => Ok(value),
            Some(Provider::Keyed(keyed)) => keyed.seal(key, &value).map(Bytes::from),
        }
    }

    pub(super) fn open(
        &self,
        group: &str,
        plural: &str,
        key: &[u8],
        stored: Bytes,
    ) -> Result<Opened, String> {
        let is_sealed = stored.starts_with(SEALED);
        let Some(providers) = self.providers(group, plural) else {
            return if is_sealed {
                Err("identity transformer tried to read encrypted data".to_owned())
            } else {
                Ok(plain(stored, false))
            };
        };
        let mut faults = Vec::new();
        for (at, provider) in providers.iter().enumerate() {
            match provider {
                Provider::Identity if is_sealed => {}
                Provider::Identity => return Ok(plain(stored, at > 0)),
                Provider::Keyed(keyed) => {
                    let Some(sealed) = stored.strip_prefix(keyed.prefix.as_bytes()) else {
                        continue;
                    };
                    match keyed.open(key, sealed) {
                        Ok((value, is_first)) => {
                            return Ok(plain(value.into(), at > 0 || !is_first));
                        }
                        Err(fault) => faults.push(fault),
                    }
                }
            }
        }
        Err(told(faults, "no matching prefix found"))
    }
}

fn plain(value: Bytes, is_stale: bool) -> Opened {
    Opened { value, is_stale }
}

/// Several faults as one text, each once.
fn told(faults: Vec<String>, none: &str) -> String {
    let mut different: Vec<String> = Vec::new();
    for fault in faults {
        if !different.contains(&fault) {
            different.push(fault);
        }
    }
    match different.as_slice() {
        [] => none.to_owned(),
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    }
}

impl Keyed {
    fn seal(&self, key: &[u8], value: &[u8]) -> Result<Vec<u8>, String> {
        let (name, cipher) = self.keys.first().expect("a provider has a key");
        let sealed = cipher.seal(value, key)?;
        Ok([self.prefix.as_bytes(), name.as_bytes(), b":", &sealed].concat())
    }

    /// The value, and whether the key that seals is the one that it was sealed by.
    fn open(&self, key: &[u8], sealed: &[u8]) -> Result<(Vec<u8>, bool), String> {
        let mut faults = Vec::new();
        for (at, (name, cipher)) in self.keys.iter().enumerate() {
            let rest = sealed
                .strip_prefix(name.as_bytes())
                .and_then(|rest| rest.strip_prefix(b":"));
            let Some(rest) = rest else { continue };
            match cipher.open(rest, key) {
                Ok(value) => return Ok((value, at == 0)),
                Err(fault) => faults.push(fault),
            }
        }
        Err(told(faults, self.unknown))
    }
}

/// Group and plural name of `deployments.apps`, `secrets`, `*.apps`, `*.` and `*.*`.
pub(super) fn parse_resource(text: &str) -> (&str, &str) {
    match text.split_once('.') {
        Some((plural, group)) => (group, plural),
        None => ("", text),
    }
}

fn text(group: &str, plural: &str) -> String {
    match (group, plural) {
        ("", "*") => "*.".to_owned(),
        ("", plural) => plural.to_owned(),
        (group, plural) => format!("{plural}.{group}"),
    }
}
