//! Keys and ranges over few keys, so that requests meet.

use crate::random::Random;
use crate::text::prefix_end;

const KEYS: &[&[u8]] = &[
    b"a",
    b"a\0",
    b"aa",
    b"ab",
    b"b",
    b"b\xff",
    b"b\xff\xff",
    b"c",
    b"dir/",
    b"dir/one",
    b"dir/one/deep",
    b"dir/two",
    b"dir/two\0",
    b"dir0",
    b"\0",
    b"\0\0",
    b"\xff",
    b"\xff\xff",
    b"not utf-8: \xc3\x28",
];
const NUMBERED_KEYS: usize = 24;
const LONG_KEY_BYTES: usize = 3_000;

/// One of few keys, seldom none.
pub(super) fn draw_key(random: &mut Random) -> Vec<u8> {
    match random.weighted(&[60, 37, 1, 2]) {
        0 => random.pick(KEYS).to_vec(),
        1 => format!("key-{:02}", random.below(NUMBERED_KEYS)).into_bytes(),
        2 => vec![b'k'; LONG_KEY_BYTES],
        _ => Vec::new(),
    }
}

/// Key and end of a range: one key, a prefix, everything, nothing, upside down.
pub(super) fn draw_range(random: &mut Random) -> (Vec<u8>, Vec<u8>) {
    let key = draw_key(random);
    let end = match random.weighted(&[40, 8, 16, 22, 3, 5, 4, 2]) {
        0 => Vec::new(),
        1 => vec![0],
        2 => prefix_end(&key),
        3 => draw_key(random),
        4 => key.clone(),
        5 => [&key[..], &[0]].concat(),
        6 => return (vec![0], vec![0]),
        _ => return (b"key-".to_vec(), b"key.".to_vec()),
    };
    (key, end)
}

/// A value out of few, so that comparisons sometimes hold.
pub(super) fn draw_value(random: &mut Random) -> Vec<u8> {
    match random.weighted(&[50, 20, 10, 15, 5]) {
        0 => format!("value-{}", random.below(8)).into_bytes(),
        1 => Vec::new(),
        2 => vec![0xff, 0, 0xfe],
        3 => vec![b'v'; random.below(300)],
        _ => vec![b'w'; 2_000 + random.below(2_000)],
    }
}
