//! The addresses and ports that services of this cluster may have.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses that share their first bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    first: u128,
    /// Bits behind the shared ones.
    bits: u32,
    is_v6: bool,
}

/// The most bits of a range that are given out: larger ranges are used in part.
const BITS_MAX: u32 = 20;

impl Range {
    fn parse(text: &str) -> Result<Range, String> {
        let bad = || format!("{text:?} is no range of addresses");
        let (address, length) = text.split_once('/').ok_or_else(bad)?;
        let address: IpAddr = address.parse().map_err(|_malformed| bad())?;
        let length: u32 = length.parse().map_err(|_malformed| bad())?;
        let (number, width, is_v6) = match address {
            IpAddr::V4(address) => (u128::from(u32::from(address)), 32, false),
            IpAddr::V6(address) => (u128::from(address), 128, true),
        };
        let bits = width
            - Some(length)
                .filter(|length| *length > 0 && *length <= width)
                .ok_or_else(bad)?;
        Ok(Range {
            first: (number >> bits) << bits,
            bits,
            is_v6,
        })
    }

    pub(super) fn family(&self) -> &'static str {
        if self.is_v6 { "IPv6" } else { "IPv4" }
    }

    fn contains(&self, address: IpAddr) -> bool {
        let (number, is_v6) = match address {
            IpAddr::V4(address) => (u128::from(u32::from(address)), false),
            IpAddr::V6(address) => (u128::from(address), true),
        };
        is_v6 == self.is_v6 && number > self.first && number - self.first <= self.last()
    }

    /// The offset of the last address that is given out; the first one has the offset 1.
    pub(super) fn last(&self) -> u128 {
        let count = 1_u128 << self.bits.min(64);
        // The last address of an IPv4 network speaks to all of it.
        if self.is_v6 {
            count - 1
        } else {
            count.saturating_sub(2)
        }
    }

    /// How many offsets are tried for a service that may have any.
    pub(super) fn given_out(&self) -> u128 {
        self.last().min((1 << BITS_MAX) - 1)
    }

    pub(super) fn at(&self, offset: u128) -> IpAddr {
        let number = self.first + offset;
        if self.is_v6 {
            return IpAddr::V6(Ipv6Addr::from(number));
        }
        let number = u32::try_from(number).expect("an offset within the range of an IPv4 network");
        IpAddr::V4(Ipv4Addr::from(number))
    }
}

/// What services may have.
#[derive(Debug, Clone)]
pub struct Ranges {
    addresses: Vec<Range>,
    ports: std::ops::RangeInclusive<i64>,
}

impl Ranges {
    /// The ranges of the flags: one or two networks separated by a comma, and ports as `30000-32767`.
    ///
    /// # Errors
    ///
    /// What is wrong with them, for the operator.
    pub fn parse(addresses: &str, ports: &str) -> Result<Ranges, String> {
        let addresses: Vec<Range> = addresses
            .split(',')
            .map(Range::parse)
            .collect::<Result<_, _>>()?;
        let bad = || format!("{ports:?} is no range of ports");
        let (first, last) = ports.split_once('-').ok_or_else(bad)?;
        let first: u16 = first.parse().map_err(|_malformed| bad())?;
        let last: u16 = last.parse().map_err(|_malformed| bad())?;
        if first == 0 || first > last {
            return Err(bad());
        }
        Ok(Ranges {
            addresses,
            ports: i64::from(first)..=i64::from(last),
        })
    }

    /// The first address, which is that of the service `kubernetes`.
    #[must_use]
    pub fn first_address(&self) -> Option<IpAddr> {
        self.addresses.first().map(|range| range.at(1))
    }

    pub(super) fn all_families(&self) -> Vec<&'static str> {
        self.addresses.iter().map(Range::family).collect()
    }

    pub(super) fn of_family(&self, family: &str) -> Option<Range> {
        let mut ranges = self.addresses.iter();
        ranges.find(|range| range.family() == family).copied()
    }

    pub(super) fn has_address(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|range| range.contains(address))
    }

    pub(super) fn has_port(&self, port: i64) -> bool {
        self.ports.contains(&port)
    }

    pub(super) fn ports(&self) -> std::ops::RangeInclusive<i64> {
        self.ports.clone()
    }

    pub(super) fn ports_text(&self) -> String {
        format!("{}-{}", self.ports.start(), self.ports.end())
    }
}

#[cfg(test)]
mod tests {
    use super::Ranges;

    #[test]
    fn a_network_gives_out_all_but_its_first_and_last_address() {
        let ranges = Ranges::parse("10.0.0.7/29,fd00::/120", "30000-32767").unwrap();
        assert_eq!(ranges.first_address().unwrap().to_string(), "10.0.0.1");
        let inside = |text: &str| ranges.has_address(text.parse().unwrap());
        assert!(inside("10.0.0.1") && inside("10.0.0.6") && inside("fd00::ff"));
        assert!(
            !inside("10.0.0.0") && !inside("10.0.0.7") && !inside("fd00::") && !inside("fd00::100")
        );
        assert_eq!(ranges.all_families(), ["IPv4", "IPv6"]);
        assert!(ranges.has_port(32_767) && !ranges.has_port(32_768));
    }

    #[test]
    fn what_is_no_range_is_told() {
        for (addresses, ports) in [
            ("10.0.0.0", "1-2"),
            ("10.0.0.0/33", "1-2"),
            ("10.0.0.0/24", "2-1"),
            ("x/1", "1-2"),
        ] {
            assert!(
                Ranges::parse(addresses, ports).is_err(),
                "{addresses} {ports}"
            );
        }
    }
}
