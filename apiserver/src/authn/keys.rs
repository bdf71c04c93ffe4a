//! Keys of service account tokens: read from PEM, named as upstream names them, shown as a JSON web key.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use objects::Value;
use rustls::pki_types::pem::{PemObject, SectionKind};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::der::{Reader, bits, element, number, tag};

const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];

/// The first byte of a point that is not compressed.
const UNCOMPRESSED: u8 = 4;

/// The curves that tokens are signed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Curve {
    P256,
    P384,
}

impl Curve {
    fn of(oid: &[u8]) -> Option<Curve> {
        match oid {
            P256 => Some(Curve::P256),
            P384 => Some(Curve::P384),
            _ => None,
        }
    }

    fn oid(self) -> &'static [u8] {
        match self {
            Curve::P256 => P256,
            Curve::P384 => P384,
        }
    }

    fn coordinate_bytes(self) -> usize {
        match self {
            Curve::P256 => 32,
            Curve::P384 => 48,
        }
    }
}

/// The numbers of a public key.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Numbers {
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    Ec { curve: Curve, point: Vec<u8> },
}

/// A key that tokens are checked with.
#[derive(Clone)]
pub struct PublicKey {
    numbers: Numbers,
    pub(super) id: String,
    pub(super) decoding: DecodingKey,
}

/// A key that tokens are signed with, and its public half.
pub struct PrivateKey {
    pub(super) public: PublicKey,
    pub(super) encoding: EncodingKey,
}

impl PublicKey {
    fn of(numbers: Numbers) -> PublicKey {
        let digest = Sha256::digest(numbers.to_der());
        let decoding = match &numbers {
            Numbers::Rsa { modulus, exponent } => {
                DecodingKey::from_rsa_raw_components(modulus, exponent)
            }
            Numbers::Ec { point, .. } => DecodingKey::from_ec_der(point),
        };
        PublicKey {
            id: URL_SAFE_NO_PAD.encode(digest),
            numbers,
            decoding,
        }
    }

    /// All keys of a PEM file: public keys, certificates, and the public halves of private keys.
    ///
    /// # Errors
    /// What is wrong with the file, for the operator.
    pub fn parse_pem(text: &[u8]) -> Result<Vec<PublicKey>, String> {
        let mut keys = Vec::new();
        for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(text) {
            let (kind, der) = section.map_err(|fault| format!("the file is no PEM: {fault}"))?;
            let numbers = match kind {
                SectionKind::PublicKey => Numbers::of_public(&der),
                SectionKind::Certificate => Numbers::of_certificate(&der),
                _ => match Private::read(kind, &der) {
                    Some(private) => private.map(|private| private.numbers),
                    None => continue,
                },
            };
            keys.push(PublicKey::of(numbers?));
        }
        if keys.is_empty() {
            return Err("data does not contain any valid RSA or ECDSA public keys".to_owned());
        }
        Ok(keys)
    }

    /// The algorithm that this server signs with such a key.
    pub(super) fn algorithm(&self) -> Algorithm {
        match self.numbers {
            Numbers::Rsa { .. } => Algorithm::RS256,
            Numbers::Ec {
                curve: Curve::P256, ..
            } => Algorithm::ES256,
            Numbers::Ec {
                curve: Curve::P384, ..
            } => Algorithm::ES384,
        }
    }

    /// Whether a token with this algorithm may be signed with such a key.
    pub(super) fn fits(&self, algorithm: Algorithm) -> bool {
        match self.numbers {
            Numbers::Rsa { .. } => matches!(
                algorithm,
                Algorithm::RS256
                    | Algorithm::RS384
                    | Algorithm::RS512
                    | Algorithm::PS256
                    | Algorithm::PS384
                    | Algorithm::PS512
            ),
            Numbers::Ec { .. } => algorithm == self.algorithm(),
        }
    }

    /// The key as others find it at `/openid/v1/jwks`.
    #[must_use]
    pub fn to_jwk(&self) -> Value {
        let algorithm = format!("{:?}", self.algorithm());
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match &self.numbers {
            Numbers::Rsa { modulus, exponent } => json!({
                "use": "sig", "kty": "RSA", "kid": self.id, "alg": algorithm, "n": text(modulus), "e": text(exponent),
            }),
            Numbers::Ec { curve, point } => {
                let (x, y) = point[1..].split_at(curve.coordinate_bytes());
                let curve = match curve {
                    Curve::P256 => "P-256",
                    Curve::P384 => "P-384",
                };
                json!({
                    "use": "sig", "kty": "EC", "kid": self.id, "alg": algorithm, "crv": curve, "x": text(x), "y": text(y),
                })
            }
        }
    }
}

impl PrivateKey {
    /// The first private key of a PEM file.
    ///
    /// # Errors
    /// What is wrong with the file, for the operator.
    pub fn parse_pem(text: &[u8]) -> Result<PrivateKey, String> {
        for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(text) {
            let (kind, der) = section.map_err(|fault| format!("the file is no PEM: {fault}"))?;
            if let Some(private) = Private::read(kind, &der) {
                let private = private?;
                return Ok(PrivateKey {
                    public: PublicKey::of(private.numbers),
                    encoding: private.encoding,
                });
            }
        }
        Err("data does not contain a valid RSA or ECDSA private key".to_owned())
    }
}

