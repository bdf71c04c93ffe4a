//! HTTP/2 frames (RFC 9113, section 4 and 6) as far as a gRPC client needs them.

/// What a client sends before anything else on a connection.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes in front of each frame.
pub const HEADER_LEN: usize = 9;
/// The largest payload a peer accepts when it announced nothing else.
pub const MAX_PAYLOAD: usize = 16_384;
/// The flow-control window a peer grants when it announced nothing else.
pub const INITIAL_WINDOW: i64 = 65_535;
/// The largest flow-control window there is.
pub const MAX_WINDOW: u32 = 0x7fff_ffff;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const FLAG_END_STREAM: u8 = 0x1;
pub const FLAG_ACK: u8 = 0x1;
pub const FLAG_END_HEADERS: u8 = 0x4;
pub const FLAG_PADDED: u8 = 0x8;
pub const FLAG_PRIORITY: u8 = 0x20;

pub const SETTING_HEADER_TABLE_SIZE: u16 = 1;
pub const SETTING_ENABLE_PUSH: u16 = 2;
pub const SETTING_MAX_CONCURRENT_STREAMS: u16 = 3;
pub const SETTING_INITIAL_WINDOW_SIZE: u16 = 4;

/// The nine bytes in front of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub length: usize,
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
}

impl Header {
    /// Reads a header; `None` when fewer than nine bytes are there.
    pub fn parse(input: &[u8]) -> Option<Header> {
        let bytes: &[u8; HEADER_LEN] = input.first_chunk()?;
        Some(Header {
            length: u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]) as usize,
            kind: bytes[3],
            flags: bytes[4],
            stream: u32::from_be_bytes([bytes[5], bytes[6], bytes[7], bytes[8]]) & MAX_WINDOW,
        })
    }

    /// Writes the header; the length must fit 24 bits.
    pub fn write(self, out: &mut Vec<u8>) {
        let length = u32::try_from(self.length)
            .expect("a frame is at most 16 MiB")
            .to_be_bytes();
        let stream = self.stream.to_be_bytes();
        out.extend_from_slice(&[
            length[1], length[2], length[3], self.kind, self.flags, stream[0], stream[1],
            stream[2], stream[3],
        ]);
    }

    pub fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// The part of a DATA or HEADERS payload that is neither padding nor priority; `None` when malformed.
pub fn unpadded(header: Header, payload: &[u8]) -> Option<&[u8]> {
    let mut rest = payload;
    let mut padding = 0;
    if header.has(FLAG_PADDED) {
        let (&length, tail) = rest.split_first()?;
        padding = usize::from(length);
        rest = tail;
    }
    if header.kind == HEADERS && header.has(FLAG_PRIORITY) {
        rest = rest.get(5..)?;
    }
    rest.get(..rest.len().checked_sub(padding)?)
}

/// Writes a whole frame with a four-byte payload (WINDOW_UPDATE, RST_STREAM).
pub fn write_word(kind: u8, stream: u32, word: u32, out: &mut Vec<u8>) {
    Header {
        length: 4,
        kind,
        flags: 0,
        stream,
    }
    .write(out);
    out.extend_from_slice(&word.to_be_bytes());
}

/// Writes a SETTINGS frame.
pub fn write_settings(settings: &[(u16, u32)], out: &mut Vec<u8>) {
    Header {
        length: settings.len() * 6,
        kind: SETTINGS,
        flags: 0,
        stream: 0,
    }
    .write(out);
    for (name, value) in settings {
        out.extend_from_slice(&name.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_survives_writing_and_parsing() {
        let header = Header {
            length: 70_000,
            kind: DATA,
            flags: FLAG_END_STREAM,
            stream: 77,
        };
        let mut bytes = Vec::new();
        header.write(&mut bytes);
        assert_eq!(Header::parse(&bytes), Some(header));
        assert_eq!(Header::parse(&bytes[..8]), None);
    }

    #[test]
    fn padding_and_priority_are_taken_off() {
        let flags = FLAG_PADDED | FLAG_PRIORITY;
        let header = Header {
            length: 10,
            kind: HEADERS,
            flags,
            stream: 1,
        };
        assert_eq!(
            unpadded(header, &[2, 0, 0, 0, 0, 0, 7, 8, 0, 0]),
            Some(&[7, 8][..])
        );
        assert_eq!(
            unpadded(header, &[9, 0, 0, 0, 0, 0, 7]),
            None,
            "more padding than payload"
        );
    }
}
