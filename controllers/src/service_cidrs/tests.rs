//! What is decided on ranges of services.

use serde_json::json;

use super::*;

const NOW: &str = "2026-01-01T00:01:00Z";

fn range(name: &str, cidrs: &[&str]) -> ServiceCIDR {
    serde_json::from_value(json!({
        "metadata": {"name": name, "finalizers": [FINALIZER]}, "spec": {"cidrs": cidrs},
    }))
    .unwrap()
}

/// One that was deleted so many seconds ago.
fn going(name: &str, cidrs: &[&str], seconds: i64) -> ServiceCIDR {
    let mut range = range(name, cidrs);
    let now: Timestamp = NOW.parse().unwrap();
    let deleted = now - SignedDuration::from_secs(seconds);
    range.metadata.deletion_timestamp = Some(patches::time(deleted));
    range
}

fn decided(range: &ServiceCIDR, others: &[ServiceCIDR], addresses: &[&str]) -> Step {
    let mut all: Vec<Arc<ServiceCIDR>> = others.iter().cloned().map(Arc::new).collect();
    all.push(Arc::new(range.clone()));
    let addresses: Vec<Cidr> = addresses
        .iter()
        .map(|text| Cidr::of_address(text.parse().unwrap()))
        .collect();
    decide(range, &all, &addresses, NOW.parse().unwrap())
}

#[test]
fn a_range_is_protected_and_then_ready() {
    let mut new = range("a", &["10.1.0.0/24"]);
    new.metadata.finalizers = None;
    assert_eq!(decided(&new, &[], &[]), Step::Protect);
    let Step::Tell(condition) = decided(&range("a", &["10.1.0.0/24"]), &[], &[]) else {
        panic!("a protected range is ready");
    };
    let told = (&*condition.status, &*condition.reason, &*condition.message);
    assert_eq!(told, ("True", "", "Kubernetes Service CIDR is ready"));
    let mut ready = range("a", &["10.1.0.0/24"]);
    ready.status = serde_json::from_value(json!({"conditions": [condition]})).unwrap();
    assert_eq!(decided(&ready, &[], &[]), Step::Nothing);
}

#[test]
fn a_range_goes_when_nobody_has_an_address_that_only_it_has() {
    let parent = range("parent", &["10.0.0.0/8"]);
    let twin = range("twin", &["10.1.0.0/24"]);
    let part = range("part", &["10.1.0.0/25"]);
    let none: &[ServiceCIDR] = &[];
    for (others, address, goes) in [
        (none, "10.2.0.1", true),
        (none, "10.1.0.7", false),
        // Services have neither the first nor the last address of a range.
        (none, "10.1.0.0", true),
        (none, "10.1.0.255", true),
        (&[parent], "10.1.0.7", true),
        (&[twin], "10.1.0.7", true),
        (std::slice::from_ref(&part), "10.1.0.7", true),
        (std::slice::from_ref(&part), "10.1.0.200", false),
    ] {
        let step = decided(&going("a", &["10.1.0.0/24"], 20), others, &[address]);
        match step {
            Step::Release => assert!(goes, "{address} {others:?}"),
            Step::Tell(condition) => {
                assert!(!goes, "{address} {others:?}");
                let told = (&*condition.status, &*condition.reason);
                assert_eq!(told, ("False", "Terminating"));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn all_families_of_a_range_have_to_be_free() {
    let both = going("a", &["10.1.0.0/24", "fd00::/112"], 20);
    let parent = range("parent", &["10.0.0.0/8"]);
    assert_eq!(
        decided(&both, std::slice::from_ref(&parent), &["10.1.0.7"]),
        Step::Release
    );
    let blocked = decided(&both, &[parent], &["10.1.0.7", "fd00::7"]);
    assert!(matches!(blocked, Step::Tell(_)), "{blocked:?}");
}

#[test]
fn allocators_have_time_to_learn_of_it() {
    let left = SignedDuration::from_secs(7);
    assert_eq!(
        decided(&going("a", &["10.1.0.0/24"], 3), &[], &[]),
        Step::Wait(left)
    );
    let mut released = going("a", &["10.1.0.0/24"], 20);
    released.metadata.finalizers = Some(vec!["other".to_owned()]);
    assert_eq!(decided(&released, &[], &[]), Step::Nothing);
}

#[test]
fn only_addresses_of_the_allocator_count() {
    let address = |by: &str| -> IPAddress {
        serde_json::from_value(json!({
            "metadata": {"name": "10.1.0.7", "labels": {MANAGED_BY: by}},
        }))
        .unwrap()
    };
    assert!(allocated(&address(ALLOCATOR)).is_some());
    assert!(allocated(&address("somebody")).is_none());
}
