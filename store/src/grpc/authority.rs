//! Makes one malformed header of older Go clients readable: an `:authority` that begins with `http://`.
//!
//! etcdctl 3.4 dials `passthrough:///http://host:port` for status, hashes and snapshots, and sends all
//! after the third slash as its authority. The HTTP/2 library resets such a stream before any code of
//! ours sees it, so the seven letters are replaced on their way in by seven that an authority may have.
//! Nothing here looks at the authority otherwise.

/// Bytes of an HTTP/2 frame before its payload.
const FRAME_HEAD_BYTES: usize = 9;
const HEADERS_FRAME: u8 = 1;

/// Flags of a HEADERS frame whose fields stand before the headers.
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

/// Longer integers than four bytes hold are in no header we can take.
const INTEGER_SHIFT_MAX: u32 = 21;

/// Index of the name `:authority` in HPACK's static table.
const AUTHORITY: usize = 1;

/// The value's beginnings that are replaced, by others of equal length. The first are Huffman codes:
/// `http://` and `httpx--` both have 41 bits, and the last one is the same.
const REPLACEMENTS: [(&[u8], &[u8]); 2] = [
    (b"\x9d\x29\xae\xe3\x0c", b"\x9d\x29\xaf\xca\xcb"),
    (b"http://", b"httpx--"),
];

/// Follows the frames of one connection. Headers that arrive in pieces stay as they are.
#[derive(Debug, Default)]
pub(super) struct Repair {
    head: [u8; FRAME_HEAD_BYTES],
    head_length: usize,
    payload_left: usize,
}

impl Repair {
    /// Of the frame whose head is whole.
    fn payload_length(&self) -> usize {
        let [high, middle, low, ..] = self.head;
        usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low)
    }

    /// Repairs the next bytes of the connection in place.
    pub(super) fn apply(&mut self, mut bytes: &mut [u8]) {
        while !bytes.is_empty() {
            if self.payload_left > 0 {
                let length = self.payload_left.min(bytes.len());
                let (payload, rest) = bytes.split_at_mut(length);
                if self.head[3] == HEADERS_FRAME && self.payload_left == self.payload_length() {
                    replace(self.head[4], payload);
                }
                self.payload_left -= length;
                bytes = rest;
                continue;
            }
            let length = (FRAME_HEAD_BYTES - self.head_length).min(bytes.len());
            let (head, rest) = bytes.split_at_mut(length);
            self.head[self.head_length..][..length].copy_from_slice(head);
            self.head_length += length;
            bytes = rest;
            if self.head_length == FRAME_HEAD_BYTES {
                self.payload_left = self.payload_length();
                self.head_length = 0;
            }
        }
    }
}

/// Repairs the value of `:authority` in the beginning of a frame's payload, if its own beginning is there.
fn replace(flags: u8, payload: &mut [u8]) {
    let before = usize::from(flags & PADDED != 0) + if flags & PRIORITY != 0 { 5 } else { 0 };
    let Some(mut headers) = payload.get_mut(before..) else {
        return;
    };
    while let Some((value, rest)) = next_authority(headers) {
        for (wrong, right) in REPLACEMENTS {
            if value.starts_with(wrong) {
                value[..right.len()].copy_from_slice(right);
            }
        }
        headers = rest;
    }
}

/// The value of the next `:authority` that is written out, coded as it is, and what stands behind it. Other headers
/// are passed by their lengths, their text is not looked at.
fn next_authority(mut block: &mut [u8]) -> Option<(&mut [u8], &mut [u8])> {
    loop {
        let (name, rest) = match *block.first()? {
            // A name and value that the tables have, or a new size of the dynamic one.
            first @ (0x80.. | 0x20..0x40) => {
                let bits = if first >= 0x80 { 7 } else { 5 };
                (_, block) = integer(block, bits)?;
                continue;
            }
            // A value that is written out, to be remembered or not.
            0x40.. => integer(block, 6)?,
            _ => integer(block, 4)?,
        };
        let rest = if name == 0 { string(rest)?.1 } else { rest };
        let (value, rest) = string(rest)?;
        if name == AUTHORITY {
            return Some((value, rest));
        }
        block = rest;
    }
}

/// HPACK's integer that begins in the lowest `bits` of the first byte, and what stands behind it.
fn integer(block: &mut [u8], bits: u32) -> Option<(usize, &mut [u8])> {
    let (first, mut rest) = block.split_first_mut()?;
    let most = (1_usize << bits) - 1;
    let mut number = usize::from(*first) & most;
    if number < most {
        return Some((number, rest));
    }
    for shift in (0..=INTEGER_SHIFT_MAX).step_by(7) {
        let byte;
        (byte, rest) = rest.split_first_mut()?;
        number += usize::from(*byte & 0x7f) << shift;
        if *byte < 0x80 {
            return Some((number, rest));
        }
    }
    None
}

