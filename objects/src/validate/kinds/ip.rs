//! IP addresses and networks in fields: what upstream takes for one, and what it says of those in an old form.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::view::View;
use crate::invalid::Faults;

const IPV4_BITS: u8 = 32;
const IPV6_BITS: u8 = 128;

/// A network: an address and how many of its bits are the network's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Network {
    pub(crate) address: IpAddr,
    pub(crate) length: u8,
}

/// An address as Go's older parser reads it: numbers may begin with zeros, and an IPv4 address within IPv6 is an IPv4 address.
pub(crate) fn parse(text: &str) -> Option<IpAddr> {
    if text.contains(':') {
        let address: Ipv6Addr = text.parse().ok()?;
        return Some(
            address
                .to_ipv4_mapped()
                .map_or(IpAddr::V6(address), IpAddr::V4),
        );
    }
    let mut octets = [0; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        *octet = digits(parts.next()?)?;
    }
    parts
        .next()
        .is_none()
        .then_some(IpAddr::V4(Ipv4Addr::from(octets)))
}

fn digits(text: &str) -> Option<u8> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// A network as Go's older parser reads it; the address keeps the bits beyond the network.
pub(crate) fn parse_network(text: &str) -> Option<Network> {
    let (address, length) = text.split_once('/')?;
    let mapped = address.contains(':');
    let (address, length) = (parse(address)?, digits(length)?);
    match address {
        IpAddr::V4(_) if mapped => {
            let length = length
                .checked_sub(IPV6_BITS - IPV4_BITS)
                .filter(|_| length <= IPV6_BITS)?;
            Some(Network { address, length })
        }
        IpAddr::V4(_) => (length <= IPV4_BITS).then_some(Network { address, length }),
        IpAddr::V6(_) => (length <= IPV6_BITS).then_some(Network { address, length }),
    }
}

impl Network {
    /// The network's first address.
    pub(crate) fn base(self) -> IpAddr {
        match self.address {
            IpAddr::V4(address) => {
                let mask = u32::MAX
                    .checked_shl(u32::from(IPV4_BITS - self.length))
                    .unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask))
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX
                    .checked_shl(u32::from(IPV6_BITS - self.length))
                    .unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
            }
        }
    }

    pub(crate) fn contains(self, other: Network) -> bool {
        let within = Network {
            address: other.address,
            length: self.length,
        };
        self.address.is_ipv4() == other.address.is_ipv4()
            && self.length <= other.length
            && within.base() == self.base()
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}", self.base(), self.length)
    }
}

pub(crate) fn is_ipv6(text: &str) -> bool {
    parse(text).is_some_and(|address| address.is_ipv6())
}

fn is_mapped(text: &str) -> bool {
    text.parse::<Ipv6Addr>()
        .is_ok_and(|address| address.to_ipv4_mapped().is_some())
}

/// Asks for an address, in a field that takes any form of it but those that are read in two ways.
pub(crate) fn address(view: &View<'_>, old: &[&str], faults: &mut Faults) -> bool {
    let before = faults.len();
    if !old.contains(&view.text()) {
        view_address(view, faults);
    }
    faults.len() == before
}

fn view_address(view: &View<'_>, faults: &mut Faults) {
    let text = view.text();
    if parse(text).is_none() {
        let detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
        faults.push(told(view, detail));
        return;
    }
    if text.parse::<IpAddr>().is_err() {
        faults.push(told(view, "must not have leading 0s"));
    }
    if is_mapped(text) {
        faults.push(told(view, "must not be an IPv4-mapped IPv6 address"));
    }
}

/// A fault of a text, which is empty where there is none.
fn told(view: &View<'_>, detail: impl Into<String>) -> crate::invalid::Invalid {
    crate::invalid::Invalid::value(&view.path, view.text(), detail)
}

/// Asks for an address in the one form that upstream writes.
pub(crate) fn canonical_address(view: &View<'_>, faults: &mut Faults) {
    let before = faults.len();
    view_address(view, faults);
    if let Some(address) = parse(view.text()).filter(|_| faults.len() == before)
        && address.to_string() != view.text()
    {
        faults.push(told(
            view,
            format!("must be in canonical form (\"{address}\")"),
        ));
    }
}

/// Asks for a network, in a field that takes any form of it but those that are read in two ways.
pub(crate) fn network(view: &View<'_>, old: &[&str], faults: &mut Faults) {
    if !old.contains(&view.text()) {
        view_network(view, faults);
    }
}

