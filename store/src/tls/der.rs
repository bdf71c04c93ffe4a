//! Reads DER, as far as certificates and revocation lists need it (X.690: tag, length, contents).

/// Tags that are looked for.
pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OBJECT_ID: u8 = 0x06;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
const UTF8_STRING: u8 = 0x0c;
const NUMERIC_STRING: u8 = 0x12;
const PRINTABLE_STRING: u8 = 0x13;
const T61_STRING: u8 = 0x14;
const IA5_STRING: u8 = 0x16;
const BMP_STRING: u8 = 0x1e;

/// A tag of a context of its own, with other values inside.
pub(super) const fn inside(number: u8) -> u8 {
    0xa0 | number
}

/// A tag of a context of its own, with plain bytes inside.
pub(super) const fn plain(number: u8) -> u8 {
    0x80 | number
}

/// Values that stand one after the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Reader(bytes)
    }

    /// Tag and contents of the next value; None at the end and where the bytes are no DER.
    pub(super) fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x84 => {
                let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                let length = digits
                    .iter()
                    .fold(0_usize, |length, digit| (length << 8) | usize::from(*digit));
                (length, rest)
            }
            _ => return None,
        };
        let (contents, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, contents))
    }

    /// Contents of the next value, which must have this tag.
    pub(super) fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (found, contents) = self.next()?;
        (found == tag).then_some(contents)
    }

    /// Contents of the next value if it has this tag; otherwise it is left where it is.
    pub(super) fn take_if(&mut self, tag: u8) -> Option<&'a [u8]> {
        let mut ahead = *self;
        let contents = ahead.expect(tag)?;
        *self = ahead;
        Some(contents)
    }

    /// Reads the contents of the next value, which must have this tag.
    pub(super) fn enter(&mut self, tag: u8) -> Option<Reader<'a>> {
        self.expect(tag).map(Reader)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The text of a string of any kind that Go's library reads; None for bytes that are no such string.
pub(super) fn text(tag: u8, bytes: &[u8]) -> Option<String> {
    let all = |is_allowed: fn(u8) -> bool| {
        let allowed = bytes.iter().all(|byte| is_allowed(*byte));
        allowed.then(|| bytes.iter().map(|byte| char::from(*byte)).collect())
    };
    match tag {
        UTF8_STRING => std::str::from_utf8(bytes).ok().map(str::to_owned),
        NUMERIC_STRING => all(|byte| byte.is_ascii_digit() || byte == b' '),
        PRINTABLE_STRING => {
            all(|byte| byte.is_ascii_alphanumeric() || b" '()+,-./:=?*&".contains(&byte))
        }
        // Taken for Latin-1, of which it is nearly a part.
        T61_STRING => all(|_| true),
        IA5_STRING => all(|byte| byte.is_ascii()),
        BMP_STRING => bmp_text(bytes),
        _ => None,
    }
}

/// Two bytes a letter, and no letter that takes more. A zero at the end is not meant.
fn bmp_text(bytes: &[u8]) -> Option<String> {
    let bytes = bytes.strip_suffix(&[0, 0]).unwrap_or(bytes);
    let (letters, []) = bytes.as_chunks::<2>() else {
        return None;
    };
    let letter = |pair: &[u8; 2]| {
        let number = u16::from_be_bytes(*pair);
        let is_letter = !matches!(number, 0xfffe | 0xffff | 0xfdd0..=0xfdef);
        char::from_u32(number.into()).filter(|_| is_letter)
    };
    letters.iter().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_one_after_the_other() {
        let mut reader = Reader::new(&[0x02, 1, 7, 0x30, 3, 0x02, 1, 9, 0x04, 0x81, 1, 5]);
        assert_eq!(reader.take_if(SEQUENCE), None);
        assert_eq!(reader.take_if(INTEGER), Some(&[7][..]));
        let mut sequence = reader.enter(SEQUENCE).unwrap();
        assert_eq!(sequence.expect(INTEGER), Some(&[9][..]));
        assert!(sequence.is_empty());
        assert_eq!(reader.next(), Some((OCTET_STRING, &[5][..])));
        assert_eq!(reader.next(), None);
    }

    #[test]
    fn strings_of_every_kind_are_read_as_go_reads_them() {
        for (tag, bytes, expected) in [
            (UTF8_STRING, &b"\xc3\xa9"[..], Some("é")),
            (UTF8_STRING, b"\xe9", None),
            (NUMERIC_STRING, b"1 2", Some("1 2")),
            (NUMERIC_STRING, b"a", None),
            (PRINTABLE_STRING, b"ann (1)*&", Some("ann (1)*&")),
            (PRINTABLE_STRING, b"a_b", None),
            (T61_STRING, b"J\xf6rg", Some("Jörg")),
            (IA5_STRING, b"a@b", Some("a@b")),
            (IA5_STRING, b"\xe9", None),
            (BMP_STRING, b"\0r\0o\0o\0t", Some("root")),
            (BMP_STRING, b"\x30\x42\0\0", Some("あ")),
            (BMP_STRING, b"\0a\0", None),
            (BMP_STRING, b"\xd8\x3d\xde\0", None),
            (BMP_STRING, b"\xff\xff", None),
            (OCTET_STRING, b"a", None),
        ] {
            assert_eq!(text(tag, bytes).as_deref(), expected, "{tag:x} {bytes:?}");
        }
    }

    #[test]
    fn what_is_cut_off_is_nothing() {
        for bytes in [
            &[0x02][..],
            &[0x02, 2, 1],
            &[0x02, 0x82, 1],
            &[0x02, 0x80, 0, 0],
        ] {
            assert_eq!(Reader::new(bytes).next(), None, "{bytes:?}");
        }
    }
}