/// HPACK's string behind its length, as far as it is here, and what stands behind it. The first bit of the length is
/// the coding.
fn string(block: &mut [u8]) -> Option<(&mut [u8], &mut [u8])> {
    let (length, rest) = integer(block, 7)?;
    Some(rest.split_at_mut(length.min(rest.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0, 0, payload.len() as u8, kind, 4, 0, 0, 0, 1];
        frame.extend_from_slice(payload);
        frame
    }

    const HUFFMAN: &[u8] = b"\x83\x86\x41\x88\x9d\x29\xae\xe3\x0c\x08\x9d\x5c";
    const PLAIN: &[u8] = b"\x83\x41\x10http://127.0.0.1";

    #[test]
    fn headers_are_repaired_and_nothing_else() {
        let mut bytes = [
            frame(4, b""),
            frame(1, HUFFMAN),
            frame(0, PLAIN),
            frame(1, PLAIN),
        ]
        .concat();
        Repair::default().apply(&mut bytes);
        let wanted = [
            frame(4, b""),
            frame(1, b"\x83\x86\x41\x88\x9d\x29\xaf\xca\xcb\x08\x9d\x5c"),
            frame(0, PLAIN),
            frame(1, b"\x83\x41\x10httpx--127.0.0.1"),
        ];
        assert_eq!(bytes, wanted.concat());
    }

    #[test]
    fn frames_are_followed_through_any_pieces() {
        let whole = [
            frame(0, PLAIN),
            frame(4, b"\x41\x10http://"),
            frame(1, b"\x88"),
        ]
        .concat();
        for size in 1..whole.len() {
            let mut repair = Repair::default();
            let mut bytes = whole.clone();
            bytes.chunks_mut(size).for_each(|piece| repair.apply(piece));
            assert_eq!(bytes, whole, "pieces of {size}");
            let mut next = frame(1, PLAIN);
            repair.apply(&mut next);
            assert_eq!(
                next,
                frame(1, b"\x83\x41\x10httpx--127.0.0.1"),
                "pieces of {size}"
            );
        }
    }

    /// A header that is written out: an index in the static table, or 0 and a name, and a value.
    fn literal(first: u8, strings: &[&[u8]]) -> Vec<u8> {
        let mut bytes = vec![first];
        for string in strings {
            bytes.push(u8::try_from(string.len()).unwrap());
            bytes.extend_from_slice(string);
        }
        bytes
    }

    fn repaired(payload: &[u8], flags: u8) -> Vec<u8> {
        let mut bytes = frame(1, payload);
        bytes[4] |= flags;
        Repair::default().apply(&mut bytes);
        bytes.split_off(FRAME_HEAD_BYTES)
    }

    #[test]
    fn every_way_to_write_an_authority_out_is_repaired() {
        for first in [0x41, 0x01, 0x11] {
            let around = |authority: &[u8]| {
                let path = literal(0x44, &[b"/a/b"]);
                let resized = vec![0x3f, 0xe1, 0x1f];
                let own = literal(0, &[b"name", b"value"]);
                [resized, path, own, literal(first, &[authority]), vec![0x88]].concat()
            };
            let wanted = around(b"httpx--127.0.0.1");
            assert_eq!(repaired(&around(b"http://127.0.0.1"), 0), wanted);
        }
    }

    #[test]
    fn fields_before_the_headers_are_passed() {
        let wrong = literal(0x41, &[b"http://a"]);
        let right = literal(0x41, &[b"httpx--a"]);
        for (flags, before) in [(8, &[0][..]), (0x20, &[0; 5]), (0x28, &[0; 6])] {
            let payload = |headers: &[u8]| [before, headers].concat();
            assert_eq!(repaired(&payload(&wrong), flags), payload(&right));
        }
    }

    /// Other headers may hold the bytes of a wrong authority, in their values as in their names.
    #[test]
    fn other_headers_stay_whatever_they_hold() {
        let inside: &[u8] = b"xA\x10http://127.0.0.1";
        for payload in [
            literal(0x40, &[b"user", inside]),
            literal(0x00, &[inside, b"http://a"]),
            literal(0x44, &[b"http://a"]),
            literal(0x0f, &[])
                .into_iter()
                .chain(literal(0x00, &[inside]))
                .collect(),
        ] {
            assert_eq!(repaired(&payload, 0), payload);
        }
    }

    #[test]
    fn headers_that_end_early_are_looked_at_to_their_end() {
        let whole = |authority| [literal(0x44, &[b"/a/b"]), literal(0x41, &[authority])].concat();
        let (wrong, right) = (whole(b"http://a"), whole(b"httpx--a"));
        for length in 0..=wrong.len() {
            let begun = length + 1 >= wrong.len();
            let wanted = if begun { &right } else { &wrong };
            assert_eq!(repaired(&wrong[..length], 0), wanted[..length], "{length}");
        }
        let endless = [0x7f, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(repaired(&endless, 0), endless);
    }

    #[test]
    fn both_codings_have_the_same_length() {
        for (wrong, right) in REPLACEMENTS {
            assert_eq!(wrong.len(), right.len());
        }
    }
}
