//! Reads DER, as far as certificates and revocation lists need it (X.690: tag, length, contents).

/// Tags that are looked for.
pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OBJECT_ID: u8 = 0x06;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const GENERALIZED_TIME: u8 = 0x18;

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
