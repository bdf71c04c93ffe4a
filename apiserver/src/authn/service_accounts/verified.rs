//! Signatures that were found good, so that each is checked once: what a token says is judged anew for every request.

use std::collections::HashMap;

use jsonwebtoken::{Validation, decode, decode_header};
use objects::Value;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use super::claims::Claims;
use crate::authn::keys::PublicKey;

/// How many tokens are remembered at least, and twice as many at most.
const TOKENS_MAX: usize = 8192;

/// Claims by the digests of their tokens. What was not used for long is forgotten.
#[derive(Default)]
pub(super) struct Verified {
    generations: Mutex<Generations>,
}

#[derive(Default)]
struct Generations {
    young: HashMap<[u8; 32], Claims>,
    old: HashMap<[u8; 32], Claims>,
}

impl Generations {
    fn get(&mut self, digest: &[u8; 32]) -> Option<Claims> {
        if let Some(claims) = self.young.get(digest) {
            return Some(claims.clone());
        }
        let claims = self.old.remove(digest)?;
        self.put(*digest, claims.clone());
        Some(claims)
    }

    fn put(&mut self, digest: [u8; 32], claims: Claims) {
        if self.young.len() >= TOKENS_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(digest, claims);
    }
}

impl Verified {
    /// The claims of a token; nothing if it is no signed token at all.
    ///
    /// # Errors
    /// Why the signature is not good.
    pub(super) fn claims(&self, token: &str, keys: &[PublicKey]) -> Result<Option<Claims>, String> {
        let digest: [u8; 32] = Sha256::digest(token).into();
        if let Some(claims) = self.generations.lock().get(&digest) {
            return Ok(Some(claims));
        }
        let claims = verify(token, keys)?;
        if let Some(claims) = &claims {
            self.generations.lock().put(digest, claims.clone());
        }
        Ok(claims)
    }
}

fn verify(token: &str, keys: &[PublicKey]) -> Result<Option<Claims>, String> {
    let Ok(header) = decode_header(token) else {
        return Ok(None);
    };
    let named = |key: &&PublicKey| header.kid.as_ref().is_none_or(|id| *id == key.id);
    let mut tried = false;
    for key in keys.iter().filter(named) {
        tried = true;
        if !key.fits(header.alg) {
            continue;
        }
        // The times and audiences are judged by the callers, at the time of each request.
        let mut validation = Validation::new(header.alg);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        if let Ok(data) = decode::<Value>(token, &key.decoding, &validation) {
            return Ok(Some(Claims(data.claims)));
        }
    }
    let why = if tried {
        "go-jose/go-jose: error in cryptographic primitive"
    } else {
        "invalid signature, no keys found"
    };
    Err(why.to_owned())
}
