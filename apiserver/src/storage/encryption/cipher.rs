//! The ciphers, each with one key: bytes in the layout that a kube-apiserver stores.

use std::fmt;

use aes::cipher::block_padding::{NoPadding, Pkcs7};
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use aes::{Aes128, Aes192, Aes256};
use aes_gcm::aead::consts::U12;
use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{AesGcm, Nonce};
use crypto_secretbox::XSalsa20Poly1305;
use crypto_secretbox::aead::{Aead as _, KeyInit as _};
use zeroize::Zeroizing;

const GCM_NONCE_BYTES: usize = 12;
const BLOCK_BYTES: usize = 16;
const SECRETBOX_NONCE_BYTES: usize = 24;
const SECRETBOX_TAG_BYTES: usize = 16;

/// Stored bytes that cannot hold even what surrounds a value.
const TOO_SHORT: &str = "the stored data was shorter than the required size";

/// A way to seal bytes with one key.
pub(super) enum Cipher {
    Gcm128(Box<AesGcm<Aes128, U12>>),
    Gcm192(Box<AesGcm<Aes192, U12>>),
    Gcm256(Box<AesGcm<Aes256, U12>>),
    Cbc(Zeroizing<Vec<u8>>),
    Secretbox(Box<XSalsa20Poly1305>),
}

impl fmt::Debug for Cipher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Cipher")
    }
}

impl Cipher {
    /// AES in GCM; none if no AES has a key of that length.
    pub(super) fn gcm(key: &[u8]) -> Option<Cipher> {
        Some(match key.len() {
            16 => Cipher::Gcm128(Box::new(AesGcm::new_from_slice(key).ok()?)),
            24 => Cipher::Gcm192(Box::new(AesGcm::new_from_slice(key).ok()?)),
            32 => Cipher::Gcm256(Box::new(AesGcm::new_from_slice(key).ok()?)),
            _ => return None,
        })
    }

    /// AES in CBC; none if no AES has a key of that length.
    pub(super) fn cbc(key: &[u8]) -> Option<Cipher> {
        matches!(key.len(), 16 | 24 | 32).then(|| Cipher::Cbc(Zeroizing::new(key.to_vec())))
    }

    /// NaCl's secretbox; none if the key is not of 32 bytes.
    pub(super) fn secretbox(key: &[u8]) -> Option<Cipher> {
        let key = crypto_secretbox::Key::from_exact_iter(key.iter().copied())?;
        Some(Cipher::Secretbox(Box::new(XSalsa20Poly1305::new(&key))))
    }

    /// Seals a value. `place` is the key in the store, outside of which an authenticated value is not opened.
    pub(super) fn seal(&self, value: &[u8], place: &[u8]) -> Result<Vec<u8>, String> {
        match self {
            Cipher::Gcm128(aead) => seal_gcm(&**aead, value, place),
            Cipher::Gcm192(aead) => seal_gcm(&**aead, value, place),
            Cipher::Gcm256(aead) => seal_gcm(&**aead, value, place),
            Cipher::Cbc(key) => match key.len() {
                16 => seal_cbc::<cbc::Encryptor<Aes128>>(key, value),
                24 => seal_cbc::<cbc::Encryptor<Aes192>>(key, value),
                _ => seal_cbc::<cbc::Encryptor<Aes256>>(key, value),
            },
            Cipher::Secretbox(secretbox) => {
                let nonce = random::<SECRETBOX_NONCE_BYTES>()?;
                let sealed = secretbox.encrypt(&nonce.into(), value);
                Ok([&nonce[..], &sealed.map_err(|_too_long| too_long())?].concat())
            }
        }
    }

