//! HPACK (RFC 7541): writes request headers through the dynamic table and reads the gRPC status out of a server's.

use std::collections::VecDeque;

use crate::load::huffman::Huffman;

/// Both sides' table size when nothing else was announced, in bytes as HPACK counts them.
pub const TABLE_BYTES: usize = 4096;
const ENTRY_OVERHEAD: usize = 32;
const STATIC_ENTRIES: usize = 61;
const STATIC_STATUS_200: usize = 8;
const STATIC_STATUS_500: usize = 14;
const STATIC_AUTHORITY: u8 = 1;
const STATIC_PATH: u8 = 4;
const STATIC_CONTENT_TYPE: u8 = 31;
const STATIC_USER_AGENT: u8 = 58;
const METHOD_POST_INDEXED: u8 = 0x83;
const SCHEME_HTTP_INDEXED: u8 = 0x86;

/// Writes the header blocks of gRPC requests. Each header enters the dynamic table once and is one byte afterwards.
pub struct Encoder {
    authority: String,
    /// Entries in the order they were inserted; their size stays far below the table's.
    inserted: Vec<&'static str>,
}

const AUTHORITY: &str = ":authority";
const CONTENT_TYPE: &str = "content-type";
const TRAILERS: &str = "te";
const USER_AGENT: &str = "user-agent";

impl Encoder {
    pub fn new(authority: String) -> Encoder {
        Encoder {
            authority,
            inserted: Vec::new(),
        }
    }

    /// Appends the header block of a call to `path`.
    pub fn request(&mut self, path: &'static str, out: &mut Vec<u8>) {
        out.extend_from_slice(&[METHOD_POST_INDEXED, SCHEME_HTTP_INDEXED]);
        self.header(path, STATIC_PATH, out);
        for (name, index) in [
            (AUTHORITY, STATIC_AUTHORITY),
            (CONTENT_TYPE, STATIC_CONTENT_TYPE),
            (TRAILERS, 0),
            (USER_AGENT, STATIC_USER_AGENT),
        ] {
            self.header(name, index, out);
        }
    }

    /// `entry` identifies the header in the table: the path itself, or the name of one that never changes.
    fn header(&mut self, entry: &'static str, static_name: u8, out: &mut Vec<u8>) {
        if let Some(place) = self.inserted.iter().position(|known| *known == entry) {
            let index = STATIC_ENTRIES + self.inserted.len() - place;
            out.push(0x80 | u8::try_from(index).expect("a handful of entries"));
            return;
        }
        out.push(0x40 | static_name);
        if static_name == 0 {
            write_string(entry, out);
        }
        let value = match entry {
            AUTHORITY => &self.authority,
            CONTENT_TYPE => "application/grpc",
            TRAILERS => "trailers",
            USER_AGENT => "mainstay-bench",
            path => path,
        };
        write_string(value, out);
        self.inserted.push(entry);
    }
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    let length = text.len();
    if length < 127 {
        out.push(u8::try_from(length).expect("below 127"));
    } else {
        let rest = length - 127;
        assert!(rest < 16_384, "header values are short");
        out.push(127);
        if rest >= 128 {
            out.push(0x80 | (rest & 0x7f) as u8);
            out.push((rest >> 7) as u8);
        } else {
            out.push(rest as u8);
        }
    }
    out.extend_from_slice(text.as_bytes());
}

/// What a header block said of the call.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Status {
    pub http: Option<u16>,
    pub grpc: Option<u32>,
    pub message: Option<String>,
}

/// A header that matters here; all others are `Other`.
#[derive(Clone, Debug)]
enum Meaning {
    HttpStatus(u16),
    GrpcStatus(u32),
    GrpcMessage(String),
    Other,
}

#[derive(Debug)]
struct Entry {
    name: Vec<u8>,
    meaning: Meaning,
    bytes: usize,
}

/// Reads header blocks, keeping the server's dynamic table.
pub struct Decoder {
    huffman: Huffman,
    /// Newest first.
    entries: VecDeque<Entry>,
    bytes: usize,
    limit: usize,
}

impl Decoder {
    pub fn new() -> Decoder {
        Decoder {
            huffman: Huffman::new(),
            entries: VecDeque::new(),
            bytes: 0,
            limit: TABLE_BYTES,
        }
    }

    /// Reads a whole block; `None` when it is malformed, after which the connection is of no more use.
    pub fn decode(&mut self, mut block: &[u8]) -> Option<Status> {
        let mut status = Status::default();
        while let Some(first) = block.first().copied() {
            if first & 0x80 != 0 {
                let index = read_integer(&mut block, 7)?;
                self.indexed(index, &mut status)?;
            } else if first & 0x40 != 0 {
                let entry = self.literal(&mut block, 6)?;
                note(&entry.meaning, &mut status);
                self.insert(entry);
            } else if first & 0x20 != 0 {
                self.limit = read_integer(&mut block, 5)?;
                if self.limit > TABLE_BYTES {
                    return None;
                }
                self.evict(0);
            } else {
                let entry = self.literal(&mut block, 4)?;
                note(&entry.meaning, &mut status);
            }
        }
        Some(status)
    }

    fn indexed(&self, index: usize, status: &mut Status) -> Option<()> {
        match index {
            0 => return None,
            // Besides 200 the statuses of the static table all stand for failures.
            STATIC_STATUS_200..=STATIC_STATUS_500 => {
                let codes = [200, 204, 206, 304, 400, 404, 500];
                status.http = Some(codes[index - STATIC_STATUS_200]);
            }
            1..STATIC_STATUS_200 => {}
            15..=STATIC_ENTRIES => {}
            _ => note(
                &self.entries.get(index - STATIC_ENTRIES - 1)?.meaning,
                status,
            ),
        }
        Some(())
    }

