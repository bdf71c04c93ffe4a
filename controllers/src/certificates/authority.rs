//! An authority with its key, which signs certificates.

use jiff::civil::DateTime;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use rustls::SignatureScheme;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::request::{ALTERNATIVE_NAMES, Request};
use super::usages::Usages;
use crate::der::{self, Parts, part};
use crate::signing_key::SigningKey;

const SUBJECT_KEY: &[u8] = &[0x55, 0x1d, 0x0e];
const AUTHORITY_KEY: &[u8] = &[0x55, 0x1d, 0x23];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];

/// Certificates begin to hold before they are signed, for clocks that are slow.
const BACKDATE: SignedDuration = SignedDuration::from_mins(5);
/// Certificates with less time than this do not end earlier for that.
const SHORT: SignedDuration = SignedDuration::from_hours(8);
/// Random bytes of a number.
const SERIAL_BYTES: usize = 16;

/// Who signs.
#[derive(Debug, Clone)]
pub(crate) struct Authority {
    key: SigningKey,
    /// As it was written.
    subject: Vec<u8>,
    key_id: Option<Vec<u8>>,
    until: Timestamp,
}

/// What is signed beside the request.
#[derive(Debug)]
pub(super) struct Terms {
    pub(super) usages: Usages,
    pub(super) life: SignedDuration,
    pub(super) now: Timestamp,
    pub(super) serial: [u8; SERIAL_BYTES],
}

impl Authority {
    /// The authority of a certificate and its key, both in PEM.
    ///
    /// # Errors
    ///
    /// If they cannot be read or do not belong together.
    pub(crate) fn parse(certificate: &[u8], key: &[u8]) -> Result<Authority, String> {
        let der = CertificateDer::from_pem_slice(certificate)
            .map_err(|fault| format!("there is no certificate: {fault}"))?;
        let key = SigningKey::parse(key)?;
        let found = Certificate::read(&der).ok_or("the certificate is damaged")?;
        if found.public_key != key.public_der() {
            return Err("the key is not that of the certificate".to_owned());
        }
        Ok(Authority {
            subject: found.subject.to_vec(),
            key_id: found.key_id.map(<[u8]>::to_vec),
            until: found.until,
            key,
        })
    }

    /// Signs a certificate, in DER.
    ///
    /// # Errors
    ///
    /// If the request is not genuine, or the authority has ended.
    pub(super) fn sign(&self, request: &Request, terms: &Terms) -> Result<Vec<u8>, String> {
        if !request.is_genuine() {
            return Err("unable to verify certificate request signature".to_owned());
        }
        let from = terms.now - BACKDATE;
        let end = if terms.life < SHORT {
            terms.now + terms.life
        } else {
            terms.now + terms.life - BACKDATE
        };
        if terms.now >= self.until {
            return Err(format!("the signer has expired: NotAfter={}", self.until));
        }
        let validity = part(
            der::SEQUENCE,
            &[&written(from), &written(end.min(self.until))],
        );
        let algorithm = algorithm(self.key.scheme());
        let signed = part(
            der::SEQUENCE,
            &[
                &part(der::place(0), &[&part(der::INTEGER, &[&[2]])]),
                &serial(terms.serial),
                &algorithm,
                &self.subject,
                &validity,
                &request.subject,
                &request.public_key,
                &part(
                    der::place(3),
                    &[&part(der::SEQUENCE, &[&self.extensions(request, terms)])],
                ),
            ],
        );
        let signature = der::bits(&self.key.sign(&signed)?);
        Ok(part(der::SEQUENCE, &[&signed, &algorithm, &signature]))
    }

    fn extensions(&self, request: &Request, terms: &Terms) -> Vec<u8> {
        let mut all = Vec::new();
        let mut add = |kind: &[u8], is_critical: bool, value: &[u8]| {
            let critical = part(der::BOOLEAN, &[&[0xff]]);
            let critical: &[u8] = if is_critical { &critical } else { &[] };
            let kind = part(der::OID, &[kind]);
            let value = part(der::OCTET_STRING, &[value]);
            all.extend(part(der::SEQUENCE, &[&kind, critical, &value]));
        };
        if let Some(bits) = terms.usages.bits() {
            add(KEY_USAGE, true, &bits);
        }
        let extended = terms.usages.extended();
        if !extended.is_empty() {
            let extended: Vec<u8> = extended
                .iter()
                .flat_map(|oid| part(der::OID, &[oid]))
                .collect();
            let extended = part(der::SEQUENCE, &[&extended]);
            add(EXTENDED_KEY_USAGE, false, &extended);
        }
        add(BASIC_CONSTRAINTS, true, &part(der::SEQUENCE, &[]));
        if let Some(id) = &self.key_id {
            let id = part(der::SEQUENCE, &[&part(der::flat(0), &[id])]);
            add(AUTHORITY_KEY, false, &id);
        }
        if !request.names.der.is_empty() {
            let has_no_subject = request.subject == part(der::SEQUENCE, &[]);
            let names = part(der::SEQUENCE, &[&request.names.der]);
            add(ALTERNATIVE_NAMES, has_no_subject, &names);
        }
        all
    }
}

