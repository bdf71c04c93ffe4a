//! The little of DER that requests for certificates, and certificates, need.

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OID: u8 = 0x06;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;

/// The most bytes that a length is written in.
const LENGTH_BYTES_MAX: usize = 4;

/// The tag of a part that is told by its place and has parts itself.
pub(crate) const fn place(number: u8) -> u8 {
    0xa0 | number
}

/// The tag of a part that is told by its place and has none.
pub(crate) const fn flat(number: u8) -> u8 {
    0x80 | number
}

/// A part as it was found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part<'a> {
    pub(crate) tag: u8,
    pub(crate) content: &'a [u8],
    /// With its tag and length.
    pub(crate) whole: &'a [u8],
}

/// Parts one behind the other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parts<'a>(pub(crate) &'a [u8]);

impl<'a> Parts<'a> {
    /// The next part, which must have this tag.
    pub(crate) fn tagged(&mut self, tag: u8) -> Option<Part<'a>> {
        self.clone().next().filter(|part| part.tag == tag)?;
        self.next()
    }

    /// The parts of the next part, which must have this tag.
    pub(crate) fn enter(&mut self, tag: u8) -> Option<Parts<'a>> {
        self.tagged(tag).map(|part| Parts(part.content))
    }

    /// The bytes of the next part, which is a string of whole bytes.
    pub(crate) fn bits(&mut self) -> Option<&'a [u8]> {
        self.tagged(BIT_STRING)?.content.strip_prefix(&[0])
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = Part<'a>;

    /// The next part; none at the end, or where there is no whole part.
    fn next(&mut self) -> Option<Part<'a>> {
        let all = self.0;
        let (&tag, rest) = all.split_first()?;
        let (&first, mut rest) = rest.split_first()?;
        let mut length = usize::from(first);
        if first >= 0x80 {
            let count = length & 0x7f;
            if count == 0 || count > LENGTH_BYTES_MAX {
                return None;
            }
            let (bytes, behind) = rest.split_at_checked(count)?;
            length = bytes
                .iter()
                .fold(0, |sum, byte| (sum << 8) | usize::from(*byte));
            rest = behind;
        }
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(Part {
            tag,
            content,
            whole: &all[..all.len() - rest.len()],
        })
    }
}

/// A part made of others.
pub(crate) fn part(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut bytes = vec![tag];
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => bytes.push(short),
        _ => {
            let all = length.to_be_bytes();
            let zeros = all.iter().take_while(|byte| **byte == 0).count();
            bytes.push(0x80 | u8::try_from(all.len() - zeros).unwrap_or(u8::MAX));
            bytes.extend_from_slice(&all[zeros..]);
        }
    }
    for part in parts {
        bytes.extend_from_slice(part);
    }
    bytes
}

/// A string of whole bytes.
pub(crate) fn bits(bytes: &[u8]) -> Vec<u8> {
    part(BIT_STRING, &[&[0], bytes])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read_as_they_were_written() {
        let long = vec![7; 300];
        let written = [
            part(OCTET_STRING, &[&long]),
            part(SEQUENCE, &[&part(INTEGER, &[&[1]]), &bits(&[9])]),
        ]
        .concat();
        let mut parts = Parts(&written);
        assert!(parts.tagged(SEQUENCE).is_none());
        let first = parts.tagged(OCTET_STRING).unwrap();
        assert_eq!((first.content, first.whole.len()), (&long[..], 304));
        let mut inner = parts.enter(SEQUENCE).unwrap();
        assert_eq!(inner.tagged(INTEGER).unwrap().content, [1]);
        assert_eq!(inner.bits(), Some(&[9][..]));
        assert!(inner.next().is_none() && parts.next().is_none());
    }

    #[test]
    fn what_is_cut_off_is_no_part() {
        for bytes in [
            &[][..],
            &[0x30],
            &[0x30, 0x02, 0x01],
            &[0x30, 0x80],
            &[0x30, 0x85, 1, 1, 1, 1, 1],
            &[0x30, 0x82, 0x01],
            &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
        ] {
            assert!(Parts(bytes).next().is_none(), "{bytes:?}");
        }
    }
}