fn view_network(view: &View<'_>, faults: &mut Faults) {
    let text = view.text();
    let Some(network) = parse_network(text) else {
        let detail = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
        faults.push(told(view, detail));
        return;
    };
    let (address, length) = text.split_once('/').expect("a network has a length");
    if address.parse::<IpAddr>().is_err() || (length.len() > 1 && length.starts_with('0')) {
        faults.push(told(
            view,
            "must not have leading 0s in IP or prefix length",
        ));
    } else if is_mapped(address) {
        faults.push(told(view, "must not have an IPv4-mapped IPv6 address"));
    } else if network.base() != network.address {
        faults.push(told(
            view,
            "must not have bits set beyond the prefix length",
        ));
    }
}

/// Asks for a network in the one form that upstream writes.
pub(crate) fn canonical_network(view: &View<'_>, faults: &mut Faults) {
    let before = faults.len();
    view_network(view, faults);
    if let Some(network) = parse_network(view.text()).filter(|_| faults.len() == before)
        && network.to_string() != view.text()
    {
        faults.push(told(
            view,
            format!("must be in canonical form (\"{network}\")"),
        ));
    }
}

/// Asks that an address is one that traffic can be sent to.
pub(crate) fn endpoint(view: &View<'_>, faults: &mut Faults) {
    let Some(address) = parse(view.text()) else {
        faults.push(told(view, "must be a valid IP address"));
        return;
    };
    let (link_local, link_local_multicast) = match address {
        IpAddr::V4(address) => (
            address.is_link_local(),
            address.octets()[..3] == [224, 0, 0],
        ),
        IpAddr::V6(address) => (
            address.is_unicast_link_local(),
            address.segments()[0] & 0xff0f == 0xff02,
        ),
    };
    if address.is_unspecified() {
        faults.push(told(
            view,
            format!("may not be unspecified ({})", view.text()),
        ));
    }
    for (wrong, detail) in [
        (
            address.is_loopback(),
            "may not be in the loopback range (127.0.0.0/8, ::1/128)",
        ),
        (
            link_local,
            "may not be in the link-local range (169.254.0.0/16, fe80::/10)",
        ),
        (
            link_local_multicast,
            "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)",
        ),
    ] {
        if wrong {
            faults.push(told(view, detail));
        }
    }
}

/// What is told of an address in a form that upstream would not write.
pub(crate) fn address_warning(view: &View<'_>) -> Option<String> {
    let (path, text) = (&view.path, view.text());
    let address = parse(text)?;
    if text.parse::<IpAddr>().is_err() || is_mapped(text) {
        return Some(format!(
            "{path}: non-standard IP address \"{text}\" is invalid: use \"{address}\""
        ));
    }
    (address.is_ipv6() && address.to_string() != text).then(|| {
        format!(
            "{path}: IPv6 address \"{text}\" should be in RFC 5952 canonical format (\"{address}\")"
        )
    })
}

/// What is told of a network in a form that upstream would not write.
pub(crate) fn network_warnings(view: &View<'_>) -> Vec<String> {
    let (path, text) = (&view.path, view.text());
    let Some(network) = parse_network(text) else {
        return Vec::new();
    };
    let mut warnings = Vec::new();
    if network.base() != network.address {
        let single = format!("{}/{}", network.address, network.length);
        warnings.push(format!("{path}: CIDR value \"{text}\" is ambiguous in this context (should be \"{network}\" or \"{single}\"?)"));
    }
    let (address, length) = text.split_once('/').unwrap_or_default();
    let odd = address.parse::<IpAddr>().is_err() || (length.len() > 1 && length.starts_with('0'));
    if odd || is_mapped(address) {
        warnings.push(format!(
            "{path}: non-standard CIDR value \"{text}\" is invalid: use \"{network}\""
        ));
    }
    if warnings.is_empty() && network.address.is_ipv6() && network.to_string() != text {
        warnings.push(format!("{path}: IPv6 CIDR value \"{text}\" should be in RFC 5952 canonical format (\"{network}\")"));
    }
    warnings
}

/// Whether two texts are addresses of both families.
pub(crate) fn is_dual_stack(texts: &[&str]) -> bool {
    texts.iter().any(|text| is_ipv6(text)) && texts.iter().any(|text| !is_ipv6(text))
}
