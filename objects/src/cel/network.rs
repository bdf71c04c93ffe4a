//! Addresses and networks as expressions see them.

use std::net::IpAddr;

use super::eval::Error;

/// An address and how many of its leading bits are the network's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    pub ip: IpAddr,
    pub bits: u8,
}

/// Text as an address. Zones and IPv4 within IPv6 are refused.
pub(super) fn parse_ip(text: &str) -> Result<IpAddr, Error> {
    if text.contains('%') {
        return Err(Error::new(format!(
            "IP address {text:?} with zone value is not allowed"
        )));
    }
    match text.parse() {
        Ok(IpAddr::V6(ip)) if ip.to_ipv4_mapped().is_some() => Err(Error::new(format!(
            "IPv4-mapped IPv6 address {text:?} is not allowed"
        ))),
        Ok(ip) => Ok(ip),
        Err(_) => Err(Error::new(format!(
            "IP Address {text:?} parse error during conversion from string: ParseAddr({text:?}): unable to parse IP"
        ))),
    }
}

pub(super) fn parse_cidr(text: &str) -> Result<Cidr, Error> {
    let fault = |why: &str| {
        Error::new(format!(
            "network address parse error during conversion from string: network address parse error during conversion from string: netip.ParsePrefix({text:?}): {why}"
        ))
    };
    let (address, bits) = text.rsplit_once('/').ok_or_else(|| fault("no '/'"))?;
    let ip: IpAddr = address
        .parse()
        .ok()
        .ok_or_else(|| fault(&format!("ParseAddr({address:?}): unable to parse IP")))?;
    if matches!(ip, IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some()) {
        return Err(Error::new(format!(
            "IPv4-mapped IPv6 address {text:?} is not allowed"
        )));
    }
    let plain = !bits.is_empty()
        && bits.bytes().all(|digit| digit.is_ascii_digit())
        && (bits == "0" || !bits.starts_with('0'));
    let bits = bits
        .parse::<u8>()
        .ok()
        .filter(|_| plain)
        .ok_or_else(|| fault(&format!("bad bits after slash: {bits:?}")))?;
    if bits > if ip.is_ipv4() { 32 } else { 128 } {
        return Err(fault("prefix length out of range"));
    }
    Ok(Cidr { ip, bits })
}

impl Cidr {
    fn mask(self, ip: IpAddr) -> IpAddr {
        match ip {
            IpAddr::V4(ip) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0);
                IpAddr::V4((u32::from(ip) & mask).into())
            }
            IpAddr::V6(ip) => {
                let mask = u128::MAX
                    .checked_shl(128 - u32::from(self.bits))
                    .unwrap_or(0);
                IpAddr::V6((u128::from(ip) & mask).into())
            }
        }
    }

    pub(super) fn masked(self) -> Cidr {
        Cidr {
            ip: self.mask(self.ip),
            bits: self.bits,
        }
    }

    pub(super) fn contains(self, ip: IpAddr) -> bool {
        self.ip.is_ipv4() == ip.is_ipv4() && self.mask(self.ip) == self.mask(ip)
    }

    pub(super) fn contains_network(self, other: Cidr) -> bool {
        self.bits <= other.bits && self.contains(other.masked().ip)
    }
}

/// What a method of an address says.
pub(super) fn about(ip: IpAddr, method: &str) -> Option<bool> {
    let link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.segments()[0] & 0xffc0 == 0xfe80,
    };
    let link_local_multicast = match ip {
        IpAddr::V4(ip) => ip.octets()[..3] == [224, 0, 0],
        IpAddr::V6(ip) => ip.segments()[0] & 0xff0f == 0xff02,
    };
    let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    Some(match method {
        "isUnspecified" => ip.is_unspecified(),
        "isLoopback" => ip.is_loopback(),
        "isLinkLocalMulticast" => link_local_multicast,
        "isLinkLocalUnicast" => link_local,
        "isGlobalUnicast" => {
            !(ip.is_unspecified()
                || ip.is_loopback()
                || ip.is_multicast()
                || link_local
                || broadcast)
        }
        _ => return None,
    })
}
