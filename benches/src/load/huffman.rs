//! HPACK's Huffman code (RFC 7541, appendix B), decoding only: enough to read a server's trailers.

/// Length in bits of the code of each byte. The code is canonical: codes of one length are consecutive and ordered by byte, so the lengths say all.
const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5,
    5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6,
    6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22,
    23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22,
    21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20,
    22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19,
    21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22,
    22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];

const LONGEST: usize = 30;

/// The codes of one length: the first of them and the bytes they stand for, in order.
struct Row {
    first_code: u32,
    bytes: Vec<u8>,
}

/// A decoder; built once per connection.
pub struct Huffman {
    rows: Vec<Row>,
}

impl Huffman {
    pub fn new() -> Huffman {
        let mut rows = Vec::with_capacity(LONGEST + 1);
        let mut next_code = 0_u32;
        for length in 0..=LONGEST {
            next_code <<= 1;
            let bytes: Vec<u8> = (0..=255_u8)
                .filter(|byte| usize::from(LENGTHS[usize::from(*byte)]) == length)
                .collect();
            let count = u32::try_from(bytes.len()).expect("at most 256 bytes");
            rows.push(Row {
                first_code: next_code,
                bytes,
            });
            next_code += count;
        }
        Huffman { rows }
    }

    /// Decodes a string; `None` when it is not one. The padding is at most seven one-bits.
    pub fn decode(&self, input: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(input.len() * 2);
        let mut code = 0_u32;
        let mut length = 0_usize;
        for bit in input
            .iter()
            .flat_map(|byte| (0..8).rev().map(move |at| (byte >> at) & 1))
        {
            code = (code << 1) | u32::from(bit);
            length += 1;
            let row = self.rows.get(length)?;
            let offset = code.wrapping_sub(row.first_code) as usize;
            if let Some(byte) = row.bytes.get(offset) {
                out.push(*byte);
                code = 0;
                length = 0;
            }
        }
        (length < 8 && code == (1 << length) - 1).then_some(out)
    }
}

impl Default for Huffman {
    fn default() -> Huffman {
        Huffman::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_rfc_decode() {
        let huffman = Huffman::new();
        let encoded = [
            0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff,
        ];
        assert_eq!(huffman.decode(&encoded).unwrap(), b"www.example.com");
        let date = [
            0xd0, 0x7a, 0xbe, 0x94, 0x10, 0x54, 0xd4, 0x44, 0xa8, 0x20, 0x05, 0x95, 0x04, 0x0b,
            0x81, 0x66, 0xe0, 0x82, 0xa6, 0x2d, 0x1b, 0xff,
        ];
        assert_eq!(
            huffman.decode(&date).unwrap(),
            b"Mon, 21 Oct 2013 20:13:21 GMT"
        );
    }

    #[test]
    fn wrong_padding_is_refused() {
        let huffman = Huffman::new();
        assert_eq!(
            huffman.decode(&[0x07]).unwrap(),
            b"0",
            "five zero-bits and padding"
        );
        assert_eq!(huffman.decode(&[0x00]), None, "padding of zero-bits");
        assert_eq!(
            huffman.decode(&[0x07, 0xff]),
            None,
            "a whole byte of padding"
        );
    }
}
