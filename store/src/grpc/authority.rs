//! Makes one malformed header of older Go clients readable: an `:authority` that begins with `http://`.
//!
//! etcdctl 3.4 dials `passthrough:///http://host:port` for status, hashes and snapshots, and sends all
//! after the third slash as its authority. The HTTP/2 library resets such a stream before any code of
//! ours sees it, so the seven letters are replaced on their way in by seven that an authority may have.
//! Nothing here looks at the authority otherwise.

/// Bytes of an HTTP/2 frame before its payload.
const FRAME_HEAD_BYTES: usize = 9;
const HEADERS_FRAME: u8 = 1;

/// HPACK: a literal for the static table's first name, `:authority`, to be remembered.
const AUTHORITY_LITERAL: u8 = 0x41;

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
    /// Repairs the next bytes of the connection in place.
    pub(super) fn apply(&mut self, mut bytes: &mut [u8]) {
        while !bytes.is_empty() {
            if self.payload_left > 0 {
                let length = self.payload_left.min(bytes.len());
                let (payload, rest) = bytes.split_at_mut(length);
                if self.head[3] == HEADERS_FRAME {
                    replace(payload);
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
                let [high, middle, low, ..] = self.head;
                self.payload_left =
                    usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
                self.head_length = 0;
            }
        }
    }
}

fn replace(headers: &mut [u8]) {
    for at in 0..headers.len() {
        if headers[at] != AUTHORITY_LITERAL {
            continue;
        }
        // The value's length stands between.
        let Some(value) = headers.get_mut(at + 2..) else {
            return;
        };
        for (wrong, right) in REPLACEMENTS {
            if value.starts_with(wrong) {
                value[..right.len()].copy_from_slice(right);
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0, 0, payload.len() as u8, kind, 4, 0, 0, 0, 1];
        frame.extend_from_slice(payload);
        frame
    }

    const HUFFMAN: &[u8] = b"\x83\x86\x41\x90\x9d\x29\xae\xe3\x0c\x08\x9d\x5c";
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
            frame(1, b"\x83\x86\x41\x90\x9d\x29\xaf\xca\xcb\x08\x9d\x5c"),
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

    #[test]
    fn both_codings_have_the_same_length() {
        for (wrong, right) in REPLACEMENTS {
            assert_eq!(wrong.len(), right.len());
        }
    }
}
