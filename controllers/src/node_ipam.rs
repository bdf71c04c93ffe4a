//! Gives every node a range of its own for the addresses of its pods.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::str::FromStr;

mod run;

pub(crate) use run::start;

/// Ranges that one cluster's range is divided into at most.
const RANGES_MAX: u128 = 1 << 16;

/// A range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cidr {
    /// The first address, as a number.
    first: u128,
    bits: u32,
    is_v4: bool,
}

/// A text that is no range of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid CIDR address: {0}")]
pub(crate) struct NoCidr(String);

impl Cidr {
    fn width(self) -> u32 {
        if self.is_v4 { 32 } else { 128 }
    }

    /// The range of so many bits at this place in this range.
    fn part(self, place: u128, bits: u32) -> Cidr {
        let first = self.first + (place << (self.width() - bits));
        Cidr {
            first,
            bits,
            is_v4: self.is_v4,
        }
    }

    /// The places of this range, divided into parts of so many bits, of which another range takes something; none if it takes nothing.
    fn places_of(self, other: Cidr, bits: u32) -> Option<RangeInclusive<u128>> {
        if !self.overlaps(other) {
            return None;
        }
        let part_bits = self.width() - bits;
        let place = |address: u128| (address - self.first).checked_shr(part_bits).unwrap_or(0);
        let first = place(other.first.max(self.first));
        let last = place(other.last().min(self.last()));
        Some(first..=last.min(self.parts(bits) - 1))
    }

    /// The range of one address.
    pub(crate) fn of_address(address: IpAddr) -> Cidr {
        match address {
            IpAddr::V4(address) => Cidr {
                first: u128::from(address.to_bits()),
                bits: 32,
                is_v4: true,
            },
            IpAddr::V6(address) => Cidr {
                first: address.to_bits(),
                bits: 128,
                is_v4: false,
            },
        }
    }

    /// The bits of addresses in the range that differ.
    fn host_bits(self) -> u128 {
        u128::MAX
            .checked_shr(128 + self.bits - self.width())
            .unwrap_or(0)
    }

    /// The last address, as a number.
    fn last(self) -> u128 {
        self.first | self.host_bits()
    }

    /// Whether the other range is in this one, or is the same.
    pub(crate) fn contains(self, other: Cidr) -> bool {
        self.is_v4 == other.is_v4
            && self.bits <= other.bits
            && other.first & !self.host_bits() == self.first
    }

    pub(crate) fn overlaps(self, other: Cidr) -> bool {
        self.contains(other) || other.contains(self)
    }

    /// Whether an address in the range names the network, or all of it: no service gets it.
    pub(crate) fn is_end(self, address: Cidr) -> bool {
        address.first == self.first || (self.is_v4 && address.first == self.last())
    }

    fn parts(self, bits: u32) -> u128 {
        (1_u128 << bits.saturating_sub(self.bits).min(127)).min(RANGES_MAX)
    }
}

impl FromStr for Cidr {
    type Err = NoCidr;

    fn from_str(text: &str) -> Result<Cidr, NoCidr> {
        let fault = || NoCidr(text.to_owned());
        let (address, bits) = text.split_once('/').ok_or_else(fault)?;
        let address: IpAddr = address.parse().map_err(|_malformed| fault())?;
        let bits: u32 = bits.parse().map_err(|_malformed| fault())?;
        let one = Cidr::of_address(address);
        if bits > one.bits {
            return Err(fault());
        }
        let range = Cidr { bits, ..one };
        Ok(Cidr {
            first: one.first & !range.host_bits(),
            ..range
        })
    }
}

impl std::fmt::Display for Cidr {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let address = match u32::try_from(self.first) {
            Ok(number) if self.is_v4 => IpAddr::V4(Ipv4Addr::from_bits(number)),
            _ => IpAddr::V6(Ipv6Addr::from_bits(self.first)),
        };
        write!(out, "{address}/{}", self.bits)
    }
}

/// Bits of a node's range, by family.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Masks {
    pub v4: u32,
    pub v6: u32,
}

/// The cluster's ranges, and which of their parts are given away.
#[derive(Debug, Clone)]
pub(crate) struct Ranges {
    clusters: Vec<Cidr>,
    masks: Masks,
    used: Vec<BTreeSet<u128>>,
    by_node: BTreeMap<String, Vec<Cidr>>,
    /// What no node gets.
    kept: Vec<Cidr>,
}