    fn literal(&self, block: &mut &[u8], prefix_bits: u8) -> Option<Entry> {
        let name = match read_integer(block, prefix_bits)? {
            0 => self.string(block)?,
            STATIC_STATUS_200..=STATIC_STATUS_500 => b":status".to_vec(),
            // Other static names matter only for the size of the entry.
            index if index <= STATIC_ENTRIES => vec![b'x'; STATIC_NAME_LENGTHS[index - 1]],
            index => self.entries.get(index - STATIC_ENTRIES - 1)?.name.clone(),
        };
        let value = self.string(block)?;
        let text = String::from_utf8_lossy(&value);
        let meaning = match name.as_slice() {
            b":status" => Meaning::HttpStatus(text.parse().ok()?),
            b"grpc-status" => Meaning::GrpcStatus(text.parse().ok()?),
            b"grpc-message" => Meaning::GrpcMessage(text.into_owned()),
            _ => Meaning::Other,
        };
        Some(Entry {
            bytes: name.len() + value.len() + ENTRY_OVERHEAD,
            name,
            meaning,
        })
    }

    fn string(&self, block: &mut &[u8]) -> Option<Vec<u8>> {
        let encoded = block.first()? & 0x80 != 0;
        let length = read_integer(block, 7)?;
        let (bytes, rest) = block.split_at_checked(length)?;
        *block = rest;
        if encoded {
            self.huffman.decode(bytes)
        } else {
            Some(bytes.to_vec())
        }
    }

    fn insert(&mut self, entry: Entry) {
        self.evict(entry.bytes);
        if entry.bytes <= self.limit {
            self.bytes += entry.bytes;
            self.entries.push_front(entry);
        }
    }

    fn evict(&mut self, room: usize) {
        while self.bytes + room > self.limit {
            match self.entries.pop_back() {
                Some(oldest) => self.bytes -= oldest.bytes,
                None => return,
            }
        }
    }
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder::new()
    }
}

/// Lengths of the names of the static table (RFC 7541, appendix A): needed to evict when the server does.
const STATIC_NAME_LENGTHS: [usize; STATIC_ENTRIES] = [
    10, 7, 7, 5, 5, 7, 7, 7, 7, 7, 7, 7, 7, 7, 14, 15, 15, 13, 6, 27, 3, 5, 13, 13, 19, 16, 16, 14,
    16, 13, 12, 6, 4, 4, 6, 7, 4, 4, 8, 17, 13, 8, 19, 13, 4, 8, 12, 18, 19, 5, 7, 7, 11, 6, 10,
    25, 17, 10, 4, 3, 16,
];

fn note(meaning: &Meaning, status: &mut Status) {
    match meaning {
        Meaning::HttpStatus(code) => status.http = Some(*code),
        Meaning::GrpcStatus(code) => status.grpc = Some(*code),
        Meaning::GrpcMessage(text) => status.message = Some(text.clone()),
        Meaning::Other => {}
    }
}

/// Reads an integer with a prefix of `bits` bits in the first byte; `None` when cut off or absurdly large.
fn read_integer(block: &mut &[u8], bits: u8) -> Option<usize> {
    let mask = (1_u8 << bits) - 1;
    let (&first, rest) = block.split_first()?;
    *block = rest;
    let mut value = usize::from(first & mask);
    if value < usize::from(mask) {
        return Some(value);
    }
    for shift in [0, 7, 14, 21] {
        let (&byte, rest) = block.split_first()?;
        *block = rest;
        value += usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_request_is_all_indexes() {
        let mut encoder = Encoder::new("127.0.0.1:2379".to_owned());
        let mut first = Vec::new();
        encoder.request("/etcdserverpb.KV/Put", &mut first);
        let mut second = Vec::new();
        encoder.request("/etcdserverpb.KV/Put", &mut second);
        assert_eq!(second, [0x83, 0x86, 0xc2, 0xc1, 0xc0, 0xbf, 0xbe]);
        let mut other = Vec::new();
        encoder.request("/etcdserverpb.KV/Range", &mut other);
        assert_eq!(&other[other.len() - 4..], [0xc2, 0xc1, 0xc0, 0xbf]);
    }

    #[test]
    fn what_the_encoder_writes_the_decoder_can_walk() {
        let mut encoder = Encoder::new("h".repeat(200));
        let mut decoder = Decoder::new();
        for path in ["/a/B", "/a/B", "/a/C", "/a/B"] {
            let mut block = Vec::new();
            encoder.request(path, &mut block);
            assert_eq!(decoder.decode(&block), Some(Status::default()));
        }
    }

    #[test]
    fn the_status_is_found_in_literals_and_in_the_table() {
        let mut decoder = Decoder::new();
        let mut block = vec![0x88, 0x40, 11];
        block.extend_from_slice(b"grpc-status");
        block.extend_from_slice(&[1, b'0']);
        let status = decoder.decode(&block).unwrap();
        assert_eq!((status.http, status.grpc), (Some(200), Some(0)));
        assert_eq!(decoder.decode(&[0xbe]).unwrap().grpc, Some(0));
        assert_eq!(
            decoder.decode(&[0x0f, 47, 2, b'1', b'4']).unwrap().grpc,
            Some(14)
        );
        assert_eq!(decoder.decode(&[0xc5]), None, "an index nothing stands at");
    }

    #[test]
    fn old_entries_leave_when_the_table_is_full() {
        let mut decoder = Decoder::new();
        for _ in 0..100 {
            let mut block = vec![0x40, 1, b'a', 100];
            block.extend_from_slice(&[b'v'; 100]);
            decoder.decode(&block).unwrap();
        }
        assert_eq!(decoder.entries.len(), TABLE_BYTES / 133);
    }
}
