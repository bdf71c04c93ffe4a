//! A private key of a file, which signs certificates and tokens.

use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::sign::SigningKey as Signing;

/// How keys sign, the best first.
const SCHEMES: [SignatureScheme; 4] = [
    SignatureScheme::RSA_PKCS1_SHA256,
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ED25519,
];

/// The key. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct SigningKey {
    key: Arc<dyn Signing>,
    scheme: SignatureScheme,
    public: Vec<u8>,
}

impl SigningKey {
    /// The first private key of a PEM file.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(crate) fn parse(pem: &[u8]) -> Result<SigningKey, String> {
        let private = PrivateKeyDer::from_pem_slice(pem)
            .map_err(|fault| format!("there is no private key: {fault}"))?;
        let key = any_supported_type(&private)
            .map_err(|fault| format!("the private key cannot be used: {fault}"))?;
        let scheme = key.choose_scheme(&SCHEMES).map(|signer| signer.scheme());
        let (Some(scheme), Some(public)) = (scheme, key.public_key()) else {
            return Err("the private key is neither RSA, ECDSA nor Ed25519".to_owned());
        };
        let public = public.to_vec();
        Ok(SigningKey {
            key,
            scheme,
            public,
        })
    }

    pub(crate) fn scheme(&self) -> SignatureScheme {
        self.scheme
    }

    /// The public half as certificates have it.
    pub(crate) fn public_der(&self) -> &[u8] {
        &self.public
    }

    /// The signature of a message.
    ///
    /// # Errors
    ///
    /// If the system has no random bytes, or the key is too short.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        let signer = self.key.choose_scheme(&[self.scheme]);
        let signer = signer.ok_or("the private key does not sign any more")?;
        signer
            .sign(message)
            .map_err(|fault| format!("cannot sign: {fault}"))
    }
}
