//! Numbers of seven bits a byte, low bits first, as protobuf has them.

use bytes::BufMut;

/// Bytes of [`put`].
pub(crate) fn length(number: u64) -> usize {
    let bits = 64 - (number | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

pub(crate) fn put(out: &mut impl BufMut, mut number: u64) {
    while number >= 0x80 {
        out.put_u8((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.put_u8(number as u8);
}

/// Takes a number off the front; none when the bytes end early or say more than 64 bits.
pub(crate) fn take(input: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for position in 0..10u32 {
        let (&byte, rest) = input.split_first()?;
        *input = rest;
        let part = u64::from(byte & 0x7f);
        if position == 9 && part > 1 {
            return None;
        }
        number |= part << (7 * position);
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}