impl Ranges {
    /// Ranges of which every node gets a part each, but nothing of those that are kept.
    pub(crate) fn new(clusters: Vec<Cidr>, masks: Masks, kept: Vec<Cidr>) -> Ranges {
        let used = clusters.iter().map(|_| BTreeSet::new()).collect();
        let mut ranges = Ranges {
            clusters,
            masks,
            used,
            by_node: BTreeMap::new(),
            kept: Vec::new(),
        };
        ranges.mark(&kept, true);
        ranges.kept = kept;
        ranges
    }

    fn bits(masks: Masks, cluster: Cidr) -> u32 {
        let mask = if cluster.is_v4 { masks.v4 } else { masks.v6 };
        mask.clamp(cluster.bits, cluster.width())
    }

    /// Notes the parts that a node says it has.
    pub(crate) fn occupy(&mut self, node: &str, texts: &[String]) {
        let parts: Vec<Cidr> = texts.iter().filter_map(|text| text.parse().ok()).collect();
        if self.by_node.get(node) == Some(&parts) {
            return;
        }
        // What was chosen for it and not written may go to others.
        self.release(node);
        self.mark(&parts, true);
        self.by_node.insert(node.to_owned(), parts);
    }

    /// Takes the node's parts back, but for what is kept or another node says it has as well.
    pub(crate) fn release(&mut self, node: &str) {
        let Some(parts) = self.by_node.remove(node) else {
            return;
        };
        self.mark(&parts, false);
        let others = self.by_node.values().flatten().chain(&self.kept).copied();
        let shared = others.filter(|other| parts.iter().any(|part| part.overlaps(*other)));
        let shared: Vec<Cidr> = shared.collect();
        self.mark(&shared, true);
    }

    /// Parts for a node, the same ones until they are released; none if a range is used up.
    pub(crate) fn allocate(&mut self, node: &str) -> Option<Vec<String>> {
        if !self.by_node.contains_key(node) {
            let chosen = self.clusters.iter().zip(&self.used).map(|(cluster, used)| {
                let bits = Ranges::bits(self.masks, *cluster);
                let free = (0..cluster.parts(bits)).find(|place| !used.contains(place))?;
                Some(cluster.part(free, bits))
            });
            let chosen: Vec<Cidr> = chosen.collect::<Option<_>>()?;
            self.mark(&chosen, true);
            self.by_node.insert(node.to_owned(), chosen);
        }
        self.by_node
            .get(node)
            .map(|parts| parts.iter().map(Cidr::to_string).collect())
    }