    /// Opens what was sealed at a place.
    pub(super) fn open(&self, sealed: &[u8], place: &[u8]) -> Result<Vec<u8>, String> {
        match self {
            Cipher::Gcm128(aead) => open_gcm(&**aead, sealed, place),
            Cipher::Gcm192(aead) => open_gcm(&**aead, sealed, place),
            Cipher::Gcm256(aead) => open_gcm(&**aead, sealed, place),
            Cipher::Cbc(key) => match key.len() {
                16 => open_cbc::<cbc::Decryptor<Aes128>>(key, sealed),
                24 => open_cbc::<cbc::Decryptor<Aes192>>(key, sealed),
                _ => open_cbc::<cbc::Decryptor<Aes256>>(key, sealed),
            },
            Cipher::Secretbox(secretbox) => {
                if sealed.len() < SECRETBOX_NONCE_BYTES + SECRETBOX_TAG_BYTES {
                    return Err(TOO_SHORT.to_owned());
                }
                let (nonce, sealed) = sealed
                    .split_first_chunk::<SECRETBOX_NONCE_BYTES>()
                    .expect("it is longer than a nonce");
                // Upstream's words for a tag that does not fit.
                secretbox.decrypt(nonce.into(), sealed).map_err(|_forged| {
                    "output array was not large enough for encryption".to_owned()
                })
            }
        }
    }
}

fn random<const BYTES: usize>() -> Result<[u8; BYTES], String> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes)
        .map_err(|error| format!("the system has no randomness: {error}"))?;
    Ok(bytes)
}

fn too_long() -> String {
    "the value is too long to be sealed".to_owned()
}

fn seal_gcm(
    aead: &impl Aead<NonceSize = U12>,
    value: &[u8],
    place: &[u8],
) -> Result<Vec<u8>, String> {
    let nonce = random::<GCM_NONCE_BYTES>()?;
    let payload = Payload {
        msg: value,
        aad: place,
    };
    let sealed = aead
        .encrypt(&Nonce::from(nonce), payload)
        .map_err(|_too_long| too_long())?;
    Ok([&nonce[..], &sealed].concat())
}

fn open_gcm(
    aead: &impl Aead<NonceSize = U12>,
    sealed: &[u8],
    place: &[u8],
) -> Result<Vec<u8>, String> {
    let (nonce, sealed) = sealed
        .split_first_chunk::<GCM_NONCE_BYTES>()
        .ok_or_else(|| TOO_SHORT.to_owned())?;
    let payload = Payload {
        msg: sealed,
        aad: place,
    };
    aead.decrypt(&Nonce::from(*nonce), payload)
        .map_err(|_forged| "cipher: message authentication failed".to_owned())
}

fn seal_cbc<C: KeyIvInit + BlockModeEncrypt>(key: &[u8], value: &[u8]) -> Result<Vec<u8>, String> {
    let iv = random::<BLOCK_BYTES>()?;
    let cipher = C::new_from_slices(key, &iv).map_err(|error| error.to_string())?;
    let sealed = cipher.encrypt_padded_vec::<Pkcs7>(value);
    Ok([&iv[..], &sealed].concat())
}

fn open_cbc<C: KeyIvInit + BlockModeDecrypt>(key: &[u8], sealed: &[u8]) -> Result<Vec<u8>, String> {
    let (iv, sealed) = sealed
        .split_first_chunk::<BLOCK_BYTES>()
        .ok_or_else(|| TOO_SHORT.to_owned())?;
    let cipher = C::new_from_slices(key, iv).map_err(|error| error.to_string())?;
    let mut value = cipher
        .decrypt_padded_vec::<NoPadding>(sealed)
        .map_err(|_uneven| "the stored data is not a multiple of the block size".to_owned())?;
    let padding = usize::from(value.last().copied().unwrap_or(0));
    if padding == 0 || padding > value.len() {
        return Err("invalid PKCS7 data (empty or not padded)".to_owned());
    }
    let end = value.len() - padding;
    if value[end..]
        .iter()
        .any(|byte| usize::from(*byte) != padding)
    {
        return Err("invalid padding on input".to_owned());
    }
    value.truncate(end);
    Ok(value)
}
