//! Damaged files give an error or what is still there, and never a panic or an endless walk.

use proptest::prelude::*;

use super::round_trip::any_content;
use super::{Content, read, write};
use crate::ReadError;
use crate::format::PAGE_BYTES;

/// Reads all that can be read; the point is that this returns.
fn survive(file: &[u8]) -> Result<Content, ReadError> {
    let result = read(file);
    if let Err(error) = &result {
        assert!(!error.to_string().is_empty());
    }
    result
}

fn small() -> Vec<u8> {
    let keys = (0..2_000_u32).map(|number| (number.to_be_bytes().to_vec(), vec![1; 30]));
    write(&Content::from([(b"key".to_vec(), keys.collect())]))
}

/// Sets a number in the header or an element of the page that holds the bucket's root.
fn patched(file: &[u8], at: usize, number: &[u8]) -> Vec<u8> {
    let mut damaged = file.to_vec();
    damaged[at..at + number.len()].copy_from_slice(number);
    damaged
}

#[test]
fn one_whole_meta_is_enough() {
    let file = small();
    let content = read(&file).unwrap();
    for page in [0, 1] {
        let damaged = patched(&file, page * PAGE_BYTES + 40, &[0xff]);
        assert_eq!(read(&damaged).unwrap(), content, "meta {page}");
    }
    let both = patched(&patched(&file, 40, &[0xff]), PAGE_BYTES + 40, &[0xff]);
    assert!(matches!(read(&both), Err(ReadError::NotBbolt(_))));
}

#[test]
fn files_that_are_none_are_refused() {
    for file in [&b""[..], b"short", &[0; 10_000], &[0xff; 10_000]] {
        let error = read(file).unwrap_err();
        assert!(
            error.to_string().starts_with("it is no bbolt file: "),
            "{error}"
        );
    }
}

#[test]
fn every_truncation_is_noticed() {
    let file = small();
    for length in (0..file.len()).step_by(509) {
        assert!(read(&file[..length]).is_err(), "{length} bytes");
    }
}

#[test]
fn pages_that_lead_back_end_the_walk() {
    let file = small();
    let pages = file.len() / PAGE_BYTES;
    // The bucket's root is a branch, the page before the root bucket's leaf.
    let branch = (pages - 2) * PAGE_BYTES;
    for target in [branch / PAGE_BYTES, pages - 1, 0, 1, 2, pages, usize::MAX] {
        for element in 0..3 {
            let at = branch + 16 + element * 16 + 8;
            let damaged = patched(&file, at, &(target as u64).to_le_bytes());
            assert!(matches!(read(&damaged), Err(ReadError::Damaged { .. })));
        }
    }
    // Two elements that lead to the same leaf.
    let leaf: [u8; 8] = file[branch + 24..branch + 32].try_into().unwrap();
    let damaged = patched(&file, branch + 40, &leaf);
    assert!(matches!(read(&damaged), Err(ReadError::Damaged { .. })));
}

#[test]
fn a_page_that_claims_too_much_is_refused() {
    let file = small();
    let first = 3 * PAGE_BYTES;
    for (at, number) in [
        (0, &[9_u8][..]),
        (8, &[0x10]),
        (10, &[0, 0]),
        (10, &[0xff, 0xff]),
        (12, &[0xff, 0xff, 0xff, 0xff]),
        (20, &[0, 0, 0, 0]),
        (20, &[0xff, 0xff, 0xff, 0xff]),
        (24, &[0xff, 0xff, 0xff, 0xff]),
        (28, &[0xff, 0xff, 0xff, 0xff]),
    ] {
        let damaged = patched(&file, first + at, number);
        assert!(
            matches!(read(&damaged), Err(ReadError::Damaged { .. })),
            "{at}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn flipped_bits_are_survived(
        content in any_content(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8_u8), 1..24),
    ) {
        let mut file = write(&content);
        for (at, bit) in flips {
            let at = at.index(file.len());
            file[at] ^= 1 << bit;
        }
        let _ = survive(&file);
    }

    #[test]
    fn numbers_in_headers_and_elements_are_survived(
        content in any_content(),
        numbers in prop::collection::vec((any::<prop::sample::Index>(), 0..40_usize, any::<u32>(), 0..32_u32), 1..12),
    ) {
        let mut file = write(&content);
        for (page, word, number, shift) in numbers {
            let at = page.index(file.len() / PAGE_BYTES) * PAGE_BYTES + word * 4;
            file[at..at + 4].copy_from_slice(&(number >> shift).to_le_bytes());
        }
        let _ = survive(&file);
    }

    #[test]
    fn truncations_are_survived(content in any_content(), at: prop::sample::Index) {
        let file = write(&content);
        let length = at.index(file.len());
        prop_assert!(survive(&file[..length]).is_err());
    }

    #[test]
    fn garbage_is_survived(garbage in prop::collection::vec(any::<u8>(), 0..20_000)) {
        prop_assert!(survive(&garbage).is_err());
    }
}
