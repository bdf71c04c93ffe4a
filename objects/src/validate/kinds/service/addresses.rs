//! The cluster addresses of a service: that they agree with one another and with their families, and what of them may change.

use std::collections::BTreeSet;

use super::{ONCE_SET, is_headless, kind};
use crate::{
    invalid::{Faults, Invalid},
    validate::kinds::{ip, view::View},
};

/// No service has more addresses, one of each family.
const ADDRESSES_MAX: usize = 2;

/// What holds for the addresses of every service.
pub(super) fn fields(spec: &View<'_>, old: Option<&View<'_>>, faults: &mut Faults) {
    if kind(spec) == "ExternalName" {
        return;
    }
    let (address, addresses) = (spec.at("clusterIP").text(), spec.at("clusterIPs"));
    let texts = addresses.texts();
    if address.is_empty() {
        if !texts.is_empty() {
            faults.push(addresses.invalid("must be empty when `clusterIP` is not specified"));
        }
    } else if texts.is_empty() {
        faults.push(addresses.required(""));
    } else if texts[0] != address {
        faults.push(addresses.invalid("first value must match `clusterIP`"));
    }
    families(spec, faults);
    if !each(&addresses, old, faults) {
        return;
    }
    if texts.len() > 1 && !ip::is_dual_stack(&texts) {
        faults.push(addresses.invalid("may specify no more than one IP for each IP family"));
    }
    if is_headless(spec) {
        return;
    }
    let families = spec.at("ipFamilies").texts();
    for (index, (address, family)) in addresses.items().zip(families).enumerate() {
        let is_ipv6 = ip::is_ipv6(address.text());
        let wanted = match family {
            "IPv4" if is_ipv6 => "IPv4",
            "IPv6" if !is_ipv6 => "IPv6",
            _ => continue,
        };
        faults.push(address.invalid(format!(
            "expected an {wanted} value as indicated by `ipFamilies[{index}]`"
        )));
    }
}

fn families(spec: &View<'_>, faults: &mut Faults) {
    let mut seen = BTreeSet::new();
    for family in spec.at("ipFamilies").items() {
        family.one_of(&["IPv4", "IPv6"], faults);
        if !seen.insert(family.text()) {
            faults.push(family.duplicate());
        }
    }
    let policy = spec.at("ipFamilyPolicy");
    if policy.is_set() {
        policy.one_of(
            &["PreferDualStack", "RequireDualStack", "SingleStack"],
            faults,
        );
    }
}

/// Each address for itself; whether all of them are addresses.
fn each(addresses: &View<'_>, old: Option<&View<'_>>, faults: &mut Faults) -> bool {
    let known = old.map_or_else(Vec::new, |old| old.at("clusterIPs").texts());
    let count = addresses.list().len();
    let mut valid = true;
    for (index, address) in addresses.items().enumerate() {
        if index == 0 && address.text() == "None" {
            if count > 1 {
                valid = false;
                faults.push(addresses.invalid("'None' must be the first and only value"));
            }
            continue;
        }
        valid &= ip::address(&address, &known, faults);
    }
    if count > ADDRESSES_MAX {
        faults.push(addresses.invalid("may only hold up to 2 values"));
    }
    valid
}

/// What of addresses and families may change: the second may come and go, the first stays.
pub(super) fn change(spec: &View<'_>, old: &View<'_>, faults: &mut Faults) {
    if kind(spec) == "ExternalName" || kind(old) == "ExternalName" {
        return;
    }
    let (headless, was_headless) = (is_headless(spec), is_headless(old));
    if !(headless && was_headless) {
        addresses(spec, old, faults);
    }
    if !headless && !was_headless {
        family_change(spec, old, faults);
    }
}

fn addresses(spec: &View<'_>, old: &View<'_>, faults: &mut Faults) {
    let (new, old) = (spec.at("clusterIPs"), old.at("clusterIPs").texts());
    let texts = new.texts();
    let of = |index: usize, detail: &str| {
        let list: Vec<&str> = new.texts();
        Invalid::value(&new.path.index(index), list, detail)
    };
    if old.len() == texts.len() {
        for (index, _) in old
            .iter()
            .zip(&texts)
            .enumerate()
            .filter(|(_, (old, new))| old != new)
        {
            faults.push(of(index, ONCE_SET));
        }
        return;
    }
    if old.len() > texts.len() && texts.is_empty() {
        faults.push(of(0, "primary clusterIP can not be unset").showing("null"));
    }
    if let (Some(first), Some(before)) = (texts.first(), old.first())
        && first != before
    {
        faults.push(of(0, ONCE_SET));
    }
    if old.len() > texts.len() && texts.len() == 1 {
        single_stack(spec, "clusterIP", faults);
    }
}

fn family_change(spec: &View<'_>, old: &View<'_>, faults: &mut Faults) {
    let (new, old) = (spec.at("ipFamilies"), old.at("ipFamilies").texts());
    let texts = new.texts();
    let path = new.path.index(0);
    if old.len() == texts.len() {
        for _ in old.iter().zip(&texts).filter(|(old, new)| old != new) {
            faults.push(Invalid::value(&path, new.value.clone(), ONCE_SET));
        }
        return;
    }
    let addresses = spec.at("clusterIPs");
    if old.len() > texts.len() && addresses.is_empty() {
        let detail = "primary ipFamily can not be unset";
        faults.push(Invalid::value(&path, new.value.clone(), detail));
    }
    if let (Some(first), Some(before)) = (texts.first(), old.first())
        && first != before
    {
        // Upstream shows the addresses and not the families.
        faults.push(Invalid::value(&path, addresses.value.clone(), ONCE_SET));
    }
    if old.len() > texts.len() && texts.len() == 1 {
        single_stack(spec, "ipFamily", faults);
    }
}

fn single_stack(spec: &View<'_>, released: &str, faults: &mut Faults) {
    let policy = spec.at("ipFamilyPolicy");
    if policy.text() != "SingleStack" {
        faults.push(policy.invalid(format!(
            "must be set to 'SingleStack' when releasing the secondary {released}"
        )));
    }
}
