//! Names of rows in the `kv` column family: etcd's revision keys.

use crate::outcome::Revision;

const LENGTH: usize = 17;
const TOMBSTONE: u8 = b't';

/// Main revision, `_`, sub-revision, both big-endian, then `t` for a delete.
#[derive(Clone, Copy)]
pub(crate) struct RowKey {
    bytes: [u8; LENGTH + 1],
    length: usize,
}

impl RowKey {
    pub(crate) fn new(at: Revision, tombstone: bool) -> RowKey {
        let mut bytes = [0; LENGTH + 1];
        bytes[..8].copy_from_slice(&at.main.to_be_bytes());
        bytes[8] = b'_';
        bytes[9..LENGTH].copy_from_slice(&at.sub.to_be_bytes());
        bytes[LENGTH] = TOMBSTONE;
        RowKey {
            bytes,
            length: LENGTH + usize::from(tombstone),
        }
    }

    /// Revision, and whether the row is a tombstone.
    pub(crate) fn parse(bytes: &[u8]) -> Option<(Revision, bool)> {
        let (main, rest) = bytes.split_first_chunk::<8>()?;
        let (separator, rest) = rest.split_first()?;
        let (sub, mark) = rest.split_first_chunk::<8>()?;
        let tombstone = match mark {
            [] => false,
            [TOMBSTONE] => true,
            _ => return None,
        };
        let at = Revision {
            main: i64::from_be_bytes(*main),
            sub: i64::from_be_bytes(*sub),
        };
        (*separator == b'_' && at.main >= 0 && at.sub >= 0).then_some((at, tombstone))
    }
}

impl AsRef<[u8]> for RowKey {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_etcds_and_sort_by_revision() {
        let at = Revision {
            main: 0x0102,
            sub: 3,
        };
        let golden = b"\0\0\0\0\0\0\x01\x02_\0\0\0\0\0\0\0\x03";
        assert_eq!(RowKey::new(at, false).as_ref(), golden);
        assert_eq!(RowKey::new(at, true).as_ref(), [&golden[..], b"t"].concat());
        assert_eq!(RowKey::parse(golden), Some((at, false)));
        assert_eq!(
            RowKey::parse(RowKey::new(at, true).as_ref()),
            Some((at, true))
        );
        assert_eq!(RowKey::parse(&golden[..16]), None);
        assert_eq!(
            RowKey::parse(b"\0\0\0\0\0\0\x01\x02_\0\0\0\0\0\0\0\x03x"),
            None
        );
        let next = Revision {
            main: 0x0102,
            sub: 4,
        };
        assert!(RowKey::new(at, true).as_ref() < RowKey::new(next, false).as_ref());
    }
}