impl Numbers {
    /// The form that certificates have, of which the name is a digest.
    fn to_der(&self) -> Vec<u8> {
        let (algorithm, key) = match self {
            Numbers::Rsa { modulus, exponent } => {
                let key = element(tag::SEQUENCE, &[&number(modulus), &number(exponent)]);
                let null = element(tag::NULL, &[]);
                ([element(tag::OID, &[RSA]), null].concat(), key)
            }
            Numbers::Ec { curve, point } => (curve_algorithm(*curve), point.clone()),
        };
        let algorithm = element(tag::SEQUENCE, &[&algorithm]);
        element(tag::SEQUENCE, &[&algorithm, &bits(&key)])
    }

    fn of_public(der: &[u8]) -> Result<Numbers, String> {
        Reader::new(der)
            .enter(tag::SEQUENCE)
            .and_then(Numbers::read)
            .ok_or_else(|| "a public key is neither RSA nor ECDSA on P-256 or P-384".to_owned())
    }

    fn of_certificate(der: &[u8]) -> Result<Numbers, String> {
        let key = || {
            let mut signed = Reader::new(der)
                .enter(tag::SEQUENCE)?
                .enter(tag::SEQUENCE)?;
            let _version = signed.take(tag::CONTEXT_0);
            let _serial = signed.take(tag::INTEGER)?;
            // Algorithm, issuer, validity and subject.
            for _ in 0..4 {
                signed.take(tag::SEQUENCE)?;
            }
            Numbers::read(signed.enter(tag::SEQUENCE)?)
        };
        key().ok_or_else(|| "the key of a certificate cannot be read".to_owned())
    }

    fn read(mut key: Reader<'_>) -> Option<Numbers> {
        let mut algorithm = key.enter(tag::SEQUENCE)?;
        let bytes = key.bits()?;
        match algorithm.take(tag::OID)? {
            RSA => {
                let mut pair = Reader::new(bytes).enter(tag::SEQUENCE)?;
                Some(Numbers::Rsa {
                    modulus: pair.number()?.to_vec(),
                    exponent: pair.number()?.to_vec(),
                })
            }
            EC => Numbers::of_point(Curve::of(algorithm.take(tag::OID)?)?, bytes),
            _ => None,
        }
    }

    fn of_point(curve: Curve, point: &[u8]) -> Option<Numbers> {
        let whole =
            point.first() == Some(&UNCOMPRESSED) && point.len() == 1 + 2 * curve.coordinate_bytes();
        whole.then(|| Numbers::Ec {
            curve,
            point: point.to_vec(),
        })
    }
}

fn curve_algorithm(curve: Curve) -> Vec<u8> {
    [element(tag::OID, &[EC]), element(tag::OID, &[curve.oid()])].concat()
}

/// A private key in the form that it signs with.
struct Private {
    numbers: Numbers,
    encoding: EncodingKey,
}

impl Private {
    /// The key of a section; nothing if the section is no private key.
    fn read(kind: SectionKind, der: &[u8]) -> Option<Result<Private, String>> {
        let key = match kind {
            SectionKind::RsaPrivateKey => Private::rsa(der),
            SectionKind::EcPrivateKey => Private::ec(der, None),
            SectionKind::PrivateKey => Private::wrapped(der),
            _ => return None,
        };
        let fault = "a private key is neither RSA nor ECDSA on P-256 or P-384 with its public half";
        Some(key.ok_or_else(|| fault.to_owned()))
    }

    fn wrapped(der: &[u8]) -> Option<Private> {
        let mut parts = Reader::new(der).enter(tag::SEQUENCE)?;
        let _version = parts.take(tag::INTEGER)?;
        let mut algorithm = parts.enter(tag::SEQUENCE)?;
        let key = parts.take(tag::OCTET_STRING)?;
        match algorithm.take(tag::OID)? {
            RSA => Private::rsa(key),
            EC => Private::ec(key, Curve::of(algorithm.take(tag::OID)?)),
            _ => None,
        }
    }

    fn rsa(der: &[u8]) -> Option<Private> {
        let mut parts = Reader::new(der).enter(tag::SEQUENCE)?;
        let _version = parts.take(tag::INTEGER)?;
        Some(Private {
            numbers: Numbers::Rsa {
                modulus: parts.number()?.to_vec(),
                exponent: parts.number()?.to_vec(),
            },
            encoding: EncodingKey::from_rsa_der(der),
        })
    }

    fn ec(der: &[u8], curve: Option<Curve>) -> Option<Private> {
        let mut parts = Reader::new(der).enter(tag::SEQUENCE)?;
        let _version = parts.take(tag::INTEGER)?;
        let secret = parts.take(tag::OCTET_STRING)?;
        let own = parts
            .enter(tag::CONTEXT_0)
            .and_then(|mut own| Curve::of(own.take(tag::OID)?));
        let curve = curve.or(own)?;
        let point = parts.enter(tag::CONTEXT_1)?.bits()?;
        // ring reads the wrapped form alone, and in it no second name of the curve.
        let one = element(tag::INTEGER, &[&[1]]);
        let secret = element(tag::OCTET_STRING, &[secret]);
        let public = element(tag::CONTEXT_1, &[&bits(point)]);
        let inner = element(tag::SEQUENCE, &[&one, &secret, &public]);
        let zero = element(tag::INTEGER, &[&[0]]);
        let algorithm = element(tag::SEQUENCE, &[&curve_algorithm(curve)]);
        let inner = element(tag::OCTET_STRING, &[&inner]);
        let wrapped = element(tag::SEQUENCE, &[&zero, &algorithm, &inner]);
        Some(Private {
            numbers: Numbers::of_point(curve, point)?,
            encoding: EncodingKey::from_ec_der(&wrapped),
        })
    }
}
