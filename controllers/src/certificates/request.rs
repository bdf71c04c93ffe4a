//! What a request for a certificate says, and whether it was made by who holds the key.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{AlgorithmIdentifier, CertificateSigningRequestDer};

use crate::der::{self, Parts};

const EXTENSIONS_OF_REQUEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e];
pub(super) const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ORGANIZATION: &[u8] = &[0x55, 0x04, 0x0a];

/// Other names of a subject, by kind.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Names {
    pub(super) dns: bool,
    pub(super) email: bool,
    pub(super) address: bool,
    pub(super) uri: bool,
    /// All of these kinds, as they were written.
    pub(super) der: Vec<u8>,
}

/// The request.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Request {
    pub(super) common_name: String,
    pub(super) organizations: Vec<String>,
    pub(super) names: Names,
    /// The subject as it was written.
    pub(super) subject: Vec<u8>,
    /// The public key as it was written.
    pub(super) public_key: Vec<u8>,
    signed: Vec<u8>,
    algorithm: Vec<u8>,
    signature: Vec<u8>,
}

impl Request {
    /// Reads the first block of a PEM text.
    ///
    /// # Errors
    ///
    /// If it is no request.
    pub(super) fn parse(pem: &[u8]) -> Result<Request, String> {
        let der = CertificateSigningRequestDer::from_pem_slice(pem)
            .map_err(|_| "PEM block type must be CERTIFICATE REQUEST".to_owned())?;
        Request::read(&der).ok_or_else(|| "the request for a certificate is damaged".to_owned())
    }

    fn read(der: &[u8]) -> Option<Request> {
        let mut all = Parts(der).enter(der::SEQUENCE)?;
        let signed = all.tagged(der::SEQUENCE)?;
        let algorithm = all.tagged(der::SEQUENCE)?;
        let signature = all.bits()?;
        let mut info = Parts(signed.content);
        let _version = info.tagged(der::INTEGER)?;
        let subject = info.tagged(der::SEQUENCE)?;
        let public_key = info.tagged(der::SEQUENCE)?;
        let attributes = info.enter(der::place(0)).unwrap_or(Parts(&[]));
        Some(Request {
            common_name: texts(subject.content, COMMON_NAME)
                .pop()
                .unwrap_or_default(),
            organizations: texts(subject.content, ORGANIZATION),
            names: names(attributes)?,
            subject: subject.whole.to_vec(),
            public_key: public_key.whole.to_vec(),
            signed: signed.whole.to_vec(),
            algorithm: algorithm.content.to_vec(),
            signature: signature.to_vec(),
        })
    }

    /// Whether who made it holds the private key of the public one.
    pub(super) fn is_genuine(&self) -> bool {
        let key = || {
            let mut key = Parts(&self.public_key).enter(der::SEQUENCE)?;
            Some((key.tagged(der::SEQUENCE)?.content, key.bits()?))
        };
        let Some((kind, key)) = key() else {
            return false;
        };
        let told = |known: AlgorithmIdentifier, found: &[u8]| known.as_ref() == found;
        let provider = rustls::crypto::ring::default_provider();
        let mut fitting = provider
            .signature_verification_algorithms
            .all
            .iter()
            .filter(|way| {
                told(way.public_key_alg_id(), kind) && told(way.signature_alg_id(), &self.algorithm)
            });
        fitting.any(|way| {
            way.verify_signature(key, &self.signed, &self.signature)
                .is_ok()
        })
    }
}

/// The values of an attribute of a name.
fn texts(name: &[u8], attribute: &[u8]) -> Vec<String> {
    let sets = Parts(name).filter(|set| set.tag == der::SET);
    sets.flat_map(|set| Parts(set.content))
        .filter_map(|pair| {
            let mut pair = Parts(pair.content);
            let kind = pair.tagged(der::OID)?;
            let value = pair.next()?;
            (kind.content == attribute).then(|| String::from_utf8_lossy(value.content).into_owned())
        })
        .collect()
}

/// The other names that a request asks for.
fn names(attributes: Parts<'_>) -> Option<Names> {
    let mut names = Names::default();
    for attribute in attributes {
        let mut attribute = Parts(attribute.content);
        if attribute.tagged(der::OID)?.content != EXTENSIONS_OF_REQUEST {
            continue;
        }
        let extensions = attribute.enter(der::SET)?.enter(der::SEQUENCE)?;
        for extension in extensions {
            let mut extension = Parts(extension.content);
            let kind = extension.tagged(der::OID)?.content;
            let _is_critical = extension.tagged(der::BOOLEAN);
            let value = extension.tagged(der::OCTET_STRING)?.content;
            if kind != ALTERNATIVE_NAMES {
                continue;
            }
            for name in Parts(value).enter(der::SEQUENCE)? {
                let place = match name.tag {
                    tag if tag == der::flat(1) => &mut names.email,
                    tag if tag == der::flat(2) => &mut names.dns,
                    tag if tag == der::flat(6) => &mut names.uri,
                    tag if tag == der::flat(7) => &mut names.address,
                    _ => continue,
                };
                *place = true;
                names.der.extend_from_slice(name.whole);
            }
        }
    }
    Some(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificates::samples;

    #[test]
    fn a_request_tells_its_subject_its_names_and_whether_it_is_genuine() {
        let pem = samples::request("system:node:a", &["system:nodes", "b"], &["a.b", "1.2.3.4"]);
        let request = Request::parse(pem.as_bytes()).unwrap();
        assert_eq!(request.common_name, "system:node:a");
        assert_eq!(request.organizations, ["system:nodes", "b"]);
        assert!(request.names.dns && request.names.address);
        assert!(!request.names.email && !request.names.uri);
        assert!(request.is_genuine());
        let mut forged = request.clone();
        let last = forged.signed.len() - 1;
        forged.signed[last] ^= 1;
        assert!(!forged.is_genuine());
        forged = request;
        forged.public_key = samples::other_public_key();
        assert!(!forged.is_genuine());
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for text in [
            "",
            "x",
            "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n",
            "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
        ] {
            assert!(Request::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
