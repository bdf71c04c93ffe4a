//! What is asked of a certificate or a revocation list beyond what the TLS library tells (RFC 5280).

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::der::{self, Reader};

const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];

/// A certificate's serial number without leading zeros.
pub(super) type Serial = Vec<u8>;

/// What we read of a certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Certificate {
    pub(super) serial: Serial,
    /// Of the subject; the last one, as with Go, and empty when there is none.
    pub(super) common_name: String,
    pub(super) dns_names: Vec<String>,
    pub(super) ip_addresses: Vec<IpAddr>,
}

impl Certificate {
    /// None for what is no certificate.
    pub(super) fn read(bytes: &[u8]) -> Option<Certificate> {
        let mut body = Reader::new(bytes)
            .enter(der::SEQUENCE)?
            .enter(der::SEQUENCE)?;
        body.take_if(der::inside(0));
        let mut certificate = Certificate {
            serial: serial(body.expect(der::INTEGER)?),
            ..Certificate::default()
        };
        for _ in ["algorithm", "issuer", "validity"] {
            body.expect(der::SEQUENCE)?;
        }
        certificate.common_name = common_name(body.enter(der::SEQUENCE)?)?;
        body.expect(der::SEQUENCE)?;
        body.take_if(der::plain(1));
        body.take_if(der::plain(2));
        if let Some(extensions) = body.take_if(der::inside(3)) {
            certificate.read_names(Reader::new(extensions).enter(der::SEQUENCE)?)?;
        }
        Some(certificate)
    }

    /// Whether it names a host, which may be an address. A `*` stands for the first label and for no other.
    pub(super) fn is_good_for(&self, host: &str) -> bool {
        if let Ok(address) = host.parse::<IpAddr>() {
            return self.ip_addresses.contains(&address);
        }
        let host = host.trim_end_matches('.');
        self.dns_names.iter().any(|name| {
            let name = name.trim_end_matches('.');
            let behind_star = name.strip_prefix("*.").zip(host.split_once('.'));
            name.eq_ignore_ascii_case(host)
                || behind_star.is_some_and(|(name, (label, host))| {
                    !label.is_empty() && name.eq_ignore_ascii_case(host)
                })
        })
    }

    fn read_names(&mut self, mut extensions: Reader<'_>) -> Option<()> {
        while !extensions.is_empty() {
            let mut extension = extensions.enter(der::SEQUENCE)?;
            if extension.expect(der::OBJECT_ID)? != SUBJECT_ALT_NAME {
                continue;
            }
            // Whether it is critical.
            extension.take_if(0x01);
            let mut names =
                Reader::new(extension.expect(der::OCTET_STRING)?).enter(der::SEQUENCE)?;
            while let Some((tag, name)) = names.next() {
                if tag == der::plain(2) {
                    self.dns_names
                        .push(String::from_utf8_lossy(name).into_owned());
                } else if tag == der::plain(7) {
                    self.ip_addresses.extend(address(name));
                }
            }
        }
        Some(())
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        return Some(IpAddr::from(octets));
    }
    <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
}

fn serial(integer: &[u8]) -> Serial {
    let zeros = integer.iter().take_while(|byte| **byte == 0).count();
    integer[zeros..].to_vec()
}

/// None when there is one that cannot be read: who calls itself so must not be taken for somebody without a name.
fn common_name(mut subject: Reader<'_>) -> Option<String> {
    let mut found = String::new();
    while let Some(mut set) = subject.enter(der::SET) {
        while let Some(mut attribute) = set.enter(der::SEQUENCE) {
            if attribute.expect(der::OBJECT_ID) == Some(COMMON_NAME)
                && let Some((kind, text)) = attribute.next()
            {
                found = der::text(kind, text)?;
            }
        }
    }
    Some(found)
}

/// The serial numbers of a revocation list; None for what is no list.
pub(super) fn revoked(bytes: &[u8]) -> Option<BTreeSet<Serial>> {
    let mut list = Reader::new(bytes)
        .enter(der::SEQUENCE)?
        .enter(der::SEQUENCE)?;
    list.take_if(der::INTEGER);
    list.expect(der::SEQUENCE)?;
    list.expect(der::SEQUENCE)?;
    let mut times = 0;
    while list.take_if(der::UTC_TIME).is_some() || list.take_if(der::GENERALIZED_TIME).is_some() {
        times += 1;
    }
    if times == 0 {
        return None;
    }
    let mut serials = BTreeSet::new();
    if let Some(entries) = list.take_if(der::SEQUENCE) {
        let mut entries = Reader::new(entries);
        while !entries.is_empty() {
            serials.insert(serial(entries.enter(der::SEQUENCE)?.expect(der::INTEGER)?));
        }
    }
    Some(serials)
}