    fn mark(&mut self, parts: &[Cidr], is_used: bool) {
        for part in parts {
            for (cluster, used) in self.clusters.iter().zip(&mut self.used) {
                let bits = Ranges::bits(self.masks, *cluster);
                for place in cluster.places_of(*part, bits).into_iter().flatten() {
                    if is_used {
                        used.insert(place);
                    } else {
                        used.remove(&place);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(texts: &[&str]) -> Ranges {
        ranges_but(texts, &[])
    }

    fn ranges_but(texts: &[&str], kept: &[&str]) -> Ranges {
        let of = |texts: &[&str]| -> Vec<Cidr> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        Ranges::new(of(texts), Masks { v4: 24, v6: 64 }, of(kept))
    }

    #[test]
    fn nodes_get_the_first_free_part_and_keep_it() {
        let mut ranges = ranges(&["10.244.0.0/16"]);
        assert_eq!(ranges.allocate("a").unwrap(), ["10.244.0.0/24"]);
        assert_eq!(ranges.allocate("b").unwrap(), ["10.244.1.0/24"]);
        assert_eq!(ranges.allocate("a").unwrap(), ["10.244.0.0/24"]);
        ranges.release("a");
        assert_eq!(ranges.allocate("c").unwrap(), ["10.244.0.0/24"]);
    }

    #[test]
    fn parts_that_nodes_have_already_are_not_given_away_and_both_families_are_served() {
        let mut ranges = ranges(&["10.244.0.0/16", "fd00::/48"]);
        ranges.occupy("old", &["10.244.0.0/24".into(), "fd00::/64".into()]);
        assert_eq!(
            ranges.allocate("a").unwrap(),
            ["10.244.1.0/24", "fd00:0:0:1::/64"]
        );
    }

    #[test]
    fn a_used_up_range_gives_nothing_until_a_part_comes_back() {
        let mut ranges = ranges(&["10.0.0.0/23"]);
        assert!(ranges.allocate("a").is_some() && ranges.allocate("b").is_some());
        assert_eq!(ranges.allocate("c"), None);
        ranges.release("b");
        assert_eq!(ranges.allocate("c").unwrap(), ["10.0.1.0/24"]);
    }

    #[test]
    fn a_node_has_every_part_that_its_range_covers() {
        let (v4, v6) = ("10.244.0.0/16", "fd00::/48");
        for (cluster, had, first, then) in [
            (v4, "10.244.0.0/23", "10.244.2.0/24", "10.244.0.0/24"),
            (v4, "10.244.0.128/25", "10.244.1.0/24", "10.244.0.0/24"),
            (v4, "10.243.0.0/23", "10.244.0.0/24", "10.244.1.0/24"),
            (v4, "10.245.0.0/23", "10.244.0.0/24", "10.244.1.0/24"),
            (v4, "fd00::/64", "10.244.0.0/24", "10.244.1.0/24"),
            (v6, "fd00::/62", "fd00:0:0:4::/64", "fd00::/64"),
        ] {
            let mut ranges = ranges(&[cluster]);
            ranges.occupy("old", &[had.into()]);
            assert_eq!(ranges.allocate("a").unwrap(), [first], "{had}");
            ranges.release("old");
            assert_eq!(ranges.allocate("b").unwrap(), [then], "{had}");
        }
        let mut ranges = ranges(&["10.244.0.0/16"]);
        ranges.occupy("all", &["10.0.0.0/8".into()]);
        assert_eq!(ranges.allocate("a"), None);
    }

    #[test]
    fn a_part_is_free_when_the_last_node_that_has_something_of_it_is_gone() {
        let mut ranges = ranges(&["10.244.0.0/16"]);
        ranges.occupy("wide", &["10.244.0.0/23".into()]);
        ranges.occupy("narrow", &["10.244.1.0/24".into()]);
        ranges.release("wide");
        assert_eq!(ranges.allocate("a").unwrap(), ["10.244.0.0/24"]);
        assert_eq!(ranges.allocate("b").unwrap(), ["10.244.2.0/24"]);
        ranges.release("narrow");
        assert_eq!(ranges.allocate("c").unwrap(), ["10.244.1.0/24"]);
    }

    #[test]
    fn a_part_that_was_chosen_is_free_again_if_the_node_has_another() {
        let mut ranges = ranges(&["10.244.0.0/16"]);
        assert_eq!(ranges.allocate("a").unwrap(), ["10.244.0.0/24"]);
        ranges.occupy("a", &["10.244.7.0/24".into()]);
        assert_eq!(ranges.allocate("b").unwrap(), ["10.244.0.0/24"]);
    }

    #[test]
    fn nothing_is_given_of_what_is_kept() {
        let mut ranges = ranges_but(&["10.244.0.0/16"], &["10.244.0.0/22", "10.96.0.0/12"]);
        assert_eq!(ranges.allocate("a").unwrap(), ["10.244.4.0/24"]);
        ranges.occupy("old", &["10.244.1.0/24".into()]);
        ranges.release("old");
        assert_eq!(ranges.allocate("b").unwrap(), ["10.244.5.0/24"]);
        let mut none = ranges_but(&["10.244.0.0/16"], &["10.0.0.0/8"]);
        assert_eq!(none.allocate("a"), None);
    }

    #[test]
    fn texts_are_read_as_ranges_or_refused() {
        for (text, expected) in [
            ("10.1.2.3/16", Some("10.1.0.0/16")),
            ("0.0.0.0/0", Some("0.0.0.0/0")),
            ("::/0", Some("::/0")),
            ("fd00::1/128", Some("fd00::1/128")),
            ("10.0.0.0/33", None),
            ("10.0.0.0", None),
            ("x/8", None),
        ] {
            let read = text.parse::<Cidr>().ok().map(|cidr| cidr.to_string());
            assert_eq!(read.as_deref(), expected, "{text}");
        }
    }
}