/// When a certificate in PEM ends.
pub(super) fn end_of(pem: &[u8]) -> Option<Timestamp> {
    let der = CertificateDer::from_pem_slice(pem).ok()?;
    Certificate::read(&der).map(|certificate| certificate.until)
}

/// What is looked at of a certificate.
struct Certificate<'a> {
    subject: &'a [u8],
    public_key: &'a [u8],
    key_id: Option<&'a [u8]>,
    until: Timestamp,
}

impl<'a> Certificate<'a> {
    fn read(der: &'a [u8]) -> Option<Certificate<'a>> {
        let mut signed = Parts(der).enter(der::SEQUENCE)?.enter(der::SEQUENCE)?;
        let _version = signed.tagged(der::place(0));
        let _serial = signed.tagged(der::INTEGER)?;
        let _algorithm = signed.tagged(der::SEQUENCE)?;
        let _issuer = signed.tagged(der::SEQUENCE)?;
        let mut validity = signed.enter(der::SEQUENCE)?;
        let _from = validity.next()?;
        let until = read(validity.next()?)?;
        let subject = signed.tagged(der::SEQUENCE)?.whole;
        let public_key = signed.tagged(der::SEQUENCE)?.whole;
        let extensions = signed
            .find(|part| part.tag == der::place(3))
            .and_then(|part| Parts(part.content).enter(der::SEQUENCE));
        let key_id = extensions.into_iter().flatten().find_map(|extension| {
            let mut extension = Parts(extension.content);
            let kind = extension.tagged(der::OID)?.content;
            let _is_critical = extension.tagged(der::BOOLEAN);
            let value = extension.tagged(der::OCTET_STRING)?.content;
            let id = Parts(value).tagged(der::OCTET_STRING)?;
            (kind == SUBJECT_KEY).then_some(id.content)
        });
        Some(Certificate {
            subject,
            public_key,
            key_id,
            until,
        })
    }
}

/// The name of a way to sign.
fn algorithm(scheme: SignatureScheme) -> Vec<u8> {
    const RSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b];
    let oid: &[u8] = match scheme {
        SignatureScheme::ECDSA_NISTP256_SHA256 => &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02],
        SignatureScheme::ECDSA_NISTP384_SHA384 => &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03],
        SignatureScheme::ED25519 => &[0x2b, 0x65, 0x70],
        _ => RSA_SHA256,
    };
    // RSA's has an empty parameter.
    let parameter: &[u8] = if oid == RSA_SHA256 { &[0x05, 0] } else { &[] };
    part(der::SEQUENCE, &[&part(der::OID, &[oid]), parameter])
}

/// A number that is positive and has no leading zeros.
fn serial(mut bytes: [u8; SERIAL_BYTES]) -> Vec<u8> {
    bytes[0] = (bytes[0] & 0x7f) | 0x40;
    part(der::INTEGER, &[&bytes])
}

fn written(at: Timestamp) -> Vec<u8> {
    let at = at.to_zoned(TimeZone::UTC);
    let (tag, format) = if at.year() < 2050 {
        (der::UTC_TIME, "%y%m%d%H%M%SZ")
    } else {
        (der::GENERALIZED_TIME, "%Y%m%d%H%M%SZ")
    };
    part(tag, &[at.strftime(format).to_string().as_bytes()])
}

fn read(part: der::Part<'_>) -> Option<Timestamp> {
    let text = std::str::from_utf8(part.content).ok()?;
    let text = match part.tag {
        // Years of two digits are those of 1950 to 2049.
        der::UTC_TIME if text.get(..2)? < "50" => format!("20{text}"),
        der::UTC_TIME => format!("19{text}"),
        der::GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let time: DateTime = strtime::parse("%Y%m%d%H%M%SZ", text)
        .ok()?
        .to_datetime()
        .ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests;
