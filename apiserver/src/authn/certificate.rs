//! Who a client certificate says somebody is: the common name is the user, the organizations are the groups.

use rustls::pki_types::pem::{PemObject, SectionKind};
use sha2::{Digest, Sha256};
use time::{Date, Month, Time, UtcDateTime};

use super::der::{Reader, tag};
use crate::user::User;

/// Where the user's extra fields tell by what somebody was recognized.
pub(super) const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";

const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ORGANIZATION: &[u8] = &[0x55, 0x04, 0x0a];
/// Kubernetes' own attribute for a user's uid: 1.3.6.1.4.1.57683.2.
const UID: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xc2, 0x53, 0x02];

/// The user of a certificate whose chain was verified already; nobody if it has no common name. A connection may outlive its
/// certificate, so the time is checked for each request.
///
/// # Errors
/// Why the certificate is refused.
pub(super) fn identify(certificate: &[u8], now_seconds: i64) -> Result<Option<User>, String> {
    let parts = read(certificate).ok_or("the client certificate cannot be read")?;
    if now_seconds < parts.not_before_seconds || now_seconds > parts.not_after_seconds {
        return Err("x509: certificate has expired or is not yet valid".to_owned());
    }
    if parts.common_name.is_empty() {
        return Ok(None);
    }
    let uid = match parts.uids.as_slice() {
        [] => String::new(),
        [only] if only.is_empty() => return Err("UID cannot be an empty string".to_owned()),
        [only] => only.clone(),
        several => {
            let told = several.join(" ");
            return Err(format!("expected 1 UID, but found multiple: [{told}]"));
        }
    };
    let digest: String = Sha256::digest(certificate)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let credential = (
        CREDENTIAL_ID.to_owned(),
        vec![format!("X509SHA256={digest}")],
    );
    Ok(Some(User {
        name: parts.common_name,
        uid,
        groups: parts.organizations,
        extra: [credential].into(),
    }))
}

#[derive(Default)]
struct Parts {
    not_before_seconds: i64,
    not_after_seconds: i64,
    common_name: String,
    organizations: Vec<String>,
    uids: Vec<String>,
}

fn read(certificate: &[u8]) -> Option<Parts> {
    let mut signed = Reader::new(certificate)
        .enter(tag::SEQUENCE)?
        .enter(tag::SEQUENCE)?;
    let _version = signed.take(tag::CONTEXT_0);
    let _serial = signed.take(tag::INTEGER)?;
    let _algorithm = signed.take(tag::SEQUENCE)?;
    let _issuer = signed.take(tag::SEQUENCE)?;
    let mut validity = signed.enter(tag::SEQUENCE)?;
    let mut parts = Parts {
        not_before_seconds: seconds(validity.any()?)?,
        not_after_seconds: seconds(validity.any()?)?,
        ..Parts::default()
    };
    read_subject(signed.enter(tag::SEQUENCE)?, &mut parts)?;
    Some(parts)
}

/// The organizations that a request for a certificate asks for, as PEM.
pub(crate) fn request_organizations(pem: &[u8]) -> Option<Vec<String>> {
    request_parts(pem).map(|parts| parts.organizations)
}

/// The common name that a request for a certificate asks for, as PEM.
pub(crate) fn request_common_name(pem: &[u8]) -> Option<String> {
    request_parts(pem).map(|parts| parts.common_name)
}

fn request_parts(pem: &[u8]) -> Option<Parts> {
    let (kind, request) = <(SectionKind, Vec<u8>)>::from_pem_slice(pem).ok()?;
    if kind != SectionKind::Csr {
        return None;
    }
    let mut asked = Reader::new(&request)
        .enter(tag::SEQUENCE)?
        .enter(tag::SEQUENCE)?;
    let _version = asked.take(tag::INTEGER)?;
    let mut parts = Parts::default();
    read_subject(asked.enter(tag::SEQUENCE)?, &mut parts)?;
    Some(parts)
}

fn read_subject(mut subject: Reader<'_>, parts: &mut Parts) -> Option<()> {
    while !subject.is_empty() {
        let mut set = subject.enter(tag::SET)?;
        while !set.is_empty() {
            let mut attribute = set.enter(tag::SEQUENCE)?;
            let kind = attribute.take(tag::OID)?;
            let value = attribute.any()?;
            match kind {
                COMMON_NAME => parts.common_name = text(value)?,
                ORGANIZATION => parts.organizations.push(text(value)?),
                UID => parts.uids.push(text(value)?),
                _ => {}
            }
        }
    }
    Some(())
}

/// A text in one of DER's kinds of text.
fn text((kind, bytes): (u8, &[u8])) -> Option<String> {
    match kind {
        tag::UTF8_STRING => String::from_utf8(bytes.to_vec()).ok(),
        tag::PRINTABLE_STRING | tag::IA5_STRING | tag::NUMERIC_STRING => bytes
            .is_ascii()
            .then(|| bytes.iter().map(|byte| char::from(*byte)).collect()),
        tag::T61_STRING => Some(bytes.iter().map(|byte| char::from(*byte)).collect()),
        tag::BMP_STRING => {
            let (pairs, odd) = bytes.as_chunks::<2>();
            let units: Vec<u16> = pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
            String::from_utf16(&units).ok().filter(|_| odd.is_empty())
        }
        _ => None,
    }
}

/// `YYMMDDhhmmssZ`, or the same with a year of four digits, as seconds since 1970.
fn seconds((kind, bytes): (u8, &[u8])) -> Option<i64> {
    let digits = bytes.strip_suffix(b"Z")?;
    let number = |from: usize, count: usize| {
        let digits = digits.get(from..from + count)?;
        digits.iter().try_fold(0_u16, |sum, digit| {
            digit
                .is_ascii_digit()
                .then(|| sum * 10 + u16::from(digit - b'0'))
        })
    };
    let small = |from: usize| u8::try_from(number(from, 2)?).ok();
    let (year, at) = match kind {
        // Two digits stand for the years from 1950 to 2049.
        tag::UTC_TIME => match number(0, 2)? {
            year if year < 50 => (2000 + year, 2),
            year => (1900 + year, 2),
        },
        tag::GENERALIZED_TIME => (number(0, 4)?, 4),
        _ => return None,
    };
    if digits.len() != at + 10 {
        return None;
    }
    let month = Month::try_from(small(at)?).ok()?;
    let date = Date::from_calendar_date(i32::from(year), month, small(at + 2)?).ok()?;
    let time = Time::from_hms(small(at + 4)?, small(at + 6)?, small(at + 8)?).ok()?;
    Some(UtcDateTime::new(date, time).unix_timestamp())
}

#[cfg(test)]
mod tests;
